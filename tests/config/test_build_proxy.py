"""The proxy of a provider: what it may be, where it may stand, and what is wrong with it."""

from pathlib import Path

import pytest

from proxy.domain.secret import Secret
from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of

URL = "http://someone:c4nary-secret@proxy.example:3128"
AIOHTTP = "transport: aiohttp"


def _text(entry: str, kind: str = "type: openai, api_key: k, models: [m]") -> str:
    return f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {{name: p, {kind}, {entry}}}\n"


@pytest.mark.parametrize(
    ("entry", "environ"),
    [
        (f"{AIOHTTP}, proxy: '{URL}'", {}),
        (f"{AIOHTTP}, proxy: '${{PROXY_API_OUT}}'", {"PROXY_API_OUT": f" {URL}\n"}),
        (f"{AIOHTTP}, proxy: '${{HTTPS_PROXY}}'", {"HTTPS_PROXY": URL}),
        (f"{AIOHTTP}, proxy: '${{https_proxy}}'", {"https_proxy": URL}),
        (AIOHTTP, {"PROXY_API_PROVIDERS__P__PROXY": URL}),
    ],
)
def test_a_proxy_reaches_the_provider(tmp_path: Path, entry: str, environ: dict[str, str]) -> None:
    """It stands in the entry, in a variable that the entry names, or in one for the entry."""
    loaded = load_text(tmp_path, _text(entry), environ)
    provider = loaded.snapshot.providers["p"]
    assert provider.proxy == Secret(URL)
    assert "c4nary" not in repr(provider)
    assert warnings_of(loaded) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY", "PROXY_API_PROXY"])
def test_a_proxy_that_nobody_has_named_is_not_used(tmp_path: Path, name: str) -> None:
    """Whatever the environment holds, a provider without `proxy` is asked directly."""
    loaded = load_text(tmp_path, _text(AIOHTTP), {name: URL})
    assert loaded.snapshot.providers["p"].proxy is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            f"proxy: '{URL}'",
            "proxy: the transport 'httptools' goes through no proxy: "
            "add a line 'transport: aiohttp' to this provider",
        ),
        (
            f"{AIOHTTP}, proxy: 'https://c4nary@proxy.example:3128'",
            "proxy: this URL asks for TLS to the proxy itself, which is not spoken: write http://",
        ),
        (f"{AIOHTTP}, proxy: 'http://c4nary.example'", "proxy: this URL names no port: write "),
        (f"{AIOHTTP}, proxy: ''", "proxy: this URL is no address of a proxy: write "),
        (
            f"{AIOHTTP}, proxy: 'http://a:${{PASS}}@proxy.example:3128'",
            "proxy: this URL holds '${...}' beside other text: put the whole URL into one variable",
        ),
        (
            f"{AIOHTTP}, proxy: '${{OUT_PROXY}}'",
            "proxy: OUT_PROXY is not set: set OUT_PROXY, or remove proxy",
        ),
        (
            f"{AIOHTTP}, proxy: '${{OPENAI_API_KEY}}'",
            "proxy: this variable is not one that may hold a proxy's URL: "
            "use a name that begins with PROXY_API_ or ends in _PROXY",
        ),
        (
            f"{AIOHTTP}, proxy: '${{PROXY_API_MASTER_SECRET}}'",
            "proxy: this variable is not one that may hold a proxy's URL: ",
        ),
    ],
)
def test_what_is_no_proxy(tmp_path: Path, entry: str, problem: str) -> None:
    """A mistake is a problem that says how to mend it, and shows nothing of the URL."""
    environ = {"OPENAI_API_KEY": "sk-c4nary", "PROXY_API_MASTER_SECRET": "c4nary" * 6}
    (found,) = problems_of(tmp_path, _text(entry), environ)
    assert found.startswith("config.yaml:3:")
    assert problem in found
    assert "c4nary" not in found


def test_a_mistake_in_a_variable_is_told_by_its_name(tmp_path: Path) -> None:
    """Of a URL in a variable the problem names the variable, not the line that refers to it."""
    entry = f"{AIOHTTP}, proxy: '${{OUT_PROXY}}'"
    (found,) = problems_of(tmp_path, _text(entry), {"OUT_PROXY": "socks5://c4nary:1"})
    assert found.startswith("environment: OUT_PROXY: proxy: this URL is no address of a proxy")
    assert "c4nary" not in found


def test_a_provider_out_of_service_needs_no_variable(tmp_path: Path) -> None:
    """With `enabled: false` a variable that is not set is no problem."""
    load_text(tmp_path, _text(f"enabled: false, {AIOHTTP}, proxy: '${{OUT_PROXY}}'"))


def test_the_simulator_has_no_proxy(tmp_path: Path) -> None:
    """What is made up in this process is asked through nothing."""
    text = _text(f"{AIOHTTP}, proxy: '{URL}'", "type: simulator, models: [sim-echo]")
    (found,) = problems_of(tmp_path, text)
    assert "proxy: the simulator is asked through nothing: remove proxy" in found


@pytest.mark.parametrize(
    ("entry", "warning"),
    [
        ("proxy: 'http://proxy:3128'", "proxy: its name looks like one of a private network"),
        ("proxy: 'http://proxy.lan:3128', private_networks: ['10.0.0.0/8']", None),
        ("proxy: 'http://10.0.0.1:3128'", None),
        ("proxy: 'http://10.0.0.1:3128', base_url: 'http://llm.internal/v1'", None),
        (
            "proxy: 'http://10.0.0.1:3128', base_url: 'http://localhost:1/v1'",
            "base_url: behind a proxy this is not this machine",
        ),
        (
            "proxy: 'http://10.0.0.1:3128', base_url: 'http://[::1]:1/v1'",
            "base_url: behind a proxy this is not this machine",
        ),
    ],
)
def test_what_is_doubtful(tmp_path: Path, entry: str, warning: str | None) -> None:
    """A proxy whose addresses will be refused, and a provider that is not where it seems to be."""
    found = warnings_of(load_text(tmp_path, _text(f"{AIOHTTP}, {entry}")))
    assert [each for each in found if warning is None or warning not in each] == []
    assert len(found) == (warning is not None)
