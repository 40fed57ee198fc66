"""One object of Ollama's answers: a line of a stream, or the whole of it. Shapes and counts."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamError, UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.exchange import Anomaly
from proxy.wire.json_text import MAX_VALUES, holds_too_many_values, mend_text
from proxy.wire.openai_error import NO_VALUE, read_error_object
from proxy.wire.openai_usage import MOST_TOKENS

_BUSY = "server busy"
"""How Ollama begins to say that its queue is full; in a stream there is no status to say it by."""


class CalledFunction(Struct):
    """What is called, and with what."""

    name: str | None = None
    arguments: Raw = NO_VALUE


class CallMade(Struct):
    """One call; older servers give it no id."""

    id: str | None = None
    function: CalledFunction | None = None


class SaidMessage(Struct):
    """What a line of `/api/chat` says."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[CallMade] | None = None


class OllamaLine(Struct):
    """One line; `response` and `thinking` are those of `/api/generate`."""

    model: str | None = None
    message: SaidMessage | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[CallMade] | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Raw = NO_VALUE
    eval_count: Raw = NO_VALUE
    logprobs: Raw = NO_VALUE
    error: Raw = NO_VALUE


_decode_line = msgspec.json.Decoder(OllamaLine).decode
_decode_count = msgspec.json.Decoder(int | None).decode


def decode_line(data: bytes, anomalies: set[Anomaly]) -> OllamaLine:
    """
    Return what one line says.

    Args:
        data: of the line, or of the whole answer.
        anomalies: gets what was odd about it.

    Raises:
        UpstreamProtocolError: it is no JSON, or not of the shape that Ollama's have.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamError: it says that something has gone wrong.

    Source: wire-formats §3.4; tests/wire/test_ollama_line.py.
    """
    if len(data) > MAX_VALUES and holds_too_many_values(data):
        raise UpstreamTooLarge("The provider sent a line of more parts than are accepted.")
    try:
        line = _decode(data)
    except (ValueError, RecursionError):
        mended = mend_text(data)
        if mended == data:
            raise _malformed() from None
        try:
            line = _decode(mended)
        except (ValueError, RecursionError):
            raise _malformed() from None
        anomalies.add("utf8_replaced")
    if bytes(line.error) not in (b"", b"null", b'""'):
        raise _read_error(line.error)
    return line


def read_counts(line: OllamaLine) -> tuple[int | None, int | None]:
    """
    Return the tokens of prompt and answer; None for what is not told.

    The prompt's are left out where all of it came from a cache: it has some all the same.

    Raises:
        ValueError: counts that cannot be billed from.
    """
    inputs, outputs = _read_count(line.prompt_eval_count), _read_count(line.eval_count)
    return inputs or None, outputs


def _decode(data: bytes) -> OllamaLine:
    if not data.isascii():
        data.decode()
    return _decode_line(data)


def _read_count(raw: Raw) -> int | None:
    if raw is NO_VALUE:
        return None
    count: int | None = _decode_count(raw)
    if count is not None and not 0 <= count <= MOST_TOKENS:
        raise ValueError("no count that an answer can have")
    return count


def _read_error(raw: Raw) -> UpstreamError:
    try:
        said: Any = None if holds_too_many_values(bytes(raw)) else msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, str) and said.lower().startswith(_BUSY):
        said = {"message": said, "status": 503}
    return read_error_object(said)


def _malformed() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider sent a line that is not valid.")
