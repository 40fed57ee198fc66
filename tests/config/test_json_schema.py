"""The published schema."""

import json
from pathlib import Path

from proxy.config.json_schema import build_json_schema

COMMITTED = Path(__file__).parents[2] / "config.schema.json"


def test_the_committed_schema_is_up_to_date() -> None:
    """config.schema.json is byte for byte what the models say."""
    assert COMMITTED.read_text("utf-8") == build_json_schema()


def test_the_schema_refuses_unknown_keys_and_describes_all_others() -> None:
    """An editor marks a mistyped key, and has a description for every right one."""
    schema = json.loads(build_json_schema())
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            assert "description" in field or "$ref" in field, name
