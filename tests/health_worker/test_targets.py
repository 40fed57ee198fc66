"""Tests of `health_worker/targets.py`: what there is to probe."""

from typing import Any

import pytest
from msgspec.structs import replace

from health_worker.targets import Target, build_targets
from proxy.domain.catalog import Provider
from proxy.domain.health import ProbeSettings, WatchedEndpoint
from proxy.domain.secret import Secret
from tests.health_worker.made import build_snapshot, build_target

HOSTED = Provider("hosted", "openai", "https://api.openai.com/v1", models=("a", "*"))
KEYED = replace(HOSTED, name="keyed", api_key=Secret("sk-canary"))


def test_every_provider_that_can_be_asked_is_a_target() -> None:
    """Providers in service are targets, with the models that they are known by."""
    targets = build_targets(build_snapshot(HOSTED, KEYED))
    assert targets["hosted"] == Target("hosted", HOSTED, ("a",))
    assert targets["keyed"].provider.api_key == Secret("sk-canary")
    assert not targets["hosted"].is_watched_only


@pytest.mark.parametrize(
    "provider",
    [
        replace(HOSTED, enabled=False, disabled_reason="no API key"),
        replace(HOSTED, probe=ProbeSettings(kind="off")),
        replace(HOSTED, type="simulator", base_url="simulator:"),
    ],
    ids=["disabled", "off", "simulator"],
)
def test_what_cannot_be_asked_is_no_target(provider: Provider) -> None:
    """A provider out of service, one that is not to be asked and the simulator are left out."""
    assert build_targets(build_snapshot(provider)) == {}


@pytest.mark.parametrize(
    ("kind", "url", "is_local", "is_here"),
    [
        ("openai", "https://api.openai.com/v1", False, False),
        ("openai_compatible", "http://127.0.0.1:9/v1", True, True),
        ("openai_compatible", "http://localhost:9/v1", True, True),
        ("openai_compatible", "http://[::1]:9/v1", True, True),
        ("vllm", "http://10.0.0.7:8000/v1", True, False),
        ("lm_studio", "http://127.0.0.1:1234/v1", True, True),
    ],
)
def test_a_machine_of_ones_own_is_told_from_this_one(
    kind: str, url: str, is_local: bool, is_here: bool
) -> None:
    """Local types are local wherever they run; whatever is on loopback is on this machine."""
    target = build_targets(build_snapshot(Provider("p", kind, url)))["p"]
    assert (target.is_local, target.is_on_this_machine) == (is_local, is_here)


def test_an_endpoint_of_a_provider_only_adds_to_its_models() -> None:
    """Where an endpoint belongs to a provider that is asked, at its own address, with its key."""
    endpoint = WatchedEndpoint("x", "https://elsewhere.example/v1", ("b", "a"), ("keyed",))
    targets = build_targets(build_snapshot(KEYED), (endpoint,))
    assert targets == {"keyed": Target("keyed", KEYED, ("a", "b"))}


def test_an_endpoint_of_a_provider_out_of_service_is_not_asked() -> None:
    """Nothing is watched in the name of a provider that is switched off."""
    off = replace(KEYED, enabled=False)
    endpoint = WatchedEndpoint("keyed", "https://api.openai.com", ("a",), ("keyed",))
    assert build_targets(build_snapshot(off), (endpoint,)) == {}


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://w.example", "https://w.example/v1"),
        ("https://w.example/", "https://w.example/v1"),
        ("https://w.example/api/", "https://w.example/api"),
    ],
)
def test_what_is_only_watched_gets_no_key(url: str, asked: str) -> None:
    """An endpoint of nobody is asked without a key, at its address as OpenAI's format has it."""
    targets = build_targets(build_snapshot(KEYED), (WatchedEndpoint("w", url, ("m",)),))
    target = targets["w"]
    assert target.is_watched_only
    assert target.expected_models == ("m",)
    assert (target.provider.base_url, target.provider.api_key) == (asked, None)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"weight": 7, "models": ("b",), "priority": 3}, True),
        ({"base_url": "https://other.example/v1"}, False),
        ({"api_key": Secret("another")}, False),
        ({"headers": {"X": "1"}}, False),
        ({"probe": ProbeSettings(path="/ping")}, False),
        ({"ca_file": "/ca.pem"}, False),
    ],
)
def test_only_what_an_answer_depends_on_makes_another_target(
    change: dict[str, Any], is_same: bool
) -> None:
    """Another address, key or path is another endpoint; another weight is not."""
    assert build_target().is_asked_like(build_target(**change)) is is_same
