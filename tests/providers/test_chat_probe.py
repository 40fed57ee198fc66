"""Probes of the types that are asked by way of the hub, alike for all of them."""

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.health import ProbeSettings
from proxy.domain.settings import Clocks
from proxy.providers.chat_probe import build_chat_probe, read_chat_probe
from proxy.providers.cohere import COHERE, Cohere

ROOT = "https://it.example/root"
PROVIDER = Provider("it", "cohere", "https://it.example/base", models=("m",))
CLOCKS = Clocks(connect_s=1.5)


@pytest.mark.parametrize(
    ("probe", "method", "url"),
    [
        (ProbeSettings(), "GET", ROOT + COHERE.health_path),
        (ProbeSettings(path="/own"), "GET", "https://it.example/base/own"),
        (ProbeSettings(kind="completion"), "POST", "https://it.example/base/v2/chat"),
    ],
)
def test_what_is_asked_goes_by_the_probe(probe: ProbeSettings, method: str, url: str) -> None:
    """The usual path stands behind the root, an own one behind `base_url`; a completion is one."""
    provider = replace(PROVIDER, probe=probe)
    request = build_chat_probe(Cohere(), COHERE, provider, ROOT, "Authorization", CLOCKS)
    assert request is not None
    assert (request.method, request.url, request.clocks) == (method, url, CLOCKS)


def test_nothing_is_asked_where_it_is_off() -> None:
    """A probe that is off sends nothing."""
    provider = replace(PROVIDER, probe=ProbeSettings(kind="off"))
    assert build_chat_probe(Cohere(), COHERE, provider, ROOT, "Authorization", CLOCKS) is None


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b'{"ok":1}', "healthy"),
        (b'{"no":1}', "unhealthy"),
        (b"[1]", "unhealthy"),
        (b"<p>", "unhealthy"),
    ],
)
def test_a_completion_is_known_by_its_members(body: bytes, state: str) -> None:
    """Only what the type calls a completion is one, whatever else a 200 holds."""
    provider = replace(PROVIDER, probe=ProbeSettings(kind="completion"))
    reading = read_chat_probe(COHERE, provider, 200, body, lambda value: "ok" in value)
    assert reading.state == state
    refused = read_chat_probe(COHERE, provider, 429, body, lambda value: "ok" in value)
    assert refused.state == "rate_limited"
