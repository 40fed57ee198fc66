"""
What an operator may name where breakers are meant, and which breakers a provider has.

Ids are those of `BreakerStore`: `provider/model`, `host:provider` and `key:provider`. A provider's
name stands for all of its breakers, `*` for everybody's.
"""

from typing import Literal

from msgspec import Struct

from proxy.domain.breaker import HOST, KEY
from proxy.domain.catalog import WILDCARD, Snapshot, is_name

EVERYTHING = "*"
WHAT_IDS_LOOK_LIKE = (
    "'provider/model' for a deployment, 'host:provider', 'key:provider', or a provider's name "
    "for all that are its own"
)
BreakerKind = Literal["deployment", "host", "key"]


class BreakerName(Struct, frozen=True):
    """An id taken apart; `model` is None for a host and a key."""

    kind: BreakerKind
    provider: str
    model: str | None = None


def split_breaker_id(breaker_id: str) -> BreakerName:
    """
    Return what an id names; one that names nothing is a deployment without a model.

    Args:
        breaker_id: as `BreakerStore` knows it.

    Source: the names of providers hold neither a colon nor a slash (config/value_types.py).
    """
    provider, slash, model = breaker_id.partition("/")
    if slash:
        return BreakerName("deployment", provider, model)
    kind, _, name = breaker_id.partition(":")
    if kind == HOST:
        return BreakerName("host", name)
    if kind == KEY:
        return BreakerName("key", name)
    return BreakerName("deployment", breaker_id, "")


def is_target(target: str, snapshot: Snapshot) -> bool:
    """
    Return whether an operator's word names breakers that this catalog has.

    Args:
        target: an id, a provider's name, or `*`.
        snapshot: the catalog in force.
    """
    if target in snapshot.providers or target == EVERYTHING:
        return True
    name = split_breaker_id(target)
    provider = snapshot.providers.get(name.provider)
    if provider is None or name.kind != "deployment":
        return provider is not None
    if not name.model:
        return False
    return name.model in provider.models or (WILDCARD in provider.models and is_name(name.model))


def covers(wider: str, narrower: str) -> bool:
    """
    Return whether an order about one target says all about another.

    Args:
        wider: a target.
        narrower: another, or the same.
    """
    if wider in (EVERYTHING, narrower):
        return True
    return narrower != EVERYTHING and wider == split_breaker_id(narrower).provider
