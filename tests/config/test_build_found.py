"""A found provider with and without the key of the search; the rest is in test_discovered_file."""

import json
from pathlib import Path

import pytest

from tests.config.loading import GOOD_KEY, load_text
from tests.config.test_discovered_file import entry, write


@pytest.mark.parametrize(("type_", "is_served"), [("openai", False), ("vllm", True)])
def test_only_a_type_that_needs_no_key_serves_without_one(
    tmp_path: Path, type_: str, is_served: bool
) -> None:
    """Without `discovery.api_key_env` a found provider serves only if its type needs no key."""
    write(tmp_path, json.dumps({"providers": [entry(type=type_)]}))
    text = f"api_keys: [{GOOD_KEY}]\nprovider_registry_url: https://registry.example/list.json\n"
    loaded = load_text(tmp_path, text, {"OPENAI_API_KEY": "sk-1", "VLLM_API_KEY": "sk-2"})
    found = loaded.snapshot.providers["found"]
    assert (found.enabled, found.api_key) == (is_served, None)
