"""
In which order the deployments behind a name are tried: by priority, then by what is known of their
providers' health, then by the group's strategy.

Whether one of them may be tried at all is `admission.py`'s business, and which names come
after this one is the stage's. Called by `pipeline/route.py`.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import inf, log
from typing import Literal, Protocol

from msgspec import Struct

from proxy.domain.catalog import Deployment, Strategy
from proxy.domain.health import HealthState

FAILURES_TO_STEP_BACK = 2
"""Failures in a row after which a deployment comes behind its equals."""

HEALTH_RANKS: Mapping[HealthState, int] = {
    "healthy": 0,
    "unknown": 1,
    "degraded": 2,
    "rate_limited": 2,
    "unhealthy": 3,
    "key_rejected": 3,
    "warming": 3,
}
"""How the states of providers stand among each other; the lowest is tried first."""
UNKNOWN_RANK = HEALTH_RANKS["unknown"]
BY_HEALTH = "+health"
"""Behind a reason: without what is known of the providers' health the order would be another."""

OrderReason = Literal["only", "priority", "weighted", "least_latency", "least_cost", "sticky"]

_RANGE = 2**64
_Key = tuple[int, bool, int, float, float]
"""Priority, whether it has failed, health, price, rank: what one deployment is sorted by."""


class Facts(Protocol):
    """What is known of deployments at this moment, in this process."""

    @property
    def is_health_even(self) -> bool:
        """Every provider has the same `health_rank` now: there is no need to ask for it."""

    def failures(self, deployment_id: str) -> int:
        """
        Return how often in a row a deployment has failed lately.

        Failures have to be forgotten with time: one that stands back is tried by nobody whose
        request somebody else can serve, so that no success of its own ends the row.
        """

    def latency_s(self, deployment: Deployment) -> float:
        """
        Return what to expect of a deployment's first token, in seconds; 0 if nothing is known.

        It is the peak-sensitive average of what was measured, times one more than the
        requests that are under way there.
        """

    def health_rank(self, deployment: Deployment) -> int:
        """
        Return how its provider's health stands among others, one of `HEALTH_RANKS`.

        It is advice, and orders candidates; whether one may be tried it does not touch.
        """


class NoFacts:
    """Facts (see above) of a process that has only begun: nothing is known."""

    is_health_even = True

    def failures(self, deployment_id: str) -> int:
        """Return 0."""
        return 0

    def latency_s(self, deployment: Deployment) -> float:
        """Return 0."""
        return 0.0

    def health_rank(self, deployment: Deployment) -> int:
        """Return the rank of what nobody has asked."""
        return UNKNOWN_RANK


class Order(Struct, frozen=True, gc=False):
    """Deployments in the order they are to be tried, and what decided about it."""

    deployments: tuple[Deployment, ...]
    reason: OrderReason
    is_by_health: bool = False
    """Without what is known of the providers' health the order would be another."""

    @property
    def told_reason(self) -> str:
        """The reason as headers and logs have it."""
        return self.reason + BY_HEALTH if self.is_by_health else self.reason


def order(
    deployments: tuple[Deployment, ...],
    strategy: Strategy,
    facts: Facts,
    draw: Callable[[], float],
    session_id: str | None = None,
) -> Order:
    """
    Put the deployments of a group into the order they are to be tried.

    A lower priority number always comes first. Among equals of one priority those that have
    failed twice in a row come last. Of the rest, and of these, those come first whose provider is
    healthy, then the unknown, then the slow and rate-limited, last those that cannot answer. What
    is still equal stands by the strategy:

    - `priority`: a higher weight first.
    - `weighted`: drawn one after the other, each in proportion to its weight; 0 comes last.
    - `least_latency`: by `facts.latency_s`, the lowest first, so that the unknown is tried.
    - `least_cost`: by `ModelInfo.price`, the lowest first, the unknown last.

    With a session each of its requests meets the same order, in which a deployment is first for a
    share of all sessions in proportion to its weight. It takes the strategy's place; with
    `least_cost` it decides only among equal prices. When deployments come or go, only
    sessions move that were first there or are now.

    Args:
        deployments: as a group has them: lower priority first, then higher weight; not empty.
        strategy: of the group.
        facts: what is known of the deployments.
        draw: returns a random number from 0 to less than 1.
        session_id: what the client calls its conversation, None if it has said nothing.

    Returns:
        A permutation of `deployments`, and the reason: `only` if there is one, `sticky` if the
        session has decided between equals, else the strategy.

    Raises:
        Nothing.

    Source: docs/routing.md. Weighted draws: Efraimidis and Spirakis, 2006; sessions: weighted
        rendezvous hashing, Schindelhauer and Schomaker, 2005.
    """
    if len(deployments) == 1:
        return Order(deployments, "only")
    failed = [facts.failures(each.breaker_id) >= FAILURES_TO_STEP_BACK for each in deployments]
    health = [] if facts.is_health_even else [facts.health_rank(each) for each in deployments]
    is_even = not health or min(health) == max(health)
    if session_id is None and strategy == "priority":
        if is_even and not any(failed):
            return Order(deployments, strategy)
        ranks = [0.0] * len(deployments)  # they stand by their weight already
    elif session_id is None:
        ranks = [_rank(each, strategy, facts, draw) for each in deployments]
    else:
        ranks = _rank_by_session(deployments, session_id)
    # The place within a tier is a price first where that is what counts, then what `ranks` say.
    by_price = session_id is not None and strategy == "least_cost"
    prices = [_price(each) if by_price else 0.0 for each in deployments]
    if is_even:
        health = [UNKNOWN_RANK] * len(deployments)
    keys = [
        (each.priority, has_failed, health_rank, price, rank)
        for each, has_failed, health_rank, price, rank in zip(
            deployments, failed, health, prices, ranks, strict=True
        )
    ]
    places = sorted(range(len(deployments)), key=keys.__getitem__)
    reason: OrderReason = strategy
    if session_id is not None and _has_equals(keys):
        reason = "sticky"
    is_by_health = not is_even and places != _sort_without_health(keys)
    return Order(tuple(deployments[place] for place in places), reason, is_by_health)


def _rank(
    deployment: Deployment, strategy: Strategy, facts: Facts, draw: Callable[[], float]
) -> float:
    if strategy == "weighted":
        return _spread(1.0 - draw(), deployment.weight)
    if strategy == "least_latency":
        return facts.latency_s(deployment)
    return _price(deployment)


def _price(deployment: Deployment) -> float:
    price = deployment.info.price
    return inf if price is None else price


def _rank_by_session(deployments: tuple[Deployment, ...], session_id: str) -> list[float]:
    seed = blake2b(session_id.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    ranks = []
    for each in deployments:
        digest = blake2b(each.id.encode(), digest_size=8, key=seed).digest()
        # From above 0 to 1, like 1 minus a draw.
        ranks.append(_spread((int.from_bytes(digest) + 1) / _RANGE, each.weight))
    return ranks


def _spread(chance: float, weight: int) -> float:
    """Return how late one comes: exponentially distributed, its rate is the weight."""
    return -log(chance) / weight if weight else inf


def _sort_without_health(keys: list[_Key]) -> list[int]:
    """Return the places as they would be if nothing were known of anybody's health."""
    return sorted(range(len(keys)), key=lambda place: (*keys[place][:2], *keys[place][3:]))


def _has_equals(keys: list[_Key]) -> bool:
    """Return whether any two differ in nothing but their rank."""
    return len({key[:4] for key in keys}) < len(keys)
