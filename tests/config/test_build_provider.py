"""From an entry of `providers:` to a provider of the catalog."""

from pathlib import Path

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks, PoolLimits
from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of


def _provider(
    folder: Path, entry: str, environ: dict[str, str] | None = None, top: str = ""
) -> Provider:
    text = f"api_keys: [{GOOD_KEY}]\n{top}\nproviders:\n  - {{name: p, models: [m], {entry}}}\n"
    return load_text(folder, text, environ).snapshot.providers["p"]


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("type: openai, api_key: k", "https://api.openai.com/v1"),
        ("type: openai, api_key: k, base_url: 'https://a.example'", "https://a.example/v1"),
        ("type: openai, api_key: k, base_url: 'https://a.example/'", "https://a.example/v1"),
        ("type: openai, api_key: k, base_url: 'https://a.example/v1/'", "https://a.example/v1"),
        ("type: openai, api_key: k, base_url: 'https://a.example/x'", "https://a.example/x"),
        ("type: perplexity, api_key: k", "https://api.perplexity.ai"),
        ("type: deepseek, api_key: k, base_url: 'https://a.example'", "https://a.example"),
        ("type: lm_studio", "http://127.0.0.1:1234/v1"),
        ("type: llama.cpp, base_url: 'http://10.0.0.1:9'", "http://10.0.0.1:9/v1"),
    ],
)
def test_base_urls(tmp_path: Path, entry: str, url: str) -> None:
    """The type's address is the default; `/v1` is added where the type needs it and no path is."""
    assert _provider(tmp_path, entry).base_url == url


def test_a_type_is_stored_under_its_own_name(tmp_path: Path) -> None:
    """Another spelling of a type comes out as the type's name."""
    assert _provider(tmp_path, "type: llama.cpp").type == "llama_cpp"


def test_private_networks_reach_the_provider(tmp_path: Path) -> None:
    """Networks that a host name may lead to are taken over, in their usual form."""
    entry = "type: vllm, base_url: 'http://llm.internal', private_networks: ['10.0.0.0/8', '::1']"
    assert _provider(tmp_path, entry).private_networks == ("10.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    ("entry", "environ", "key"),
    [
        ("type: openai, api_key: own", {"OPENAI_API_KEY": "env"}, "own"),
        ("type: openai, api_key: '${MY_KEY}'", {"MY_KEY": "mine"}, "mine"),
        ("type: openai", {"OPENAI_API_KEY": "plain"}, "plain"),
        ("type: openai", {"OPENAI_API_KEY": "a", "PROXY_API_OPENAI_API_KEY": "b"}, "b"),
        ("type: grok", {"XAI_API_KEY": "x"}, "x"),
        ("type: openai, api_key_env: MY_KEY", {"MY_KEY": "m", "OPENAI_API_KEY": "a"}, "m"),
        ("type: openai, api_key_env: PROXY_API_OPENAI_API_KEY", {"OPENAI_API_KEY": "a"}, "a"),
        ("type: openai, api_key: '${A_KEY}', api_key_env: B_KEY", {"B_KEY": "b"}, "b"),
        ("type: azure_openai, base_url: 'https://a'", {"AZURE_API_KEY": "z"}, "z"),
        ("type: openai, api_key: ''", {"OPENAI_API_KEY": " a\n"}, "a"),
        ("type: lm_studio", {"LM_STUDIO_API_KEY": "l"}, "l"),
        ("type: lm_studio", {}, None),
        ("type: openai", {"PROXY_API_PROVIDERS__P__API_KEY": "o", "OPENAI_API_KEY": "a"}, "o"),
    ],
)
def test_where_the_key_comes_from(
    tmp_path: Path, entry: str, environ: dict[str, str], key: str | None
) -> None:
    """`api_key`, then `api_key_env`, then the type's variables, the prefixed name first."""
    provider = _provider(tmp_path, entry, environ)
    assert provider.api_key == (Secret(key) if key is not None else None)
    assert provider.enabled


@pytest.mark.parametrize(
    ("entry", "environ", "named"),
    [
        ("type: openai", {}, "set PROXY_API_OPENAI_API_KEY or OPENAI_API_KEY"),
        ("type: openai", {"OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
        ("type: openai, api_key: '${MY_KEY}'", {"OPENAI_API_KEY": "a"}, "set MY_KEY"),
        ("type: openai, api_key_env: MY_KEY", {"OPENAI_API_KEY": "a"}, "set MY_KEY"),
        ("type: openai", {"OPENAI_API_KEY": "${OTHER}"}, "OPENAI_API_KEY"),
        ("type: lm_studio, api_key_env: MY_KEY", {}, "set MY_KEY"),
    ],
)
def test_a_provider_without_its_key_is_disabled(
    tmp_path: Path, entry: str, environ: dict[str, str], named: str
) -> None:
    """A missing key disables its provider with a warning that names the variable; others serve."""
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {{name: p, models: [m], {entry}}}\n"
    text += "  - {name: other, type: lm_studio, models: [m]}\n"
    loaded = load_text(tmp_path, text, environ)
    provider = loaded.snapshot.providers["p"]
    assert (provider.enabled, provider.api_key) == (False, None)
    assert provider.disabled_reason is not None
    assert named in provider.disabled_reason
    (warning,) = warnings_of(loaded)
    assert "config.yaml:3:12: the provider 'p' is disabled" in warning
    assert named in warning
    assert loaded.snapshot.providers["other"].enabled


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("api_key: '${PATH}'", "3:51"),
        ("api_key: '${PROXY_API_MASTER_SECRET}'", "3:51"),
        ("api_key_env: PROXY_API_ADMIN_KEYS", "3:55"),
        ("api_key_env: LITELLM_MASTER_KEY", "3:55"),
        ("api_key_env: DATABASE_URL", "3:55"),
        ("api_key_env: AWS_SECRET_ACCESS_KEY", "3:55"),
    ],
)
def test_other_secrets_are_not_sent_to_providers(tmp_path: Path, setting: str, place: str) -> None:
    """Only variables that may hold a provider's key are read; ours and the machine's are not."""
    names = ["PATH", "PROXY_API_MASTER_SECRET", "PROXY_API_ADMIN_KEYS", "LITELLM_MASTER_KEY"]
    environ = dict.fromkeys([*names, "DATABASE_URL", "AWS_SECRET_ACCESS_KEY"], "canary" * 6)
    entry = f"{{name: p, type: openai, models: [m], {setting}}}"
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {entry}\n"
    (problem,) = problems_of(tmp_path, text, environ)
    assert problem.startswith(f"config.yaml:{place}: ")
    assert "may hold a provider's key" in problem
    assert "canary" not in problem


def test_a_key_that_cannot_be_sent_is_a_problem(tmp_path: Path) -> None:
    """A key with a line break or a blank inside is reported by its variable's name only."""
    text = "providers:\n  - {name: p, type: openai, models: [m]}\n"
    (problem,) = problems_of(tmp_path, text, {"OPENAI_API_KEY": "canary\ncanary"})
    assert problem.startswith("environment: OPENAI_API_KEY: this API key cannot be sent")
    assert "canary" not in problem


@pytest.mark.parametrize("text", ["os.environ/OPENAI_API_KEY", "$OPENAI_API_KEY"])
def test_the_name_of_a_variable_is_not_sent_as_a_key(tmp_path: Path, text: str) -> None:
    """Other products' ways to name a variable are refused, with ours in their place."""
    entry = f"{{name: p, type: openai, models: [m], api_key: {text}}}"
    (problem,) = problems_of(tmp_path, f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {entry}\n", {})
    assert "the name of a variable" in problem
    assert "${NAME}" in problem


@pytest.mark.parametrize(
    ("entry", "top", "clocks"),
    [
        ("type: openai, api_key: k", "", Clocks()),
        (
            "type: openai, api_key: k, timeout: 20",
            "",
            Clocks(headers_s=20, first_token_s=20, idle_s=20),
        ),
        (
            "type: openai, api_key: k, timeout: 20, clocks: {idle_s: 5, answer_s: 7}",
            "",
            Clocks(headers_s=20, first_token_s=20, idle_s=5, answer_s=7),
        ),
        ("type: openai, api_key: k", "request_timeout: 44", Clocks(answer_s=44)),
        (
            "type: openai, api_key: k",
            "clocks: {connect_s: 1, answer_s: 9}",
            Clocks(connect_s=1, answer_s=9),
        ),
        ("type: lm_studio", "", Clocks(headers_s=600, first_token_s=600)),
        ("type: lm_studio", "clocks: {first_token_s: 9}", Clocks(headers_s=600, first_token_s=9)),
        ("type: lm_studio, timeout: 8", "", Clocks(headers_s=8, first_token_s=8, idle_s=8)),
    ],
)
def test_clocks(tmp_path: Path, entry: str, top: str, clocks: Clocks) -> None:
    """The provider's clocks go before its timeout, the global clocks, its type, the default."""
    assert _provider(tmp_path, entry, top=top).clocks == clocks


@pytest.mark.parametrize(
    ("entry", "top", "pool"),
    [
        ("type: lm_studio", "", PoolLimits()),
        (
            "type: lm_studio, max_connections: 3, max_keepalive_connections: 2",
            "max_keepalive_connections: 9",
            PoolLimits(max_connections=3, max_keepalive_connections=2),
        ),
        (
            "type: lm_studio, keepalive_timeout: 30",
            "max_keepalive_connections: 9",
            PoolLimits(max_keepalive_connections=9, keepalive_s=15),
        ),
        ("type: lm_studio, keepalive_expiry: 4", "", PoolLimits(keepalive_s=4)),
    ],
)
def test_pool(tmp_path: Path, entry: str, top: str, pool: PoolLimits) -> None:
    """Connections are unlimited unless set, and an idle one is kept 15 seconds at most."""
    assert _provider(tmp_path, entry, top=top).pool == pool


@pytest.mark.parametrize("key", ["keepalive_timeout", "keepalive_expiry"])
def test_an_idle_time_that_is_cut_is_warned_of(tmp_path: Path, key: str) -> None:
    """More than 15 seconds have no effect, which is said at the key; 15 are fine."""
    text = f"""
api_keys: [{GOOD_KEY}]
providers:
  - {{name: a, type: lm_studio, models: [m], {key}: 16}}
  - {{name: b, type: lm_studio, models: [m], {key}: 15}}
  - {{name: c, type: lm_studio, models: [m], {key}: 60, enabled: false}}
"""
    (warning,) = warnings_of(load_text(tmp_path, text))
    column = 64 if key == "keepalive_timeout" else 63
    assert warning.removeprefix(f"{tmp_path}/") == (
        f"config.yaml:4:{column}: {key}: more than 15 seconds have no effect: "
        "write 15 or less, or remove the key"
    )


def test_two_different_idle_times_are_a_problem(tmp_path: Path) -> None:
    """`keepalive_timeout` and `keepalive_expiry` are one setting and must not differ."""
    entry = "{name: p, type: lm_studio, models: [m], keepalive_timeout: 3, keepalive_expiry: 4}"
    (problem,) = problems_of(tmp_path, f"providers:\n  - {entry}\n")
    assert "two names of one setting" in problem


@pytest.mark.parametrize("setting", ["api_version: '2024-10-21'", "auth: bearer"])
def test_a_choice_that_a_type_does_not_know_is_a_mistake(tmp_path: Path, setting: str) -> None:
    """`api_version` and `auth` are refused where the type would pass them over."""
    entry = f"{{name: p, type: lm_studio, models: [m], {setting}}}"
    (problem,) = problems_of(tmp_path, f"providers:\n  - {entry}\n")
    assert "the type 'lm_studio' has no such setting: remove the line" in problem


def test_the_choices_of_a_type_reach_the_provider(tmp_path: Path) -> None:
    """`api_version` and `auth` are taken over where the type knows them."""
    entry = "type: azure, base_url: 'https://a', api_key: k, auth: bearer, api_version: v1-x"
    provider = _provider(tmp_path, entry)
    assert (provider.type, provider.api_version, provider.auth) == ("azure", "v1-x", "bearer")


def test_headers_are_taken_over_and_given_once(tmp_path: Path) -> None:
    """Extra headers reach the provider; one name in two spellings is a problem."""
    provider = _provider(tmp_path, "type: lm_studio, headers: {HTTP-Referer: 'https://a'}")
    assert provider.headers == {"HTTP-Referer": "https://a"}
    entry = "{name: p, type: lm_studio, models: [m], headers: {X-A: a, x-a: b}}"
    (problem,) = problems_of(tmp_path, f"providers:\n  - {entry}\n")
    assert "a header is given twice" in problem


def test_the_simulator_serves_its_own_names_only(tmp_path: Path) -> None:
    """The simulator takes only names that begin with `sim-`, and has no address."""
    text = "providers:\n  - {name: s, type: simulator, models: [sim-echo, gpt-4, '*']}\n"
    assert [p.partition(": models")[0] for p in problems_of(tmp_path, text)] == [
        "config.yaml:2:51",
        "config.yaml:2:58",
    ]
    text = "providers:\n  - {name: s, type: simulator, base_url: 'http://a', models: [sim-echo]}\n"
    assert "the simulator has no address" in problems_of(tmp_path, text)[0]


def test_a_provider_without_models_gets_a_warning(tmp_path: Path) -> None:
    """A provider that lists nothing loads, with a warning that nothing is sent to it."""
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {{name: p, type: lm_studio}}\n"
    (warning,) = warnings_of(load_text(tmp_path, text))
    assert "lists no models" in warning


def test_whose_files_lie_at_a_provider_is_known(tmp_path: Path) -> None:
    """The organization is the one that keys are of; without it none is named."""
    entry = "type: vllm, base_url: 'http://a/v1'"
    assert _provider(tmp_path, entry).files_organization is None
    named = f"{entry}, files_organization: acme"
    assert _provider(tmp_path, named).files_organization == "acme"


def test_a_provider_that_is_switched_off_needs_no_key(tmp_path: Path) -> None:
    """`enabled: false` takes a provider out: no key is asked for, and it is not in the catalog."""
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n"
    text += "  - {name: idle, type: openai, enabled: false}\n"
    text += "  - {name: p, type: lm_studio, models: [m]}\n"
    loaded = load_text(tmp_path, text)
    assert list(loaded.snapshot.providers) == ["p"]
    assert loaded.warnings == ()


def test_the_window_of_context_is_told_to_who_can_be(tmp_path: Path) -> None:
    """Both bounds reach the provider; elsewhere, or the wrong way round, they are a mistake."""
    entry = "type: ollama, min_context_tokens: 4096, max_context_tokens: 65536"
    provider = _provider(tmp_path, entry)
    assert (provider.min_context_tokens, provider.max_context_tokens) == (4096, 65_536)
    for wrong, words in (
        ("type: vllm, base_url: 'http://a/v1', min_context_tokens: 4096", "cannot be told"),
        ("type: ollama, max_context_tokens: 4096", "it is below min_context_tokens"),
    ):
        (problem,) = problems_of(tmp_path, f"providers:\n  - {{name: p, models: [m], {wrong}}}\n")
        assert words in problem
