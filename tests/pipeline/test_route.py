"""A request's names find their deployments, or it is said why not."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace
from multidict import CIMultiDict

from proxy.domain.catalog import Deployment, Group, Provider, Snapshot
from proxy.domain.errors import InvalidRequest, ModelNotFound, NoHealthyProvider
from proxy.domain.identity import Caller
from proxy.pipeline.route import MAX_SHOWN, Route, route
from proxy.policy.routing import NoFacts
from proxy.wire.base import Ask
from tests.fakes.proxy_server import build_provider, build_snapshot

A = build_provider("http://a.test/v1", name="a", models=("m", "only-a", "large"))
B = build_provider("http://b.test/v1", name="b", models=("m", "spare"), priority=2)
OFF = build_provider("http://c.test/v1", name="off", models=("dark",), enabled=False)
SIMULATOR = build_provider("", name="sim", type="simulator", models=("sim-echo",))

ANYONE = Caller("key_anyone")


class FailedTwice:
    """Facts of a process in which one deployment has failed twice in a row."""

    is_health_even = True

    def __init__(self, deployment_id: str) -> None:
        self._deployment_id = deployment_id

    def failures(self, deployment_id: str) -> int:
        """Return 2 for that deployment."""
        return 2 if deployment_id == self._deployment_id else 0

    def latency_s(self, deployment: Deployment) -> float:
        """Return 0: nothing is known."""
        return 0.0

    def health_rank(self, deployment: Deployment) -> int:
        """Return 0: all stand alike."""
        return 0


def find(
    name: str,
    snapshot: Snapshot,
    *,
    caller: Caller = ANYONE,
    headers: Mapping[str, str] | None = None,
    facts: Any = None,
    **fields: Any,
) -> Route:
    """Return the route of a request for a name."""
    ask = Ask("chat", name, {}, **fields)
    given = CIMultiDict[str](headers or {})
    return route(ask, given, snapshot, caller, facts or NoFacts())


def ids(found: Route) -> list[list[str]]:
    """Return the ids of the candidates, leg by leg."""
    return [[candidate.id for candidate in leg.candidates] for leg in found.legs]


def with_group(name: str, *providers: Provider, **fields: Any) -> Snapshot:
    """Return a snapshot of `A` and `B` with one more group: the model `m` at some providers."""
    snapshot = build_snapshot(A, B, SIMULATOR)
    deployments = tuple(Deployment(p, "m", p.priority, p.weight) for p in providers)
    group = Group(name, deployments, **fields)
    return replace(snapshot, groups={**snapshot.groups, name: group})


def test_a_group_is_tried_in_its_order() -> None:
    """Every provider that lists the model is a candidate, and the reason names the strategy."""
    found = find("m", build_snapshot(A, B))
    assert ids(found) == [["a/m", "b/m"]]
    assert (found.alias, found.reason, found.is_buffered) == ("m", "priority", False)


def test_a_single_deployment_needs_no_strategy() -> None:
    """One candidate is `only`."""
    assert find("only-a", build_snapshot(A, B)).reason == "only"


def test_a_provider_can_be_named() -> None:
    """`provider/model` goes to that provider alone."""
    assert ids(find("b/m", build_snapshot(A, B))) == [["b/m"]]


def test_what_fails_stands_behind_its_equals() -> None:
    """The order goes by what this process knows of the deployments."""
    assert ids(find("m", build_snapshot(A, B), facts=FailedTwice("a/m"))) == [["b/m", "a/m"]]


class SickFirst(NoFacts):
    """Facts of a process that has heard that the provider `a` is unwell."""

    is_health_even = False

    def health_rank(self, deployment: Deployment) -> int:
        """Return the last rank for it."""
        return 3 if deployment.provider.name == "a" else 0


def test_a_healthier_provider_is_first_and_the_reason_says_so() -> None:
    """What the health worker believes stands behind the strategy's name."""
    found = find("m", build_snapshot(A, B), facts=SickFirst())
    assert (ids(found), found.reason) == ([["b/m", "a/m"]], "priority+health")


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
    assert ids(find("a/m", snapshot, caller=caller)) == [["a/m"]]
    with pytest.raises(ModelNotFound) as forbidden:
        find(name, snapshot, caller=caller)
    assert forbidden.value.message == ModelNotFound(name).message


def test_a_forbidden_name_does_not_show_by_an_outage() -> None:
    """While nothing can be served, forbidden, unknown and good names all get the same 503."""
    caller = Caller("key_few", models=frozenset(("dark",)))
    for name in ("dark", "off/dark", "nope"):
        with pytest.raises(NoHealthyProvider):
            find(name, build_snapshot(OFF), caller=caller)


def test_a_routes_fallbacks_follow_it() -> None:
    """Each is a leg with the order and reason of its own group, in the order of the route."""
    found = find("fast", with_group("fast", A, fallbacks=("m", "spare")))
    # The deployment that was tried already is not tried again under another name.
    assert ids(found) == [["a/m"], ["b/m"], ["b/spare"]]
    assert [leg.name for leg in found.legs] == ["fast", "m", "spare"]
    assert [leg.reason for leg in found.legs] == ["only", "only", "only"]


def test_a_fallbacks_own_fallbacks_are_not_followed() -> None:
    """One level is all: what stands behind a fallback is not asked for."""
    snapshot = with_group("fast", A, fallbacks=("slow",))
    groups = {**snapshot.groups, "slow": Group("slow", (Deployment(B, "m"),), fallbacks=("spare",))}
    assert ids(find("fast", replace(snapshot, groups=groups))) == [["a/m"], ["b/m"]]


def test_a_requests_fallbacks_replace_those_of_the_route() -> None:
    """What a client asks for is what it gets; an empty list asks for none."""
    snapshot = with_group("fast", A, fallbacks=("spare",))
    assert ids(find("fast", snapshot, fallbacks=("only-a", "b/m"))) == [
        ["a/m"],
        ["a/only-a"],
        ["b/m"],
    ]
    assert ids(find("fast", snapshot, fallbacks=())) == [["a/m"]]


def test_a_leg_is_made_when_it_is_looked_at() -> None:
    """A request that is answered by its first name looks up no other."""
    snapshot = with_group("fast", A, fallbacks=("spare",))
    found = find("fast", snapshot)
    snapshot.groups.clear()  # type: ignore[attr-defined]
    assert ids(found) == [["a/m"]]


def test_legs_are_a_sequence() -> None:
    """They can be counted, and looked at from both ends and in part."""
    legs = find("fast", with_group("fast", A, fallbacks=("spare", "large"))).legs
    assert legs[1].name == "spare"
    assert (legs[-1].name, len(legs)) == ("large", 3)
    assert [leg.name for leg in legs[1:]] == ["spare", "large"]
    with pytest.raises(IndexError):
        legs[3]


def test_a_name_that_nobody_serves_now_is_answered_by_its_fallbacks() -> None:
    """The first leg is what was asked for, empty; a fallback that cannot serve is left out."""
    snapshot = with_group("fast", fallbacks=("gone", "dark", "spare"))
    groups = {**snapshot.groups, "dark": Group("dark", ())}
    found = find("fast", replace(snapshot, groups=groups))
    assert (found.alias, ids(found)) == ("fast", [[], ["b/spare"]])
    with pytest.raises(NoHealthyProvider):
        find("fast", with_group("fast", fallbacks=("gone",)))


@pytest.mark.parametrize("name", ["nope", "a/nope", "only-a"])
@pytest.mark.parametrize(("models_count", "param"), [(1, "fallbacks"), (2, "models")])
def test_a_requests_fallback_must_be_a_name_it_may_ask_for(
    name: str, models_count: int, param: str
) -> None:
    """An unknown name and a forbidden one are the same 404, for the field they came in."""
    caller = Caller("key_few", models=frozenset(("m", "spare")))
    with pytest.raises(ModelNotFound) as caught:
        find(
            "m",
            build_snapshot(A, B),
            caller=caller,
            fallbacks=("spare", name),
            models_count=models_count,
        )
    assert (caught.value.status, caught.value.param) == (404, param)
    assert caught.value.message == ModelNotFound(name).message


def test_a_routes_fallbacks_are_open_to_who_may_ask_for_the_route() -> None:
    """The operator has chosen them: a key for the alias alone is answered by them too."""
    caller = Caller("key_alias", models=frozenset(("fast",)))
    snapshot = with_group("fast", A, fallbacks=("spare",))
    assert ids(find("fast", snapshot, caller=caller)) == [["a/m"], ["b/spare"]]


@pytest.mark.parametrize("name", ["sim-echo", "sim/sim-echo"])
def test_the_simulator_stands_in_for_nobody(name: str) -> None:
    """A request for a real model that names a simulated one as fallback is a 400."""
    snapshot = build_snapshot(A, SIMULATOR)
    with pytest.raises(InvalidRequest) as caught:
        find("m", snapshot, fallbacks=(name,))
    assert (caught.value.status, caught.value.param) == (400, "fallbacks")
    assert ids(find("sim-echo", snapshot, fallbacks=("m",))) == [["sim/sim-echo"], ["a/m"]]


def test_a_session_keeps_its_place() -> None:
    """The header names the session, else the body does; a header too long for one is none."""
    equal = replace(B, priority=1)
    snapshot = with_group("fast", A, equal, strategy="weighted")
    by_header = {s: find("fast", snapshot, headers={"x-session-id": s}) for s in map(str, range(9))}
    assert {found.reason for found in by_header.values()} == {"sticky"}
    for session_id, found in by_header.items():
        by_body = find("fast", snapshot, session_id=session_id)
        both = find("fast", snapshot, headers={"X-Session-Id": session_id}, session_id="other")
        assert ids(found) == ids(by_body) == ids(both)
    assert len({found.legs[0].candidates[0].id for found in by_header.values()}) == 2
    assert find("fast", snapshot, headers={"x-session-id": "s" * 257}).reason == "weighted"


@pytest.mark.parametrize(
    ("value", "route_says", "is_buffered"),
    [
        (None, "terminate", False),
        (None, "buffered", True),
        ("true", "terminate", True),
        ("True", "terminate", True),
        ("false", "terminate", False),
        ("false", "buffered", True),
    ],
)
def test_a_stream_may_be_held_back(value: str | None, route_says: Any, is_buffered: bool) -> None:
    """The route or the request asks for it; what the route promises no request takes back."""
    headers = {} if value is None else {"x-llm-proxy-buffer": value}
    snapshot = with_group("fast", A, stream_failure=route_says)
    assert find("fast", snapshot, headers=headers, streams=True).is_buffered is is_buffered
    assert not find("fast", snapshot, headers=headers).is_buffered


def test_a_wish_to_hold_back_is_true_or_false() -> None:
    """Any other value is a 400 of a stream, and nobody's business without one."""
    headers = {"x-llm-proxy-buffer": "yes"}
    with pytest.raises(InvalidRequest) as caught:
        find("m", build_snapshot(A), headers=headers, streams=True)
    assert (caught.value.status, caught.value.param) == (400, "x-llm-proxy-buffer")
    assert not find("m", build_snapshot(A), headers=headers).is_buffered


def test_the_order_is_told_where_there_is_a_choice() -> None:
    """It is that of all legs that were come to, and ends after eight."""
    found = find("fast", with_group("fast", A, fallbacks=("m", "spare")))
    assert found.list_order(0) == ()
    assert found.list_order(2) == ("a/m", "b/m", "b/spare")
    many = [build_provider("http://h", name=f"p{n}") for n in range(12)]
    assert len(find("m", build_snapshot(*many)).list_order(0)) == MAX_SHOWN


def test_a_pinned_request_finds_one_provider_alone() -> None:
    """Under whatever name that serves it; legs of others are left out."""
    snapshot = build_snapshot(A, B, OFF)
    assert ids(find("m", snapshot, pinned="b")) == [["b/m"]]
    assert ids(find("only-a", snapshot, pinned="b", fallbacks=("m", "large"))) == [[], ["b/m"]]


def test_a_pinned_request_without_its_provider_is_refused() -> None:
    """That it does not serve the name is the client's to mend; that it is gone is not."""
    snapshot = build_snapshot(A, B, OFF)
    with pytest.raises(InvalidRequest) as caught:
        find("only-a", snapshot, pinned="b")
    assert caught.value.param == "model"
    for gone in ("off", "never"):
        with pytest.raises(NoHealthyProvider):
            find("m", snapshot, pinned=gone)


def test_a_name_with_a_tag_is_asked_for_without_it() -> None:
    """Ollama's clients put `:latest` behind a name: what goes out has the name that is known."""
    ask = Ask("ollama_chat", "m:latest", {"model": Raw(b'"m:latest"')}, may_untag=True)
    found = route(ask, CIMultiDict[str](), build_snapshot(A, B), ANYONE, NoFacts())
    assert (found.alias, ask.model, bytes(ask.fields["model"])) == ("m", "m", b'"m"')
    other = Ask("chat", "m:latest", {})
    with pytest.raises(ModelNotFound):
        route(other, CIMultiDict[str](), build_snapshot(A, B), ANYONE, NoFacts())
