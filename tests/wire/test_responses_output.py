"""Tests of `proxy/wire/responses_output.py`; what its items look like is in the writer's."""

import pytest
from msgspec import Raw

from proxy.domain.errors import UpstreamTooLarge
from proxy.domain.events import CallArguments, CallStarted, Event, LogProbs, Refused, Said, Thinking
from proxy.wire import responses_output
from proxy.wire.responses_output import OutputBuilder

HELD_BYTES = 512 * 1024
PIECE = "x" * (HELD_BYTES // 16)


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than in service is held of an answer, so that its end is soon reached."""
    monkeypatch.setattr(responses_output, "MAX_HELD_BYTES", HELD_BYTES)


@pytest.mark.parametrize(
    "event",
    [
        Said(PIECE),
        Refused(PIECE),
        Thinking(PIECE, "openai"),
        CallArguments(0, PIECE),
        LogProbs(Raw(b'{"content":[{"token":"' + PIECE.encode() + b'","logprob":0}]}')),
    ],
    ids=["text", "refusal", "thought", "call", "log probabilities"],
)
def test_who_never_ends_is_stopped(event: Event) -> None:
    """All of an answer is held for its end, and so it has a bound."""
    builder = OutputBuilder(None, shows_thoughts=True)
    builder.take(Said("x") if isinstance(event, LogProbs) else CallStarted(0, "call_a", "f"))
    with pytest.raises(UpstreamTooLarge):
        for _ in range(HELD_BYTES // len(PIECE)):
            builder.take(event)


def test_countless_items_are_too_much_as_well() -> None:
    """Each takes more than what is said in it."""
    builder = OutputBuilder(None, shows_thoughts=False)
    with pytest.raises(UpstreamTooLarge):
        for index in range(HELD_BYTES // 1024):
            builder.take(CallStarted(index, "c", "f"))


def test_what_was_held_can_be_closed() -> None:
    """An answer that has come to its end below the bound is not refused for its end."""
    builder = OutputBuilder(None, shows_thoughts=False)
    for _ in range(HELD_BYTES // len(PIECE) - 1):
        builder.take(Thinking(PIECE, "openai"))
    builder.end("completed")
    assert [item["type"] for item in builder.items] == ["reasoning", "message"]


def test_what_belongs_to_no_call_is_passed_over() -> None:
    """No piece of an unknown call ends in another's item."""
    builder = OutputBuilder(None, shows_thoughts=False)
    builder.take(CallArguments(3, "x"))
    builder.take(Said(""))
    builder.take(Refused(""))
    assert builder.items == []
