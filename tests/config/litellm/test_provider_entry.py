"""What one deployment of LiteLLM's is asked at."""

from typing import Any

import pytest

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.provider_entry import EntryReader
from proxy.config.litellm.vendors import Vendor
from proxy.providers.registry import find_kind


def read(type_name: str = "openai", retries: int | None = None, **params: Any) -> Any:
    """Return (entry, notes) of a deployment of that type."""
    notes, kind = Notes(), find_kind(type_name)
    assert kind is not None
    reader = EntryReader({"BASE": "https://base.example/v1"}, retries, notes)
    return reader.read("here", Vendor(type_name, "m"), kind, params), notes.lines


@pytest.mark.parametrize(
    ("params", "entry"),
    [
        ({}, {"type": "openai"}),
        ({"api_base": "https://api.openai.com/v1/"}, {"type": "openai"}),
        (
            {"api_base": "https://eu.api.openai.com/v1"},
            {"type": "openai", "base_url": "https://eu.api.openai.com/v1"},
        ),
        (
            {"api_base": "https://llm.example/v1"},
            {"type": "openai_compatible", "base_url": "https://llm.example/v1"},
        ),
        (
            {"base_url": "os.environ/BASE"},
            {"type": "openai_compatible", "base_url": "https://base.example/v1"},
        ),
        ({"api_key": "os.environ/OPENAI_API_KEY"}, {"api_key_env": "OPENAI_API_KEY"}),
        ({"timeout": 30}, {"timeout": 30.0, "clocks": {"answer_s": 30.0}}),
        ({"stream_timeout": "5"}, {"timeout": 5.0}),
        ({"num_retries": 50}, {"max_retries": 20}),
        ({"headers": {"A": "b"}}, {"headers": {"A": "b"}}),
    ],
)
def test_what_has_a_counterpart(params: dict[str, Any], entry: dict[str, Any]) -> None:
    """Address, key, clocks, retries and headers become ours, and nothing needs a note."""
    assert read(**params) == ({"type": "openai", **entry}, ())


@pytest.mark.parametrize(
    ("params", "entry", "note"),
    [
        ({"api_key": "sk-x"}, {"api_key": "sk-x"}, "here.api_key"),
        ({"api_key": "sk x"}, {}, "here.api_key"),
        ({"api_key": "${SECRET}"}, {}, "here.api_key"),
        ({"api_key": "os.environ/MY_SECRET"}, {"api_key_env": "PROXY_API_MY_SECRET"}, "MY_SECRET"),
        ({"api_version": "2024-10-21"}, {}, "here.api_version"),
        ({"timeout": "soon"}, {}, "here.timeout"),
        ({"headers": {"A": "os.environ/A_TOKEN"}}, {}, "here.headers"),
    ],
)
def test_what_needs_a_hand_is_noted(
    params: dict[str, Any], entry: dict[str, Any], note: str
) -> None:
    """What can be kept only in another way, or not, is said with its place and no value."""
    found, lines = read(**params)
    assert found == {"type": "openai", **entry}
    assert len(lines) == 1
    assert note in lines[0]
    assert "sk-x" not in lines[0]


@pytest.mark.parametrize(
    ("type_name", "params"),
    [("vllm", {}), ("azure", {}), ("openai", {"api_base": "os.environ/NOT_HERE"})],
)
def test_without_an_address_a_provider_is_switched_off(
    type_name: str, params: dict[str, Any]
) -> None:
    """It is written with a stand-in, so that the file is valid and nobody is asked by mistake."""
    entry, lines = read(type_name, **params)
    assert entry["enabled"] is False
    assert entry["base_url"].startswith("https://set-the-address.example")
    assert "switched off" in lines[0]


@pytest.mark.parametrize(
    ("type_name", "address", "base_url"),
    [
        ("cohere", "https://api.cohere.com/v2/chat", None),
        ("cohere", "https://c.example/v2/embed", "https://c.example"),
        ("openai", "https://llm.example/v1/chat/completions", "https://llm.example/v1"),
    ],
)
def test_what_is_asked_is_no_part_of_an_address(
    type_name: str, address: str, base_url: str | None
) -> None:
    """LiteLLM is told of it with some vendors; here it would be asked for twice."""
    entry, _ = read(type_name, api_base=address)
    assert entry.get("base_url") == base_url


def test_what_the_schema_refuses_is_left_out() -> None:
    """A value that would not pass is noted and gone; without models there is no provider."""
    notes = Notes()
    reader = EntryReader({}, None, notes)
    whole = {"name": "a", "type": "openai", "models": ["m"]}
    assert reader.check({**whole, "base_url": "nonsense"}) == whole
    assert reader.check({**whole, "models": [" m"]}) is None
    switched_off = reader.check({**whole, "type": "vllm", "base_url": "http://169.254.169.254"})
    assert switched_off is not None
    assert switched_off["enabled"] is False
    assert len(notes.lines) == 4
