"""
Gemini's answers, streamed or whole -> events.

Nothing but the end of the body ends a stream: it is complete if every candidate has said why it
has finished, or if Google has refused the prompt.
"""

from collections.abc import Sequence

from proxy.domain.errors import (
    ProxyError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import Counted, Event, Finished, Started
from proxy.domain.exchange import Anomaly
from proxy.wire.gemini_answer import (
    Candidate,
    GeminiAnswer,
    decode_answer,
    has_failed,
    split_answers,
)
from proxy.wire.gemini_candidate import CandidateReader
from proxy.wire.gemini_usage import parse_gemini_usage
from proxy.wire.json_text import MAX_VALUES, holds_too_many_values, mend_text
from proxy.wire.new_id import keep_short
from proxy.wire.openai_error import NO_VALUE, check_no_error, read_error_text, without_words
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent

_UNUSABLE = "upstream_unusable_answer"


class GeminiEvents:
    """An EventReader (see `wire/dialect.py`) of `streamGenerateContent?alt=sse`."""

    def __init__(self, choices: int, max_event_bytes: int) -> None:
        """
        Args:
            choices: how many candidates were asked for.
            max_event_bytes: a larger event ends the stream with UpstreamTooLarge.
        """
        self.is_over = False
        self.error: ProxyError | None = None
        self.anomalies: set[Anomaly] = set()
        self.event_count = 0
        self._choices = choices
        self._splitter = EventSplitter(max_event_bytes)
        self._candidates: dict[int, CandidateReader] = {}
        self._has_started = False
        self._block_word: str | None = None

    @property
    def may_end(self) -> bool:
        """Every candidate has said why it has finished, or the prompt was refused."""
        return self.error is None and (self._is_blocked or self._has_finished)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        if self.error is not None or self.is_over:
            return []
        try:
            return self._take(self._splitter.feed(chunk))
        except EventTooLarge as excess:
            out = self._take(excess.events)
            if self.error is None:
                self.error = UpstreamTooLarge(
                    "The provider sent an event larger than this proxy accepts."
                )
            return out

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        if self.error is not None or self.is_over:
            return []
        out = self._take(self._splitter.finish())
        if isinstance(self.error, UpstreamProtocolError):
            # The last event lacked its end: what cannot be read of it is cut, not malformed.
            self.error = UpstreamTruncated()
        return out + self._close()

    def read_whole(self, body: bytes) -> list[Event]:
        """Return what a whole answer says, in place of all other calls."""
        return self._take([body]) + self._close()

    def _take(self, events: Sequence[ServerSentEvent | bytes]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            data = event if isinstance(event, bytes) else event.data
            is_error = isinstance(event, ServerSentEvent) and event.name == "error"
            try:
                self._take_data(data, out, is_error=is_error)
            except ProxyError as error:
                self.error = without_words(error) if self._has_spoken else error
                break
        return out

    def _take_data(self, data: bytes, out: list[Event], *, is_error: bool) -> None:
        if len(data) > MAX_VALUES and holds_too_many_values(data):
            raise UpstreamTooLarge("The provider sent an event of more parts than are accepted.")
        if is_error:
            raise read_error_text(data)
        try:
            answers = _decode(data)
        except (ValueError, RecursionError):
            if not data.strip():
                return
            mended = mend_text(data)
            if mended == data:
                raise _malformed() from None
            try:
                answers = _decode(mended)
            except (ValueError, RecursionError):
                raise _malformed() from None
            self.anomalies.add("utf8_replaced")
        self.event_count += 1
        for answer in answers:
            self._take_answer(answer, data, out)

    def _take_answer(self, answer: GeminiAnswer, data: bytes, out: list[Event]) -> None:
        if answer.error is not NO_VALUE:
            check_no_error(answer.error, None, data)
        if not self._has_started:
            self._has_started = True
            out.append(Started(keep_short(answer.response_id), keep_short(answer.model_version)))
        for candidate in answer.candidates or ():
            self._take_candidate(candidate, out)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._block_word = feedback.block_reason
        if answer.usage_metadata is not NO_VALUE:
            self._take_usage(answer, out)

    def _take_candidate(self, candidate: Candidate, out: list[Event]) -> None:
        index = candidate.index
        reader = self._candidates.get(index)
        if reader is None:
            if index < 0:
                raise _malformed()
            if index >= self._choices:
                # Nobody has asked for it, and no client would know where to put it.
                return
            reader = self._candidates[index] = CandidateReader(index)
        reader.take(candidate, out)

    def _take_usage(self, answer: GeminiAnswer, out: list[Event]) -> None:
        try:
            usage = parse_gemini_usage(answer.usage_metadata)
        except (ValueError, RecursionError):
            self.anomalies.add("usage_anomaly")
            return
        if usage is not None:
            out.append(Counted(usage))

    def _close(self) -> list[Event]:
        """Return what ends the answer, if it is complete."""
        out: list[Event] = []
        if self.error is not None:
            return out
        candidates = self._candidates
        if self._is_blocked:
            # Refused before any answer: as many empty ones as were asked for.
            ends = range(self._choices)
            out.extend(Finished("content_filter", i, raw=self._block_word) for i in ends)
        elif not self._has_finished:
            self.error = UpstreamTruncated()
            return out
        elif any(has_failed(r.finish_word or "") for r in candidates.values()) and not any(
            reader.has_answered for reader in candidates.values()
        ):
            self.error = UpstreamError(
                "The provider's model gave no usable answer.", code=_UNUSABLE
            )
            return out
        else:
            for _, reader in sorted(candidates.items()):
                reader.finish(out)
        self.is_over = True
        return out

    @property
    def _is_blocked(self) -> bool:
        return self._block_word is not None and not self._has_spoken

    @property
    def _has_finished(self) -> bool:
        candidates = self._candidates
        return len(candidates) >= self._choices and all(
            reader.finish_word for reader in candidates.values()
        )

    @property
    def _has_spoken(self) -> bool:
        return any(reader.has_spoken for reader in self._candidates.values())


def read_gemini_events(body: bytes, choices: int) -> tuple[list[Event], tuple[Anomaly, ...]]:
    """
    Return the events of a whole answer, and what was odd about it.

    Args:
        body: of an answer of `generateContent`, or of a stream that came as one list.
        choices: how many candidates were asked for.

    Raises:
        UpstreamError: an error inside the 200, or a body that is not Gemini's.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamTruncated: fewer candidates than were asked for, or one without its end.

    Source: wire-formats §3.2; tests/wire/test_gemini_events.py.
    """
    if holds_too_many_values(body):
        # Log probabilities of a long answer come to that: the client has asked for them.
        raise UpstreamTooLarge(
            "The provider's answer has more parts than this proxy accepts.",
            code="answer_too_large",
        )
    reader = GeminiEvents(choices, 0)
    events = reader.read_whole(body)
    if reader.error is not None:
        raise reader.error
    return events, tuple(reader.anomalies)


def _decode(data: bytes) -> list[GeminiAnswer]:
    if not data.isascii():
        data.decode()
    if data.lstrip()[:1] == b"[":
        # As where `alt=sse` has had no effect, and with some errors.
        return [decode_answer(item) for item in split_answers(data)]
    return [decode_answer(data)]


def _malformed() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider sent an event that is not valid.")
