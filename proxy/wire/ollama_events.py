"""
Ollama's answers, streamed or whole -> events.

A stream is lines of JSON; the one with `done` ends it. Thoughts are text and nothing else, as of
all who speak OpenAI's format: they are told as that, and may be given back to any of them.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    FinishReason,
    LogProbs,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import build_object
from proxy.wire.ndjson import LineSplitter, LineTooLarge
from proxy.wire.new_id import build_id, keep_short
from proxy.wire.ollama_line import CallMade, OllamaLine, decode_line, read_counts
from proxy.wire.openai_error import NO_VALUE, without_words
from proxy.wire.usage_estimate import estimate_usage

_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
_NO_ANSWERS = ("load", "unload")
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class OllamaEvents:
    """An EventReader (see `wire/dialect.py`) of `/api/chat` and `/api/generate`."""

    def __init__(self, ask: Ask, max_line_bytes: int, *, keeps_lines: bool = False) -> None:
        """
        Args:
            ask: what was asked, by which a count that is left out is estimated.
            max_line_bytes: a longer line ends the stream with UpstreamTooLarge.
            keeps_lines: somebody takes the lines out of `taken`.
        """
        self.is_over = False
        self.error: ProxyError | None = None
        self.anomalies: set[Anomaly] = set()
        self.event_count = 0
        self.taken: list[bytes] = []
        """The lines that were read and found good, for who passes them on."""
        self._keeps_lines = keeps_lines
        self._ask = ask
        self._splitter = LineSplitter(max_line_bytes)
        self._has_started = False
        self._has_spoken = False
        self._is_thinking = False
        self._calls = 0

    @property
    def may_end(self) -> bool:
        """Never before the line with `done`."""
        return False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        if self.error is not None or self.is_over:
            return []
        try:
            return self._take(self._splitter.feed(chunk))
        except LineTooLarge as excess:
            out = self._take(excess.lines)
            if self.error is None and not self.is_over:
                self.error = UpstreamTooLarge(
                    "The provider sent a line larger than this proxy accepts."
                )
            return out

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        if self.error is not None or self.is_over:
            return []
        out = self._take(self._splitter.finish())
        if isinstance(self.error, UpstreamProtocolError):
            # The last line lacked its end: what cannot be read of it is cut, not malformed.
            self.error = UpstreamTruncated()
        if self.error is None and not self.is_over:
            self.error = UpstreamTruncated()
        return out

    def read_whole(self, body: bytes) -> list[Event]:
        """Return what a whole answer says, in one object or in lines, in place of other calls."""
        out = self._take(_split_whole(body))
        if self.error is None and not self.is_over:
            self.error = UpstreamTruncated()
        return out

    def _take(self, lines: Sequence[bytes]) -> list[Event]:
        out: list[Event] = []
        for data in lines:
            if self.is_over:
                break
            try:
                self._take_line(decode_line(data, self.anomalies), out)
            except ProxyError as error:
                self.error = without_words(error) if self._has_spoken else error
                break
            self.event_count += 1
            if self._keeps_lines:
                self.taken.append(data)
        return out

    def _take_line(self, line: OllamaLine, out: list[Event]) -> None:
        message = line.message
        if message is None and line.response is None and not line.done:
            return  # such as how far something is
        if not self._has_started:
            self._has_started = True
            out.append(Started(None, keep_short(line.model)))
        said = len(out)
        text = line.response if message is None else message.content
        self._think(line.thinking if message is None else message.thinking, out)
        if text:
            self._end_thought(out)
            out.append(Said(text))
        if line.logprobs is not NO_VALUE and bytes(line.logprobs).startswith(b"["):
            out.append(LogProbs(Raw(build_object({"content": line.logprobs}))))
        for call in (line.tool_calls if message is None else message.tool_calls) or ():
            self._end_thought(out)
            self._call(call, out)
        self._has_spoken = self._has_spoken or len(out) > said
        if line.done:
            self._finish(line, out)

    def _think(self, text: str | None, out: list[Event]) -> None:
        if text:
            self._is_thinking = True
            out.append(Thinking(text, "openai"))

    def _end_thought(self, out: list[Event]) -> None:
        if self._is_thinking:
            self._is_thinking = False
            out.append(ThoughtEnded("openai"))

    def _call(self, call: CallMade, out: list[Event]) -> None:
        function = call.function
        if function is None or not function.name:
            raise UpstreamProtocolError("The provider sent a call that names no function.")
        index, self._calls = self._calls, self._calls + 1
        out.append(CallStarted(index, call.id or build_id("call_"), function.name))
        out.append(CallArguments(index, _read_arguments(function.arguments)))
        out.append(CallEnded(index))

    def _finish(self, line: OllamaLine, out: list[Event]) -> None:
        word = line.done_reason
        if not word:
            # It has gone away from its own model: nothing tells that this is all.
            raise UpstreamTruncated()
        if word in _NO_ANSWERS:
            raise UpstreamProtocolError("The provider did not answer what it was asked.")
        self._end_thought(out)
        reason = _REASONS.get(word, "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        out.append(Finished(reason, raw=keep_short(word)))
        usage = self._read_usage(line)
        if usage is not None:
            out.append(Counted(usage))
        self.is_over = True

    def _read_usage(self, line: OllamaLine) -> Usage | None:
        try:
            inputs, outputs = read_counts(line)
        except (ValueError, RecursionError):
            self.anomalies.add("usage_anomaly")
            return None
        if outputs is None:
            return None
        if inputs is None:
            estimated = estimate_usage(self._ask, 0).input_tokens
            return Usage(estimated, outputs, source="estimated")
        return Usage(inputs, outputs)


def read_ollama_events(ask: Ask, body: bytes) -> tuple[list[Event], tuple[Anomaly, ...]]:
    """
    Return the events of a whole answer, and what was odd about it.

    Args:
        ask: what was asked.
        body: of the answer; of a stream that came whole it may be all of its lines.

    Raises:
        UpstreamError: an error inside the 200, or a body that is not Ollama's.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamTruncated: it does not say that it is done.

    Source: wire-formats §3.4; tests/wire/test_ollama_events.py.
    """
    reader = OllamaEvents(ask, 0)
    events = reader.read_whole(body)
    if reader.error is not None:
        raise reader.error
    return events, tuple(reader.anomalies)


def _split_whole(body: bytes) -> list[bytes]:
    text = body.strip()
    # Of one object that is written over several lines each would be malformed.
    lines = text.split(b"}\n{") if b"}\n{" in text else [text]
    last = len(lines) - 1
    return [
        (b"{" if place else b"") + line + (b"}" if place < last else b"")
        for place, line in enumerate(lines)
        if line
    ]


def _read_arguments(raw: Raw) -> str:
    """Return arguments as the text of an object; some servers write it as a string already."""
    text = bytes(raw)
    if text in (b"", b"null", b'""'):
        return NO_ARGUMENTS
    if text.startswith(b'"'):
        return _decode_text(text)
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError(
            "The provider sent a call whose arguments are no object."
        ) from None
    return msgspec.json.format(text, indent=-1).decode()
