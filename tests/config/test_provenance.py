"""Where each effective value comes from."""

from proxy.config.environment import build_environment
from proxy.config.merge import merge
from proxy.config.provenance import path_text, read_provenance
from proxy.config.setting import REQUIRED, list_settings
from tests.config.loading import tree_of

TEXT = """
port: 1
admin_keys: [a]
providers:
  - name: p
    type: openai
    models: [m, n]
"""


def test_every_value_knows_its_source() -> None:
    """File, variable and default are told apart, value by value."""
    environ = {"PROXY_API_PROVIDERS__P__TIMEOUT": "3", "LITELLM_MASTER_KEY": "b"}
    places = read_provenance(merge(tree_of(TEXT), build_environment(environ, {})).tree)
    shown = {path: str(place) for path, place in places.items()}
    assert shown["port"] == "config.yaml:2:7"
    assert shown["providers.p.models"] == "config.yaml:7:13"
    assert shown["providers.p.timeout"] == "environment: PROXY_API_PROVIDERS__P__TIMEOUT"
    assert shown["admin_keys[0]"] == "config.yaml:3:14"
    assert shown["admin_keys[1]"] == "environment: LITELLM_MASTER_KEY"
    assert "admin_keys" not in shown
    assert shown["clocks.tls_s"] == "default"
    assert shown["providers.p.max_retries"] == "default"


def test_no_setting_is_left_out() -> None:
    """Every setting of the top level has a source, also in an almost empty file."""
    places = read_provenance(tree_of("port: 1\n"))
    flat = [s for s in list_settings() if "[]" not in s.path]
    assert [
        s.path for s in flat if s.default not in (REQUIRED, "{}") and s.path not in places
    ] == []


def test_entries_without_a_name_go_by_their_number() -> None:
    """A provider that has no name is called by its place in the list."""
    tree = tree_of("providers: [{type: a}, {name: b, type: c}]\n")
    assert path_text(tree, ("providers", 0, "type")) == "providers[0].type"
    assert path_text(tree, ("providers", 1, "type")) == "providers.b.type"
