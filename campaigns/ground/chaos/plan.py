"""
What each provider does with each request of the campaign of chaos, and what may come of it.

It follows from the request's tag and the provider's name, so that the provider, which is another
process, and the judge come to the same plan without a word between them.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

from msgspec import Struct

from tests.fakes.proxy_server import DONE, USAGE, build_chunk
from tests.faults.fault_upstream import (
    BAD_HEADS,
    ERROR_EVENT,
    FINISH,
    ROLE,
    USAGE_EVENT,
    build_answer,
    build_json,
    build_reply,
    build_secret_error,
    build_stream,
)

PROVIDERS = ("one", "two", "three")
STEADY = {"unsteady-one": "one", "unsteady-two": "two", "unsteady-three": "three"}
"""The models, each with the one provider that answers for it as long as it is well."""
CALM = "calm"
"""A model that every provider answers well, and at once."""
PIECES = 6
FAULTY = 0.2
"""The share of faults where a provider is not the steady one."""
SLOW = 0.05
RETRY_AFTER_S = 1

HARMLESS = ("none", "slow")

Strike = Literal["tell", "cut", "reset", "stall"]
End = Literal["whole", "broken", "nothing"]
"""What a client can get of an answer: all, a beginning that breaks, or not a byte."""


class Plan(Struct, frozen=True):
    """
    What a provider does with one request.

    The first `at` bytes of `answer` are sent (None: all), after `pause_s` and again as much
    between two quarters; then comes the strike. `ends` are those that are possible.
    """

    fault: str
    answer: bytes
    strike: Strike = "tell"
    at: int | None = None
    pause_s: float = 0.0
    ends: frozenset[End] = frozenset(("nothing",))


class Counts(Struct, frozen=True):
    """What the providers have counted, all of them together."""

    requests: int
    """That were read whole, since the start."""
    connections: int
    """That are open now."""
    faults: int
    """That were planned for single requests, and done."""


def build_text(tag: str, provider: str) -> str:
    """Return the whole text with which a provider answers a tag."""
    return "".join(_build_pieces(tag, provider))


def choose_plan(tag: str, provider: str, model: str, *, streams: bool) -> Plan:
    """Return what a provider does with a request for a model."""
    chance = Random(f"{tag}/{provider}")
    good = _build_good(tag, provider, streams=streams)
    if model != CALM and STEADY[model] != provider and chance.random() < FAULTY:
        fault = chance.choice(sorted(_FAULTS))
        plan = _FAULTS[fault](fault, good, chance, streams)
        return plan if streams else _without_beginning(plan)
    pause_s = 0.05 if model != CALM and chance.random() < SLOW else 0.0
    return Plan("slow" if pause_s else "none", good.data, pause_s=pause_s, ends=_WHOLE)


class _Good(Struct, frozen=True):
    """A good answer, and where in its bytes something can be shown, and where all is said."""

    events: Sequence[bytes]
    data: bytes
    content_at: int
    said_at: int


_WHOLE: frozenset[End] = frozenset(("whole",))
_BREAKS: frozenset[End] = frozenset(("broken", "nothing"))
_ANY: frozenset[End] = frozenset(("whole", "broken", "nothing"))


def _build_pieces(tag: str, provider: str) -> list[str]:
    return [f"{tag} of {provider}, part {number}. " for number in range(PIECES)]


def _build_good(tag: str, provider: str, *, streams: bool) -> _Good:
    pieces = _build_pieces(tag, provider)
    if not streams:
        data = build_json(build_answer("".join(pieces), usage=USAGE))
        return _Good((), data, len(data), len(data))
    contents = [build_chunk(piece) for piece in pieces]
    events = (ROLE, *contents, FINISH, USAGE_EVENT, DONE)
    data = build_stream(events)
    return _Good(events, data, data.index(contents[0].strip()), _end_of(data, FINISH))


def _end_of(data: bytes, event: bytes) -> int:
    return data.index(event.strip()) + len(event)


def _without_beginning(plan: Plan) -> Plan:
    """Return the plan of an answer of which nothing is shown before all of it is there."""
    ends: frozenset[End] = _WHOLE if plan.ends == _WHOLE else frozenset(("nothing",))
    return Plan(plan.fault, plan.answer, plan.strike, plan.at, plan.pause_s, ends)


def _strike(strike: Strike) -> Callable[[str, _Good, Random, bool], Plan]:
    """Return the fault of an answer that is struck after any of its bytes but the last."""

    def build(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
        # Half of all at the beginning, where most bytes are not.
        most = len(good.data) - 1 if chance.random() < 0.5 else good.content_at
        at = chance.randrange(most)
        ends: frozenset[End] = frozenset(("nothing",))
        if at > good.content_at:
            ends = _BREAKS if at < good.said_at else _ANY
        return Plan(fault, good.data, strike, at, ends=ends)

    return build


def _status(status: int, *headers: str) -> Callable[[str, _Good, Random, bool], Plan]:
    answer = build_json(build_secret_error(), "length", status, *headers)
    return lambda fault, good, chance, streams: Plan(fault, answer)


def _say_error(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """An error with status 200, as the first event or as one of the later ones."""
    if not streams:
        return Plan(fault, build_json(build_secret_error()))
    return _insert(fault, good, chance, ERROR_EVENT)


def _say_junk(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """What is no JSON."""
    if not streams:
        return Plan(fault, build_reply(b'{"choices": [{]', "application/json"))
    return _insert(fault, good, chance, b"data: {oops\n\n")


def _insert(fault: str, good: _Good, chance: Random, event: bytes) -> Plan:
    at = chance.randrange(PIECES)  # pieces that go before it
    events = [*good.events[: at + 1], event, *good.events[at + 1 :]]
    return Plan(fault, build_stream(events), ends=_BREAKS if at else frozenset(("nothing",)))


def _say_page(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """A page, as what stands in front of a provider says that it is busy."""
    return Plan(fault, build_reply(b"<html><h1>Busy</h1></html>", "text/html"))


def _say_nothing(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """An answer that is complete and empty."""
    return Plan(fault, build_stream([DONE]) if streams else build_reply(b"{}", "application/json"))


def _stop_short(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """An answer that ends in good order, before all is said."""
    if not streams:
        return Plan(
            fault, build_reply(good.data.partition(b"\r\n\r\n")[2][:-9], "application/json")
        )
    count = chance.randrange(1, PIECES + 1)
    ends: frozenset[End] = _BREAKS if count > 1 else frozenset(("nothing",))
    return Plan(fault, build_stream(good.events[:count]), ends=ends)


def _say_bad_head(fault: str, good: _Good, chance: Random, streams: bool) -> Plan:
    """A head that nobody may accept."""
    return Plan(fault, BAD_HEADS[chance.choice(sorted(BAD_HEADS))], "cut")


_FAULTS: dict[str, Callable[[str, _Good, Random, bool], Plan]] = {
    "closed": _strike("cut"),
    "reset": _strike("reset"),
    "silent": _strike("stall"),
    "408": _status(408),
    "429": _status(429, f"Retry-After: {RETRY_AFTER_S}"),
    "500": _status(500),
    "502": _status(502),
    "503": _status(503),
    "529": _status(529),
    "error in a 200": _say_error,
    "junk": _say_junk,
    "page": _say_page,
    "empty": _say_nothing,
    "stopped short": _stop_short,
    "bad head": _say_bad_head,
}
