"""What is in force, where it comes from, and what it shadows."""

from pathlib import Path

import msgspec
import pytest

from proxy.config.effective import EffectiveValue, ShadowedValue, path_text
from proxy.config.setting import REQUIRED, list_settings
from tests.config.loading import GOOD_KEY, HASHER, load_text, tree_of

FILE = f"""
port: 1
admin_keys: [{GOOD_KEY}]
clocks: {{tls_s: 2}}
providers:
  - name: p
    type: openai
    models: [m, n]
    timeout: 3
    headers: {{X-Team: canary-header}}
routes:
  - alias: fast.v1
    targets: [{{provider: p, model: m}}]
"""
SECRETS = f"""
api_keys:
  - canary-0123456789-0
  - {{key: canary-0123456789-1, models: [m]}}
admin_keys: [canary-0123456789-0123456789-2]
database_url: "postgresql://user:canary@db/x"
redis_url: "redis://:canary@cache"
providers:
  - {{name: p, type: openai, api_key: canary-key, models: [m], headers: {{X-A: canary-header}},
     transport: aiohttp, proxy: "http://canary@proxy.example:3128"}}
  - {{name: q, type: openai, api_key: "${{OPENAI_API_KEY}}", models: [m]}}
  - {{name: r, type: openai, api_key_env: R_KEY, models: [m], base_url: "https://{GOOD_KEY}"}}
"""


def _show(
    folder: Path, text: str = FILE, environ: dict[str, str] | None = None, dot_env: str = ""
) -> dict[str, EffectiveValue]:
    loaded = load_text(folder, text, environ, dot_env=dot_env)
    for value in loaded.effective:
        assert msgspec.json.decode(msgspec.json.encode(value), type=EffectiveValue) == value
    return {value.path: _shorten(folder, value) for value in loaded.effective}


def _shorten(folder: Path, value: EffectiveValue) -> EffectiveValue:
    return msgspec.structs.replace(
        value,
        source=value.source.replace(f"{folder}/", ""),
        shadows=tuple(
            ShadowedValue(s.value, s.source.replace(f"{folder}/", "")) for s in value.shadows
        ),
    )


def _mask(text: str) -> str:
    return f"*** ({HASHER.fingerprint(text)})"


def test_every_value_knows_its_source(tmp_path: Path) -> None:
    """File, variable and default are told apart, value by value; lists are one value."""
    shown = _show(tmp_path)
    assert shown["port"] == EffectiveValue("port", 1, "config.yaml:2:7")
    assert shown["clocks.tls_s"] == EffectiveValue("clocks.tls_s", 2, "config.yaml:4:17")
    assert shown["clocks.idle_s"] == EffectiveValue("clocks.idle_s", 60.0, "default")
    assert shown["providers.p.models"].value == ["m", "n"]
    assert shown["providers.p.max_retries"].source == "default"
    assert shown["routes.fast.v1.targets"].value == [{"provider": "p", "model": "m"}]


def test_what_is_shadowed_is_listed_nearest_first(tmp_path: Path) -> None:
    """The environment goes before `.env`, both before the file; none of them is lost."""
    environ = {"PROXY_API_PORT": "3", "PROXY_API_PROVIDERS__P__TIMEOUT": "4"}
    shown = _show(tmp_path, environ=environ, dot_env="PROXY_API_PORT=2\n")
    assert shown["port"] == EffectiveValue(
        "port",
        3,
        "environment: PROXY_API_PORT",
        shadows=(
            ShadowedValue(2, ".env:1:1: PROXY_API_PORT"),
            ShadowedValue(1, "config.yaml:2:7"),
        ),
    )
    assert shown["providers.p.timeout"].shadows == (ShadowedValue(3, "config.yaml:9:14"),)


def test_headers_of_a_variable_shadow_all_of_the_files(tmp_path: Path) -> None:
    """Headers are one value: those of the file are shadowed as a whole, and masked."""
    environ = {"PROXY_API_PROVIDERS__P__HEADERS": '{"X-New": "canary"}'}
    headers = _show(tmp_path, environ=environ)["providers.p.headers"]
    assert headers.value == {"X-New": _mask("canary")}
    assert headers.shadows == (
        ShadowedValue({"X-Team": _mask("canary-header")}, "config.yaml:10:14"),
    )


def test_items_of_several_sources_have_one_each(tmp_path: Path) -> None:
    """A list that a variable has added to is shown item by item."""
    environ = {"LITELLM_MASTER_KEY": GOOD_KEY + "2"}
    shown = _show(tmp_path, environ=environ)
    assert shown["admin_keys[0]"].source == "config.yaml:3:14"
    assert shown["admin_keys[1]"].source == "environment: LITELLM_MASTER_KEY"
    assert "admin_keys" not in shown


@pytest.mark.parametrize(
    ("environ", "value", "source"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, _mask("sk-1"), "environment: OPENAI_API_KEY"),
        (
            {"OPENAI_API_KEY": "sk-1", "PROXY_API_OPENAI_API_KEY": "sk-2"},
            _mask("sk-2"),
            "environment: PROXY_API_OPENAI_API_KEY",
        ),
        ({}, None, "default"),
    ],
)
def test_a_key_that_was_found_in_a_variable_has_it_as_its_source(
    tmp_path: Path, environ: dict[str, str], value: str | None, source: str
) -> None:
    """A provider's key is shown as what is sent, from where it was found."""
    key = _show(tmp_path, environ=environ)["providers.p.api_key"]
    assert (key.value, key.source, key.is_secret) == (value, source, True)


def test_a_key_of_dot_env_below_the_environment_is_shadowed(tmp_path: Path) -> None:
    """Whoever changes a key in `.env` sees that the environment goes before it."""
    environ = {"OPENAI_API_KEY": "sk-1"}
    key = _show(tmp_path, environ=environ, dot_env="OPENAI_API_KEY=sk-2\n")["providers.p.api_key"]
    assert key.shadows == (ShadowedValue(_mask("sk-2"), ".env:1:1: OPENAI_API_KEY"),)


def test_a_reference_to_a_variable_that_is_not_set_is_no_key(tmp_path: Path) -> None:
    """A provider whose `${VARIABLE}` is not set has no key, by the line that says so."""
    text = "providers: [{name: p, type: openai, models: [m], api_key: '${MY_KEY}'}]\n"
    key = _show(tmp_path, text)["providers.p.api_key"]
    assert (key.value, key.source) == (None, "config.yaml:1:59")


def test_a_proxy_that_was_found_in_a_variable_has_it_as_its_source(tmp_path: Path) -> None:
    """A provider's proxy is told apart by its digits, also where another variable holds it."""
    entry = "{name: p, type: openai, models: [m], transport: aiohttp, proxy: '${OUT_PROXY}'}"
    url = "http://proxy.example:3128"
    proxy = _show(tmp_path, f"providers: [{entry}]\n", {"OUT_PROXY": url})["providers.p.proxy"]
    assert (proxy.value, proxy.source) == (_mask(url), "environment: OUT_PROXY")


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Neither a value nor what it shadows tells a key, a header or a store's address."""
    environ = {
        "OPENAI_API_KEY": "sk-canary",
        "R_KEY": "canary-r",
        "PROXY_API_ADMIN_KEYS": "canary-0123456789-0123456789-3",
        "PROXY_API_REDIS_URL": "redis://:canary@other",
        "PROXY_API_PROVIDERS__P__API_KEY": "canary-over",
        "PROXY_API_PROVIDERS__P__HEADERS": '{"X-A": "canary-over"}',
        "PROXY_API_PROVIDERS__R__BASE_URL": "https://r.example/v1",
    }
    shown = _show(
        tmp_path, SECRETS, environ, "R_KEY=canary-s\nPROXY_API_API_KEYS=canary-9876543210"
    )
    assert "canary" not in repr(shown)
    assert GOOD_KEY[-24:] not in repr(shown)
    assert shown["providers.p.api_key"].value == _mask("canary-over")
    assert shown["api_keys"].shadows[0].value == [
        _mask("canary-0123456789-0"),
        {"key": _mask("canary-0123456789-1"), "models": ["m"]},
    ]
    secrets = {path.rpartition(".")[2] for path, value in shown.items() if value.is_secret}
    assert secrets == {
        *("api_keys", "admin_keys", "database_url", "redis_url", "api_key", "headers", "proxy")
    }


def test_no_setting_is_left_out(tmp_path: Path) -> None:
    """Of an almost empty file every setting of the top level is shown, each once, in one order."""
    shown = _show(tmp_path, "port: 1\n")
    sections = {
        *("clocks", "limits", "condensation", "providers", "routes", "health_worker", "discovery"),
        "response_store",
    }
    flat = [s.path for s in list_settings() if "[]" not in s.path and s.path not in sections]
    # Sections that are none unless they are written are shown as such.
    absent = ("discovery.kubernetes.", "discovery.consul.")
    assert list(shown) == [path for path in flat if not path.startswith(absent)]
    assert shown["discovery.consul"].value is None


def test_no_setting_of_a_provider_is_left_out(tmp_path: Path) -> None:
    """Every setting of a provider is shown, with the defaults of those that are not set."""
    text = "providers: [{name: p, type: openai, models: [m]}]\n"
    shown = _show(tmp_path, text)
    prefix = "providers[]."
    expected = {
        f"providers.p.{s.path.removeprefix(prefix)}"
        for s in list_settings()
        if s.path.startswith(prefix) and s.path != "providers[].clocks" and "{}" not in s.path
    }
    assert expected == {path for path in shown if path.startswith("providers.")}
    assert REQUIRED not in [value.value for value in shown.values()]


def test_entries_without_a_name_go_by_their_number() -> None:
    """A provider that has no name is called by its place in the list."""
    tree = tree_of("providers: [{type: a}, {name: b, type: c}]\n")
    assert path_text(tree, ("providers", 0, "type")) == "providers[0].type"
    assert path_text(tree, ("providers", 1, "type")) == "providers.b.type"
