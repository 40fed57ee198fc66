"""In which order deployments are tried, and that chance and sessions are fair."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.catalog import Deployment, ModelInfo, Provider, Strategy
from proxy.domain.health import HealthState
from proxy.policy.routing import HEALTH_RANKS, NoFacts, order

SESSIONS = [f"session-{number}" for number in range(2000)]


class KnownFacts:
    """Facts that a test sets, by the id of the deployment."""

    def __init__(
        self,
        failures: Mapping[str, int] | None = None,
        latency_s: Mapping[str, float] | None = None,
        health: Mapping[str, HealthState] | None = None,
    ) -> None:
        self._failures = failures or {}
        self._latency_s = latency_s or {}
        self._health = health or {}
        self.is_health_even = not self._health

    def failures(self, deployment_id: str) -> int:
        """Return what was set."""
        return self._failures.get(deployment_id, 0)

    def latency_s(self, deployment: Deployment) -> float:
        """Return what was set."""
        return self._latency_s.get(deployment.id, 0.0)

    def health_rank(self, deployment: Deployment) -> int:
        """Return the rank of the state that was set."""
        return HEALTH_RANKS[self._health.get(deployment.id, "unknown")]


def build(name: str, *, priority: int = 1, weight: int = 1, info: ModelInfo | None = None) -> Any:
    """Return the deployment of the model `m` at a provider of that name."""
    known = {"m": info} if info is not None else {}
    return Deployment(Provider(name, "openai", "http://h", model_info=known), "m", priority, weight)


def build_group(*deployments: Deployment) -> tuple[Deployment, ...]:
    """Return deployments in the order that a group has them in."""
    return tuple(sorted(deployments, key=lambda d: (d.priority, -d.weight, d.id)))


def never() -> float:
    """Stand for chance where nothing is to be left to it."""
    raise AssertionError("nothing is left to chance here")


def names(
    deployments: tuple[Deployment, ...],
    strategy: Strategy,
    facts: KnownFacts | None = None,
    session_id: str | None = None,
    draw: Any = never,
) -> list[str]:
    """Return the names of the providers in the order they are to be tried."""
    found = order(deployments, strategy, facts or KnownFacts(), draw, session_id)
    return [deployment.provider.name for deployment in found.deployments]


_deployments = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.none() | st.integers(0, 3)),
    min_size=1,
    max_size=8,
).map(
    lambda rows: build_group(
        *(
            build(f"p{n}", priority=p, weight=w, info=None if i is None else ModelInfo(None, i, i))
            for n, (p, w, i) in enumerate(rows)
        )
    )
)


@given(
    _deployments,
    st.sampled_from(get_args(Strategy)),
    st.none() | st.text(max_size=20),
    st.dictionaries(st.sampled_from([f"p{n}/m" for n in range(8)]), st.integers(0, 4)),
    st.dictionaries(st.sampled_from([f"p{n}/m" for n in range(8)]), st.floats(0, 10)),
    st.dictionaries(
        st.sampled_from([f"p{n}/m" for n in range(8)]), st.sampled_from(get_args(HealthState))
    ),
    st.randoms(),
)
def test_every_order_is_a_permutation_that_respects_its_tiers(
    deployments: tuple[Deployment, ...],
    strategy: Strategy,
    session_id: str | None,
    failures: dict[str, int],
    latencies: dict[str, float],
    health: dict[str, HealthState],
    random: Random,
) -> None:
    """Nobody is lost or doubled; who failed twice is behind its equals, then who is less well."""
    facts = KnownFacts(failures, latencies, health)
    found = order(deployments, strategy, facts, random.random, session_id)
    assert sorted(d.id for d in found.deployments) == sorted(d.id for d in deployments)
    places = [
        (d.priority, facts.failures(d.id) >= 2, facts.health_rank(d)) for d in found.deployments
    ]
    assert places == sorted(places)
    if len(deployments) == 1:
        assert found.reason == "only"
    elif found.reason != "sticky":
        assert found.reason == strategy


def test_one_deployment_takes_no_work() -> None:
    """A single deployment is returned as it came, and nobody is asked about it."""
    deployments = (build("a"),)
    found = order(deployments, "weighted", None, never, "s")  # type: ignore[arg-type]
    assert found.deployments is deployments
    assert found.reason == "only"


def test_priority_leaves_a_group_as_it_is() -> None:
    """Lower numbers first, then higher weights; one failure changes nothing."""
    deployments = build_group(build("a", weight=2), build("b", weight=5), build("c", priority=0))
    assert names(deployments, "priority", KnownFacts({"b/m": 1})) == ["c", "b", "a"]


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("session_id", [None, "s"])
def test_two_failures_in_a_row_cost_the_place_among_equals(
    strategy: Strategy, session_id: str | None
) -> None:
    """Under every strategy it comes last of its priority, and still before the next one."""
    cheap = ModelInfo(None, 0, 0)
    deployments = build_group(
        build("a", weight=9, info=cheap), build("b"), build("c"), build("z", priority=2)
    )
    facts = KnownFacts({"a/m": 2}, {"b/m": 5.0, "c/m": 6.0})
    found = names(deployments, strategy, facts, session_id, Random(1).random)
    assert found[2:] == ["a", "z"]


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("session_id", [None, "s"])
def test_the_healthy_come_before_the_unknown_and_the_sick_last(
    strategy: Strategy, session_id: str | None
) -> None:
    """Under every strategy, within a priority, and behind whoever has failed twice in a row."""
    cheap = ModelInfo(None, 0, 0)
    deployments = build_group(
        build("sick", weight=9, info=cheap),
        build("slow", weight=8, info=cheap),
        build("unknown", weight=7, info=cheap),
        build("well"),
        build("failed", weight=9, info=cheap),
        build("next", priority=2),
    )
    health: dict[str, HealthState] = {
        "sick/m": "key_rejected",
        "slow/m": "degraded",
        "well/m": "healthy",
        "failed/m": "healthy",
        "next/m": "healthy",
    }
    facts = KnownFacts({"failed/m": 2}, {"well/m": 9.0}, health)
    found = order(deployments, strategy, facts, Random(1).random, session_id)
    assert [each.provider.name for each in found.deployments] == [
        "well",
        "unknown",
        "slow",
        "sick",
        "failed",
        "next",
    ]
    assert found.told_reason == f"{found.reason}+health"


def test_health_is_named_only_where_it_has_decided() -> None:
    """Where the order would be the same without it, the reason is the strategy alone."""
    deployments = build_group(build("a", weight=2), build("b"))
    in_order: dict[str, HealthState] = {"a/m": "healthy", "b/m": "unhealthy"}
    turned: dict[str, HealthState] = {"a/m": "unhealthy", "b/m": "healthy"}
    alike: dict[str, HealthState] = {"a/m": "rate_limited", "b/m": "degraded"}
    for health, reason in (
        (in_order, "priority"),
        (turned, "priority+health"),
        (alike, "priority"),
    ):
        found = order(deployments, "priority", KnownFacts(health=health), never)
        assert found.told_reason == reason


def test_weighted_draws_in_proportion() -> None:
    """Over many requests each is first for its share, and 0 is never before another."""
    deployments = build_group(
        build("a", weight=6), build("b", weight=3), build("c", weight=1), build("d", weight=0)
    )
    random = Random(7).random
    orders = [names(deployments, "weighted", draw=random) for _ in range(20_000)]
    first = Counter(found[0] for found in orders)
    assert {name: round(count / 20_000, 1) for name, count in first.items()} == {
        "a": 0.6,
        "b": 0.3,
        "c": 0.1,
    }
    assert {found[3] for found in orders} == {"d"}
    # Without the first, the others share by what they have: 3 to 1 of the 60 % that `a` leads.
    second = Counter(found[1] for found in orders if found[0] == "a")
    assert second["b"] / second.total() == pytest.approx(0.75, abs=0.02)


def test_the_fastest_is_first_and_the_unknown_is_tried() -> None:
    """Expected latencies rise through a tier; nothing known is 0."""
    deployments = build_group(build("a"), build("b"), build("c"), build("d", priority=2))
    facts = KnownFacts(latency_s={"a/m": 0.9, "b/m": 0.3, "d/m": 0.1})
    assert names(deployments, "least_latency", facts) == ["c", "b", "a", "d"]


def test_the_cheapest_is_first_and_the_unknown_last() -> None:
    """Three parts of the input's price and one of the output's decide."""
    deployments = build_group(
        build("chatty", info=ModelInfo(None, 1, 10)),  # 13
        build("plain", info=ModelInfo(None, 3, 3)),  # 12
        build("half", info=ModelInfo(None, 0, None)),
        build("free", info=ModelInfo(None, 0, 0), priority=2),
    )
    assert names(deployments, "least_cost") == ["plain", "chatty", "half", "free"]


def test_nothing_known_is_no_preference() -> None:
    """In a process that has only begun, latency leaves a group as it is."""
    deployments = build_group(build("a"), build("b", weight=2))
    found = order(deployments, "least_latency", NoFacts(), never)
    assert (found.deployments, found.reason) == (deployments, "least_latency")


@pytest.mark.parametrize("strategy", ["priority", "weighted", "least_latency"])
def test_a_session_stays_where_it_is(strategy: Strategy) -> None:
    """Each request of a session has the same order, whatever latencies and chance would say."""
    deployments = build_group(*(build(f"p{n}") for n in range(5)))
    slow = KnownFacts(latency_s={f"p{n}/m": float(n) for n in range(5)})
    for session_id in SESSIONS[:50]:
        found = names(deployments, strategy, session_id=session_id)
        assert found == names(deployments[::-1], strategy, slow, session_id)


def test_sessions_spread_by_weight() -> None:
    """Of many sessions each deployment is first for a share in proportion to its weight."""
    deployments = build_group(build("a", weight=3), build("b", weight=1), build("c", weight=0))
    first = Counter(names(deployments, "priority", session_id=s)[0] for s in SESSIONS)
    assert first["a"] / len(SESSIONS) == pytest.approx(0.75, abs=0.03)
    assert first["c"] == 0


def test_only_the_sessions_of_a_newcomer_move() -> None:
    """One more among five takes about a sixth of all sessions, and all that move go to it."""
    five = build_group(*(build(f"p{n}") for n in range(5)))
    six = build_group(*five, build("new"))
    before = {s: names(five, "weighted", session_id=s) for s in SESSIONS}
    after = {s: names(six, "weighted", session_id=s) for s in SESSIONS}
    moved = [s for s in SESSIONS if before[s][0] != after[s][0]]
    assert {after[s][0] for s in moved} == {"new"}
    assert len(moved) / len(SESSIONS) == pytest.approx(1 / 6, abs=0.03)
    for session in SESSIONS:
        assert [name for name in after[session] if name != "new"] == before[session]


def test_a_session_decides_only_between_equals() -> None:
    """Where priorities leave no choice the strategy is the reason, else the session is."""
    apart = build_group(build("a"), build("b", priority=2))
    together = build_group(build("a"), build("b"))
    assert order(apart, "priority", NoFacts(), never, "s").reason == "priority"
    assert order(together, "priority", NoFacts(), never, "s").reason == "sticky"
    demoted = KnownFacts({"a/m": 2})
    assert order(together, "priority", demoted, never, "s").reason == "priority"


def test_a_session_pays_no_higher_price() -> None:
    """With `least_cost` sessions are spread over the cheapest only."""
    cheap, dear = ModelInfo(None, 1, 1), ModelInfo(None, 2, 2)
    deployments = build_group(build("a", info=cheap), build("b", info=cheap), build("c", info=dear))
    found = [names(deployments, "least_cost", session_id=s) for s in SESSIONS]
    assert {order[2] for order in found} == {"c"}
    assert {order[0] for order in found} == {"a", "b"}


def test_any_text_may_be_a_session() -> None:
    """Long texts and halves of characters are as good as any other."""
    deployments = build_group(build("a"), build("b"))
    assert len(names(deployments, "priority", session_id="x" * 10_000 + "\ud800")) == 2
