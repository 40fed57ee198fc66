"""Stage: where to? The names that a request asks for -> deployments in the order to try them."""

from collections.abc import Iterator, Sequence
from random import random
from typing import overload

from msgspec import Raw, Struct
from multidict import MultiMapping

from proxy.domain.catalog import SIMULATED, Deployment, Group, Snapshot
from proxy.domain.errors import InvalidRequest, ModelNotFound, NoHealthyProvider
from proxy.domain.identity import Caller
from proxy.policy.routing import Facts, order
from proxy.wire.base import Ask
from proxy.wire.json_text import encode
from proxy.wire.routing_fields import MAX_SESSION_CHARACTERS

SESSION_HEADER = "x-session-id"
BUFFER_HEADER = "x-llm-proxy-buffer"
MAX_SHOWN = 8
"""Deployments that a header and a log line name; there may be hundreds."""


class Leg(Struct, frozen=True):
    """One of the names that a request may be answered under: best first, and why in that order."""

    name: str
    candidates: tuple[Deployment, ...]
    reason: str


class Legs(Sequence[Leg]):
    """
    The legs of one route, each made when it is first looked at: few requests need a second.

    The first is what was asked for, also if nothing there can serve now. Of the others, those
    that cannot are left out, and so is a deployment that stands in an earlier leg. A request that
    is `pinned` finds deployments of that provider alone.
    """

    def __init__(
        self,
        first: Group,
        names: Sequence[str],
        snapshot: Snapshot,
        facts: Facts,
        session_id: str | None,
        pinned: str | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._pinned = pinned
        self._facts = facts
        self._session_id = session_id
        self._made = [self._make(first, self._list_usable(first))]
        # Last first, to be taken from the end.
        self._names = [*reversed(dict.fromkeys(names))] if names else []

    @overload
    def __getitem__(self, index: int) -> Leg: ...

    @overload
    def __getitem__(self, index: slice) -> list[Leg]: ...

    def __getitem__(self, index: int | slice) -> Leg | list[Leg]:
        """Return a leg, made now if it is the first time."""
        if isinstance(index, slice):
            self._make_until(None)
        else:
            self._make_until(index if index >= 0 else None)
        return self._made[index]

    def __iter__(self) -> Iterator[Leg]:
        """Go through the legs, each made when its turn has come."""
        number = 0
        while self.may_have(number):
            self._make_until(number)
            if number < len(self._made):
                yield self._made[number]
            number += 1

    @property
    def first(self) -> Leg:
        """The leg of what was asked for."""
        return self._made[0]

    def __len__(self) -> int:
        """Return how many there are; makes them all."""
        self._make_until(None)
        return len(self._made)

    def may_have(self, index: int) -> bool:
        """Return whether there is a leg of that number, for all that is known without making it."""
        return len(self._made) > index or bool(self._names)

    def _make_until(self, index: int | None) -> None:
        while self._names and (index is None or len(self._made) <= index):
            group = self._snapshot.find_group(self._names.pop())
            known = {each.id for leg in self._made for each in leg.candidates}
            new = tuple(d for d in self._list_usable(group) if d.id not in known) if group else ()
            if group is not None and new:
                self._made.append(self._make(group, new))

    def _list_usable(self, group: Group) -> tuple[Deployment, ...]:
        if self._pinned is None:
            return group.deployments
        return tuple(d for d in group.deployments if d.provider.name == self._pinned)

    def _make(self, group: Group, deployments: tuple[Deployment, ...]) -> Leg:
        if not deployments:
            return Leg(group.name, (), group.strategy)
        found = order(deployments, group.strategy, self._facts, random, self._session_id)
        return Leg(group.name, found.deployments, found.told_reason)


class Route(Struct, frozen=True):
    """Where a request may go, what was asked for first."""

    alias: str
    """The name that was asked for."""
    legs: Legs
    reason: str
    """Why the first leg's candidates stand in their order."""
    is_buffered: bool = False
    """Nothing of a stream is shown before it is whole, so that a broken one can be replaced."""

    def list_order(self, last_leg: int) -> tuple[str, ...]:
        """Return the ids of what is tried up to a leg, at most 8; () where there is no choice."""
        candidates = self.legs.first.candidates
        for number in range(1, last_leg + 1):
            candidates += self.legs[number].candidates
        if len(candidates) < 2:
            return ()
        return tuple([each.id for each in candidates[:MAX_SHOWN]])


def route(
    ask: Ask, headers: MultiMapping[str], snapshot: Snapshot, caller: Caller, facts: Facts
) -> Route:
    """
    Return where a request may go: the name it asks for, then its fallbacks, then no other's.

    A request's own fallbacks replace those of the route. A name that the caller's key may not ask
    for is looked up all the same and then taken for an unknown one: neither the answer nor its
    time tells that it exists. The fallbacks of a route are the operator's choice, and open to
    every key that may ask for the route.

    Raises:
        ModelNotFound: a name stands for nothing here, or for nothing to this caller.
        NoHealthyProvider: the names are known, but no provider that could serve them is usable.
        InvalidRequest: simulated answers are to stand in for real ones, the header
            `x-llm-proxy-buffer` is neither true nor false, or what is gone on from is kept by a
            provider that serves none of the names.
    """
    if ask.may_untag:
        _untag(ask, snapshot)
    group = _find_group(ask.model, "model", snapshot, caller)
    names: Sequence[str] = group.fallbacks
    if ask.fallbacks is not None:
        names = ask.fallbacks
        _check_names(ask, group, snapshot, caller)
    # Whose order is no question needs no session.
    is_choice = bool(names) or len(group.deployments) > 1
    session_id = _read_session_id(ask, headers) if is_choice else None
    legs = Legs(group, names, snapshot, facts, session_id, ask.pinned)
    if ask.pinned is not None:
        _check_pinned(ask.pinned, legs, snapshot)
    elif not group.deployments and len(legs) == 1:
        raise NoHealthyProvider()
    is_buffered = ask.streams and _is_buffered(group, headers)
    return Route(group.name, legs, legs.first.reason, is_buffered)


def _check_pinned(pinned: str, legs: Legs, snapshot: Snapshot) -> None:
    """Refuse a request that only one provider can answer, where that provider does not serve it."""
    if any(leg.candidates for leg in legs):
        return
    provider = snapshot.providers.get(pinned)
    if provider is None or not provider.enabled:
        raise NoHealthyProvider(
            "The provider that keeps what this goes on from is not in use any more; "
            "send the conversation as a whole."
        )
    raise InvalidRequest(
        "What this goes on from is kept by a provider that does not serve this model.",
        param="model",
    )


def _untag(ask: Ask, snapshot: Snapshot) -> None:
    """Have a request ask for the name that it means, where it has put `:latest` behind it."""
    ask.model = snapshot.find_untagged(ask.model)
    ask.fields["model"] = Raw(encode(ask.model))


def _find_group(name: str, param: str, snapshot: Snapshot, caller: Caller) -> Group:
    group = snapshot.find_group(name)
    if group is None or not caller.may_ask_for(name):
        if not any(provider.enabled for provider in snapshot.providers.values()):
            raise NoHealthyProvider()
        raise ModelNotFound(name, param)
    return group


def _check_names(ask: Ask, group: Group, snapshot: Snapshot, caller: Caller) -> None:
    """Refuse a request whose fallbacks are not all names that it may ask for."""
    is_simulated = group.is_simulated or group.name.startswith(SIMULATED)
    for number, name in enumerate(ask.fallbacks or ()):
        param = "models" if number < ask.models_count else "fallbacks"
        fallback = _find_group(name, param, snapshot, caller)
        if fallback.is_simulated and not is_simulated:
            raise InvalidRequest(
                f"'{param}' names the simulator, whose answers cannot stand in for real ones.",
                param=param,
            )


def _read_session_id(ask: Ask, headers: MultiMapping[str]) -> str | None:
    given = headers.get(SESSION_HEADER)
    if given and len(given) <= MAX_SESSION_CHARACTERS:
        return given
    return ask.session_id


def _is_buffered(group: Group, headers: MultiMapping[str]) -> bool:
    given = headers.get(BUFFER_HEADER)
    if given is not None and given.lower() not in ("true", "false"):
        raise InvalidRequest(
            f"The header '{BUFFER_HEADER}' must be 'true' or 'false'.", param=BUFFER_HEADER
        )
    is_asked_for = given is not None and given.lower() == "true"
    return is_asked_for or group.stream_failure == "buffered"
