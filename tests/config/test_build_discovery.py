"""Where providers are searched for: what may be written, and which variables are read for it."""

from pathlib import Path

import pytest

from proxy.domain.discovery import ConsulSettings, KubernetesSettings, RegistrySettings
from proxy.domain.secret import Secret
from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of

TOKEN = "c4nary-token"


def _text(*lines: str) -> str:
    provider = "providers: [{name: p, type: openai, api_key: k, models: [m]}]"
    return "\n".join((f"api_keys: [{GOOD_KEY}]", provider, *lines)) + "\n"


def test_nothing_is_searched_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Without a word about it no provider is searched for anywhere."""
    discovery = load_text(tmp_path, _text()).snapshot.settings.discovery
    assert not discovery.is_on
    assert discovery.interval_s == 300.0


def test_every_search_reaches_the_snapshot(tmp_path: Path) -> None:
    """Registry, Kubernetes, Consul and local servers are searched as the file says, with tokens."""
    text = _text(
        "provider_registry_url: https://registry.example/providers.json?team=a",
        "provider_discovery_interval: 30",
        "discovery:",
        "  registry_token_env: REGISTRY_TOKEN",
        "  api_key_env: PROXY_API_FOUND",
        "  local_servers: true",
        "  private_networks: [10.0.0.0/8]",
        "  priority: 5",
        "  max_providers: 7",
        "  kubernetes: {label_selector: app=vllm, namespace: llm, port: http}",
        "  consul: {services: [vllm], tag: prod, token_env: CONSUL_HTTP_TOKEN}",
    )
    names = ("REGISTRY_TOKEN", "PROXY_API_FOUND", "CONSUL_HTTP_TOKEN")
    loaded = load_text(tmp_path, text, dict.fromkeys(names, f"{TOKEN}\n"))
    discovery = loaded.snapshot.settings.discovery
    assert discovery.is_on
    assert discovery.registry == RegistrySettings(
        "https://registry.example/providers.json?team=a", Secret(TOKEN)
    )
    assert discovery.kubernetes == KubernetesSettings("app=vllm", namespace="llm", port="http")
    assert discovery.consul == ConsulSettings(
        "http://127.0.0.1:8500", ("vllm",), "prod", Secret(TOKEN)
    )
    assert discovery.local_servers
    assert discovery.private_networks == ("10.0.0.0/8",)
    assert discovery.api_key == Secret(TOKEN)
    assert (discovery.interval_s, discovery.priority, discovery.max_providers) == (30.0, 5, 7)
    assert TOKEN not in repr(discovery)
    assert loaded.not_in_force == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("api_key_env: HOME", "api_key_env: this variable is not one that may hold a token: use"),
        ("api_key_env: A_TOKEN", "api_key_env: A_TOKEN is not set: set A_TOKEN, or remove"),
        ("api_key_env: BAD_TOKEN", "this token cannot be sent in a header: copy it again"),
        ("consul: {services: []}", "services: this is empty"),
        ("consul: {services: [a], url: 'ftp://x'}", "this is not an http or https URL with a host"),
        ("kubernetes: {namespace: llm}", "label_selector"),
        ("private_networks: [ten]", "this is not a network"),
    ],
)
def test_what_cannot_be_searched_is_told(tmp_path: Path, line: str, problem: str) -> None:
    """A mistake about a search is a mistake of the configuration, with what to do about it."""
    problems = problems_of(tmp_path, _text("discovery:", f"  {line}"), {"BAD_TOKEN": "a b"})
    assert any(problem in each for each in problems), problems


def test_a_search_without_a_searcher_is_doubtful(tmp_path: Path) -> None:
    """Where the health worker is switched off, a search that nobody makes is a warning."""
    text = _text("discovery: {local_servers: true}", "health_worker: {enabled: false}")
    assert any("switched off" in each for each in warnings_of(load_text(tmp_path, text)))
