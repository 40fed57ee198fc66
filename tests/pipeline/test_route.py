"""A model name finds its deployments, or says why not."""

import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import ModelNotFound, NoHealthyProvider
from proxy.domain.identity import Caller
from proxy.pipeline.route import Route, route
from tests.fakes.proxy_server import build_provider, build_snapshot

A = build_provider("http://a.test/v1", name="a", models=("m", "only-a"))
B = build_provider("http://b.test/v1", name="b", models=("m",), priority=2)
OFF = build_provider("http://c.test/v1", name="off", models=("dark",), enabled=False)

ANYONE = Caller("key_anyone")


def find(name: str, snapshot: Snapshot) -> Route:
    """Return the route of a caller who may ask for every name."""
    return route(name, snapshot, ANYONE)


def test_a_group_is_tried_in_its_order() -> None:
    """Every provider that lists the model is a candidate, and the reason names the strategy."""
    found = find("m", build_snapshot(A, B))
    assert [candidate.id for candidate in found.candidates] == ["a/m", "b/m"]
    assert (found.alias, found.reason) == ("m", "priority")


def test_a_single_deployment_needs_no_strategy() -> None:
    """One candidate is `only`."""
    assert find("only-a", build_snapshot(A, B)).reason == "only"


def test_a_provider_can_be_named() -> None:
    """`provider/model` goes to that provider alone."""
    found = find("b/m", build_snapshot(A, B))
    assert [candidate.id for candidate in found.candidates] == ["b/m"]


@pytest.mark.parametrize("name", ["nope", "a/nope", "nobody/m", "off/nope", "/m", "a/"])
def test_an_unknown_name_is_not_found(name: str) -> None:
    """A name that stands for nothing, also at a provider that is named, is 404 for `model`."""
    with pytest.raises(ModelNotFound) as caught:
        find(name, build_snapshot(A, B, OFF))
    assert (caught.value.status, caught.value.param) == (404, "model")


def test_a_known_name_without_a_usable_provider_is_unavailable() -> None:
    """A model that only a provider without its key lists is 503, not 404: it does exist."""
    with pytest.raises(NoHealthyProvider):
        find("off/dark", build_snapshot(A, B, OFF))


def test_without_any_provider_nothing_can_be_served() -> None:
    """No usable provider at all is 503 with 003's text, whatever the name."""
    with pytest.raises(NoHealthyProvider) as caught:
        find("dark", build_snapshot(OFF))
    assert caught.value.message == "All providers are currently unavailable."


@pytest.mark.parametrize("name", ["m", "b/m", "only-a", "off/dark"])
def test_a_forbidden_name_is_not_found_like_an_unknown_one(name: str) -> None:
    """A key with names of its own gets for every other name what an unknown one gets."""
    caller = Caller("key_few", models=frozenset(("a/m",)))
    snapshot = build_snapshot(A, B, OFF)
    assert route("a/m", snapshot, caller).candidates[0].id == "a/m"
    with pytest.raises(ModelNotFound) as forbidden:
        route(name, snapshot, caller)
    assert forbidden.value.message == ModelNotFound(name).message


def test_a_forbidden_name_does_not_show_by_an_outage() -> None:
    """While nothing can be served, forbidden, unknown and good names all get the same 503."""
    caller = Caller("key_few", models=frozenset(("dark",)))
    for name in ("dark", "off/dark", "nope"):
        with pytest.raises(NoHealthyProvider):
            route(name, build_snapshot(OFF), caller)
