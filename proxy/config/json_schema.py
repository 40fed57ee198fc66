"""
`config.schema.json`: the schema as editors read it, for completion and checks while typing.

A test holds the committed file equal to what this module makes.
"""

import json

from proxy.config.schema import ConfigFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_json_schema() -> str:
    """Return the text of config.schema.json, the same on every run."""
    schema = {"$schema": DIALECT, **ConfigFile.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
