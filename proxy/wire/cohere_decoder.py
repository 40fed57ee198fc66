"""
What Cohere's answers say, as events: one event of its streams at a time, or a whole answer.

Where one event ends and the next begins is the business of `cohere_events.py`.
"""

from msgspec import Raw, Struct, ValidationError

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    LogProbs,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.exchange import Anomaly
from proxy.wire.cohere_log_probs import write_cohere_log_probs
from proxy.wire.cohere_shapes import (
    EMPTY,
    FAILED,
    TYPES,
    CohereCall,
    Content,
    Delta,
    DeltaMessage,
    StreamEvent,
    decode_answer,
    decode_any,
    decode_call,
    decode_content,
    decode_event,
    decode_said,
    is_new,
    read_finish_reason,
)
from proxy.wire.cohere_sources import read_cohere_citations
from proxy.wire.cohere_usage import parse_cohere_usage
from proxy.wire.json_text import MAX_VALUES, holds_too_many_values
from proxy.wire.new_id import build_id, keep_short
from proxy.wire.openai_calls import MAX_CALLS
from proxy.wire.openai_error import NO_VALUE, read_error_object

_NULL = "null"
"""What a call without arguments has for its arguments, where it has any."""
_MOST_BLOCKS = 4096
"""Of so many it is kept where they begin; sources of later ones have a place in the first."""


class _OpenCall(Struct):
    """A call that has begun."""

    index: int
    held: str = ""
    """Arguments that may still turn out to be none."""
    is_told: bool = False
    """Arguments of it have been told."""


class CohereDecoder:
    """The state of one answer of Cohere's."""

    def __init__(self) -> None:
        self.is_over = False
        """`message-end` has arrived, and it is no failure."""
        self.anomalies: set[Anomaly] = set()
        self.has_spoken = False
        """Something that a client is shown has come."""
        self._has_started = False
        self._is_thinking = False
        self._calls = 0
        self._call: _OpenCall | None = None
        self._characters = 0
        self._starts: dict[int, int] = {}

    def decode(self, data: bytes) -> list[Event]:
        """
        Return what the data of one event says.

        Raises:
            UpstreamError: it is an error, or cannot be.
            ValueError: it is no JSON.
        """
        if len(data) > MAX_VALUES and holds_too_many_values(data):
            raise UpstreamTooLarge("The provider sent an event of more parts than are accepted.")
        if not data.isascii():
            data.decode()
        out: list[Event] = []
        try:
            event = decode_event(data)
        except ValidationError:
            if is_new(data):
                return out
            raise build_malformed() from None
        if event.type not in TYPES:
            # An error has no type; what has another than those we know is no matter of ours.
            if not event.type:
                _check_words(event.message)
                _check_error(event.error)
            return out
        if not self._has_started:
            self._has_started = True
            out.append(Started(keep_short(event.id)))
        try:
            self._take(event, out)
        except ValidationError:
            raise build_malformed() from None
        return out

    def decode_answer(self, body: bytes) -> list[Event]:
        """
        Return what a whole answer says.

        Raises:
            UpstreamError: it is an error, is no answer of Cohere's, or has no end.
            ValueError: it is no JSON, or of another shape.
        """
        if not body.isascii():
            body.decode()
        answer = decode_answer(body)
        _check_words(answer.message)
        _check_error(answer.error)
        if bytes(answer.message) in EMPTY:
            raise UpstreamProtocolError()
        said = decode_said(answer.message)
        out: list[Event] = [Started(keep_short(answer.id))]
        if said.tool_plan:
            self._think(said.tool_plan, out)
        blocks = [Content(text=said.content)] if isinstance(said.content, str) else said.content
        for index, block in enumerate(blocks or ()):
            self._start_content(index, block, out)
            self._end_thought(out)
        log_probs = write_cohere_log_probs(answer.logprobs)
        if log_probs is not None:
            out.append(LogProbs(log_probs))
        self._cite(said.citations, out)
        for call in said.tool_calls or ():
            self._start_call(call, out)
        self._finish(answer.finish_reason, answer.usage, out)
        return out

    def _take(self, event: StreamEvent, out: list[Event]) -> None:
        delta = event.delta or Delta()
        message = delta.message or DeltaMessage()
        match event.type:
            case "tool-plan-delta":
                self._think(message.tool_plan, out)
            case "content-start":
                content = decode_content(message.content)
                self._start_content(event.index or 0, content, out)
            case "content-delta":
                self._add_content(decode_content(message.content), out)
                log_probs = write_cohere_log_probs(event.logprobs)
                if log_probs is not None:
                    out.append(LogProbs(log_probs))
            case "content-end":
                self._end_thought(out)
            case "tool-call-start":
                self._start_call(decode_call(message.tool_calls), out)
            case "tool-call-delta":
                self._add_arguments(decode_call(message.tool_calls), out)
            case "tool-call-end":
                self._end_call(out)
            case "citation-start":
                self._cite(message.citations, out)
            case "message-end":
                _check_error(delta.error)
                self._finish(delta.finish_reason, delta.usage, out)

    def _think(self, text: str | None, out: list[Event]) -> None:
        if text:
            # They are not signed and not wanted back: to clients as those of OpenAI's format.
            out.append(Thinking(text, "openai"))
            self._is_thinking = self.has_spoken = True

    def _end_thought(self, out: list[Event]) -> None:
        if self._is_thinking:
            self._is_thinking = False
            out.append(ThoughtEnded("openai"))

    def _start_content(self, index: int, content: Content, out: list[Event]) -> None:
        if len(self._starts) < _MOST_BLOCKS:
            self._starts[index] = self._characters
        self._end_thought(out)
        self._add_content(content, out)

    def _add_content(self, content: Content, out: list[Event]) -> None:
        self._think(content.thinking, out)
        if content.text:
            self._end_thought(out)
            self._characters += len(content.text)
            out.append(Said(content.text))
            self.has_spoken = True

    def _start_call(self, call: CohereCall, out: list[Event]) -> None:
        if self._calls >= MAX_CALLS:
            raise UpstreamTooLarge("The provider sent more calls than are accepted.")
        self._end_thought(out)
        self._end_call(out)
        function = call.function
        if function is None or not function.name:
            raise UpstreamProtocolError("The provider sent a call without a name.")
        self._call = _OpenCall(self._calls)
        out.append(CallStarted(self._calls, call.id or build_id("call_"), function.name))
        self.has_spoken = True
        self._calls += 1
        self._add_arguments(call, out)

    def _add_arguments(self, piece: CohereCall, out: list[Event]) -> None:
        call = self._call
        if call is None:
            raise build_malformed()
        text = None if piece.function is None else piece.function.arguments
        if not text:
            return
        if not call.is_told:
            text = call.held + text
            # Without its blanks: there may be any number of them.
            call.held = text.strip()
            if _NULL.startswith(call.held):
                return
            call.held, call.is_told = "", True
        out.append(CallArguments(call.index, text))

    def _end_call(self, out: list[Event]) -> None:
        call = self._call
        if call is None:
            return
        self._call = None
        if not call.is_told:
            is_none = call.held.strip() in ("", _NULL)
            out.append(CallArguments(call.index, NO_ARGUMENTS if is_none else call.held))
        out.append(CallEnded(call.index))

    def _cite(self, raw: Raw, out: list[Event]) -> None:
        if raw is not NO_VALUE:
            out.extend(Cited(citation) for citation in read_cohere_citations(raw, self._starts))

    def _finish(self, word: str | None, usage: Raw, out: list[Event]) -> None:
        if not word:
            raise UpstreamTruncated()
        if word in FAILED:
            raise _build_failure(word)
        self._end_thought(out)
        self._end_call(out)
        if bytes(usage) not in EMPTY:
            self._count(usage, out)
        reason = read_finish_reason(word, has_calls=self._calls > 0)
        out.append(Finished(reason, raw=word))
        self.is_over = True

    def _count(self, raw: Raw, out: list[Event]) -> None:
        try:
            usage = parse_cohere_usage(raw)
        except (ValueError, RecursionError):
            self.anomalies.add("usage_anomaly")
            return
        if usage is not None:
            out.append(Counted(usage))


def build_malformed() -> UpstreamProtocolError:
    """Return the error for an event that cannot be, or cannot be where it came."""
    return UpstreamProtocolError("The provider sent an event that is not valid.")


def _check_words(message: Raw) -> None:
    """Raise what went wrong, if a message is words: those of an answer are objects."""
    if bytes(message).startswith(b'"'):
        _check_error(message)


def _check_error(raw: Raw) -> None:
    if bytes(raw) in EMPTY:
        return
    value = decode_any(raw)
    raise read_error_object({"message": value} if isinstance(value, str) else value)


def _build_failure(word: str) -> UpstreamError:
    if word == "TIMEOUT":
        return UpstreamTimeout()
    return UpstreamTruncated() if word == "USER_CANCEL" else UpstreamServerError()
