"""
Every setting there is, as one flat list made from the schema.

`merge.py` learns from it which variables there are and what their text means,
`validate.py` which names to suggest, and a test holds docs/configuration.md to it.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from proxy.config.provider_schema import NOT_IN_FORCE
from proxy.config.schema import ConfigFile

REQUIRED = "required"


class Setting(Struct, frozen=True):
    """
    One setting: `path` is like `clocks.connect_s` or `providers[].timeout`; `{}` stands for a
    name that the operator gives, as `[]` does for the number of an item.

    `kinds` are JSON Schema's names of the types it takes, `item` the type of its items if
    it is a list. `default` is JSON text, or `required`.
    """

    path: str
    kinds: tuple[str, ...]
    default: str
    description: str
    item: str = ""
    in_force: bool = True
    is_secret: bool = False
    choices: tuple[str, ...] = ()

    @property
    def type_text(self) -> str:
        """The type in words, as the documentation prints it."""
        if self.choices:
            return " or ".join(f"`{choice}`" for choice in self.choices)
        words = [f"list of {self.item}" if kind == "array" else kind for kind in self.kinds]
        return " or ".join(words)


@cache
def list_settings() -> tuple[Setting, ...]:
    """Return every setting in the order of the schema, sections before what is in them."""
    schema = ConfigFile.model_json_schema()
    return tuple(_walk(schema, schema["$defs"], ""))


@cache
def settings_by_path() -> dict[str, Setting]:
    """Return every setting under its path."""
    return {setting.path: setting for setting in list_settings()}


def build_pattern(steps: Sequence[str | int]) -> str:
    """Return the path of the setting that a place in the tree belongs to, should there be one."""
    pattern = ""
    for step in steps:
        if isinstance(step, int):
            pattern += "[]"
        elif pattern in _maps():
            pattern += "{}"
        else:
            pattern += f".{step}" if pattern else step
    return pattern


@cache
def _maps() -> frozenset[str]:
    """Return the paths of the settings that hold sections under names of the operator's."""
    return frozenset(s.path.rpartition("{}.")[0] for s in list_settings() if "{}." in s.path)


def _walk(section: dict[str, Any], parts: dict[str, Any], prefix: str) -> Iterator[Setting]:
    required = section.get("required", ())
    for name, field in section["properties"].items():
        path = f"{prefix}{name}"
        options = [_follow(option, parts) for option in field.get("anyOf", (field,))]
        kinds = tuple(_kind(option) for option in options)
        below = next((o for o in options if "properties" in o), None)
        items = [item for option in options for item in _list_items(option, parts)]
        item = next((item for item in items if "properties" in item), {})
        yield Setting(
            path=path,
            kinds=kinds,
            default=REQUIRED if name in required else _default(field, below),
            # pydantic leaves a description out that equals the docstring of the section.
            description=field.get("description") or (below or {})["description"],
            item=" or ".join(item["type"] for item in items),
            in_force=not field.get(NOT_IN_FORCE, False),
            is_secret=field.get("writeOnly", False),
            choices=tuple(choice for option in options for choice in option.get("enum", ())),
        )
        if below is not None:
            yield from _walk(below, parts, f"{path}.")
        elif item:
            yield from _walk(item, parts, f"{path}[].")
        else:
            for option in options:
                named = _follow(option.get("additionalProperties") or {}, parts)
                if "properties" in named:
                    yield from _walk(named, parts, f"{path}{{}}.")


def _list_items(option: dict[str, Any], parts: dict[str, Any]) -> list[dict[str, Any]]:
    if "items" not in option:
        return []
    items = _follow(option["items"], parts)
    return [_follow(item, parts) for item in items.get("anyOf", (items,))]


def _follow(field: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref")
    target: dict[str, Any] = parts[reference.rpartition("/")[2]] if reference else field
    return target


def _kind(option: dict[str, Any]) -> str:
    if "const" in option:
        return json.dumps(option["const"])
    return str(option["type"])


def _default(field: dict[str, Any], below: dict[str, Any] | None) -> str:
    # A section's own settings are listed with their defaults, one by one.
    is_there = below is not None and field.get("default") is not None
    return "{}" if is_there or "default" not in field else json.dumps(field["default"])
