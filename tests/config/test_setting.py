"""The list of settings, and the documentation that must say the same."""

import re
from pathlib import Path

from proxy.config.key_schema import ApiKeyEntry
from proxy.config.provider_schema import ProviderEntry
from proxy.config.schema import ClocksEntry, ConfigFile, LimitsEntry, RouteEntry
from proxy.config.setting import (
    REQUIRED,
    Setting,
    build_pattern,
    list_settings,
    settings_by_path,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
_ROW = re.compile(r"^\| `([^`]+)` \|[^\n]*$", re.M)


def _row(setting: Setting) -> str:
    default = setting.default if setting.default == REQUIRED else f"`{setting.default}`"
    later = "" if setting.in_force else " *Not yet in force.*"
    return f"| `{setting.path}` | {setting.type_text} | {default} | {setting.description}{later} |"


def test_settings_are_listed_with_type_and_default() -> None:
    """Each setting is under its path, also in sections, lists and lists of lists."""
    settings = settings_by_path()
    assert settings["port"].kinds == ("integer",)
    assert settings["clocks.tls_s"].default == "5.0"
    assert settings["api_keys"].type_text == "list of string or object"
    assert settings["api_keys[].models"].type_text == "list of string or null"
    assert settings["providers[].name"].default == REQUIRED
    assert settings["routes[].targets[].weight"].default == "1"
    assert settings["providers[].model_info{}.max_input_tokens"].kinds == ("integer", "null")
    assert settings["redis_url"].in_force
    assert not settings["database_url"].in_force


def test_a_place_in_the_file_leads_to_its_setting() -> None:
    """Numbers of items and names of the operator's own are not a part of a setting's path."""
    steps = ("providers", 0, "model_info", "gpt-4.1", "max_input_tokens")
    assert build_pattern(steps) == "providers[].model_info{}.max_input_tokens"
    assert build_pattern(steps[:4]) == "providers[].model_info{}"
    assert build_pattern(("routes", 1, "targets", 0, "model")) == "routes[].targets[].model"
    assert build_pattern(("port",)) == "port"


def test_what_printing_leaves_out_is_marked_as_secret() -> None:
    """Every field that is not in a section's repr is a secret of the list, and no other is."""
    hidden = {
        path
        for prefix, section in (
            *(("", ConfigFile), ("api_keys[].", ApiKeyEntry), ("providers[].", ProviderEntry)),
            *(("routes[].", RouteEntry), ("clocks.", ClocksEntry), ("limits.", LimitsEntry)),
        )
        for path, field in ((prefix + n, f) for n, f in section.model_fields.items())
        if not field.repr
    }
    assert hidden == {s.path for s in list_settings() if s.is_secret}
    assert {"api_keys", "api_keys[].key", "redis_url", "providers[].headers"} <= hidden


def test_every_setting_says_what_it_means() -> None:
    """No setting is without a description of at least a few words."""
    assert [s.path for s in list_settings() if len(s.description.split()) < 3] == []


def test_the_documentation_has_every_setting() -> None:
    """docs/configuration.md has a row for each setting: key, type, default, meaning."""
    text = DOCUMENT.read_text("utf-8")
    assert [_row(s) for s in list_settings() if _row(s) not in text] == []


def test_the_documentation_names_no_setting_that_does_not_exist() -> None:
    """Every row of the tables of settings is about a setting."""
    text = DOCUMENT.read_text("utf-8")
    tables = text[text.index("## Settings") :]
    known = settings_by_path()
    assert [row[1] for row in _ROW.finditer(tables) if row[1] not in known] == []
