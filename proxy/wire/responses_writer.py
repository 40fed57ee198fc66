"""The events of an answer as clients of the Responses API get it: a stream, or one response."""

from collections.abc import Sequence

from proxy.domain.events import (
    Counted,
    Event,
    Finished,
    LogProbs,
    Said,
    Started,
)
from proxy.domain.stored_response import StoredResponse
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.responses_input import build_input_items
from proxy.wire.responses_object import ResponseObject, Status
from proxy.wire.responses_options import shows_thoughts
from proxy.wire.responses_output import Emit, OutputBuilder
from proxy.wire.translated_stream import CONTENT

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the finish reason; all others are the end of a whole one."""


class ResponsesWriter:
    """
    An EventWriter (see `wire/dialect.py`) of the Responses API's streams.

    It keeps in the Ask what an error at the end must repeat, and what is to be stored of the
    answer when it is complete.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._events: list[bytes] = []
        self._number = 0
        self._answer = _Answer(ask, self._emit)
        self._has_begun = False
        ask.response_id = None

    def write(self, events: Sequence[Event]) -> bytes:
        """
        Return what the client is sent for them (see `wire/dialect.py`).

        Raises:
            UpstreamTooLarge: the answer is longer than what is held of one.
        """
        if not self._has_begun:
            # Who has answered may stand behind the beginning that has a place for it.
            self._answer.note(events)
            if all(isinstance(event, Counted) for event in events):
                return b""
            self._begin()
        self._answer.take(events)
        return self._drain()

    def finish(self) -> bytes:
        """Return what completes the stream (see `wire/dialect.py`)."""
        if not self._has_begun:
            self._begin()
        status, body = self._answer.finish()
        self._emit(f"response.{status}", b'"response":' + body)
        return self._drain()

    def _begin(self) -> None:
        self._has_begun = True
        response = b'"response":' + self._answer.response.build("in_progress")
        self._emit("response.created", response)
        self._emit("response.in_progress", response)

    def _emit(self, kind: str, members: bytes) -> None:
        name = kind.encode()
        self._events.append(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'
            % (name, name, self._number, members)
        )
        self._number += 1

    def _drain(self) -> bytes:
        if self._answer.has_content:
            # Before there is any, another candidate may begin its stream anew.
            self._ask.response_id = self._answer.response.id
            self._ask.next_number = self._number
        events = b"".join(self._events)
        self._events.clear()
        return events


def write_response(ask: Ask, events: Sequence[Event]) -> bytes:
    """
    Return a complete answer as one response, and keep in `ask` what is to be stored of it.

    Args:
        ask: what was asked.
        events: all of them, in the order of `domain/events.py`.

    Raises:
        UpstreamTooLarge: the answer is longer than what is held of one.

    Source: wire-formats §2.7; tests/wire/test_responses_writer.py.
    """
    answer = _Answer(ask, None)
    answer.note(events)
    answer.take(events)
    return answer.finish()[1]


class _Answer:
    """What both have in common: one response, and the choice that it tells."""

    def __init__(self, ask: Ask, emit: Emit | None) -> None:
        self.response = ResponseObject(ask)
        self.has_content = False
        self._ask = ask
        self._output = OutputBuilder(emit, shows_thoughts=shows_thoughts(ask.fields))
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._choice: int | None = None
        """The one that is told: this dialect has one answer."""

    def note(self, events: Sequence[Event]) -> None:
        """Take note of what stands at the head of an answer, wherever among the first it is."""
        for event in events:
            if isinstance(event, Started):
                self.response.note(event)
            elif isinstance(event, Counted):
                self._usage = event.usage
            elif self._choice is None or event.choice < self._choice:
                self._choice = event.choice

    def take(self, events: Sequence[Event]) -> None:
        """Take the next events; probabilities right behind their text are told with it."""
        for position, event in enumerate(events):
            if isinstance(event, Counted):
                self._usage = event.usage
                continue
            if isinstance(event, Started):
                continue
            if self._choice is None:
                self._choice = event.choice
            if event.choice != self._choice:
                continue
            self.has_content = self.has_content or isinstance(event, CONTENT)
            if isinstance(event, Finished):
                self._finished = event
            elif isinstance(event, Said):
                self._output.take(event, _find_log_probs(events, position + 1, event.choice))
            elif not isinstance(event, LogProbs) or not _is_said(events, position - 1, event):
                self._output.take(event)

    def finish(self) -> tuple[Status, bytes]:
        """Return how the answer has ended, and the response with all of it."""
        reason = None if self._finished is None else _REASONS.get(self._finished.reason)
        if self._output.has_refusal and reason == "content_filter":
            # The model has declined in words of its own: that is all of the answer.
            reason = None
        status: Status = "completed" if reason is None else "incomplete"
        self._output.end("completed" if reason is None else "incomplete")
        body = self.response.build(status, self._output.items, usage=self._usage, reason=reason)
        if self._ask.may_be_kept:
            items = build_input_items(self._ask)
            self._ask.stored = StoredResponse(self.response.id, None, self._ask.model, items, body)
        return status, body


def _find_log_probs(events: Sequence[Event], position: int, choice: int) -> LogProbs | None:
    if position < len(events):
        event = events[position]
        if isinstance(event, LogProbs) and event.choice == choice:
            return event
    return None


def _is_said(events: Sequence[Event], position: int, event: LogProbs) -> bool:
    """Return whether what stands before is the text of these, and has taken them along."""
    before = events[position] if position >= 0 else None
    return isinstance(before, Said) and before.choice == event.choice
