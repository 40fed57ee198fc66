"""
Ollama's clients at Ollama itself: requests and answers go through as they came.

What is changed of a request is the model's name, and its `options` where they do not say how
large the window is to be. Lines of an answer are read, which is the check, and passed on whole.
"""

from collections.abc import Sequence

from msgspec import Raw

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.events import Counted, Event, Said, Thinking
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.context_window import WindowBounds, choose_window
from proxy.wire.json_text import build_object, encode
from proxy.wire.ndjson import end_line
from proxy.wire.ollama_chat_writer import read_options_object, read_window
from proxy.wire.ollama_events import OllamaEvents
from proxy.wire.ollama_options import read_answer_limit
from proxy.wire.openai_said import count_bytes
from proxy.wire.usage_estimate import PICTURE_LIST, estimate_usage

_PROMPT_FIELDS = ("messages", "tools", "prompt", "system", "suffix", "context", "template")

_CUTS = ("truncate", "shift")
"""Whether what does not fit into the window is left out in silence."""


def build_passed_body(ask: Ask, model: str, bounds: WindowBounds) -> bytes:
    """
    Return the body that a client of Ollama's has sent, with a window that it fits into.

    A window of the client's own is left as it is, unless it is larger than may be. What does not
    fit into one of ours is refused, unless the client has set `truncate` or `shift`.

    Args:
        ask: of `ollama_chat` or `ollama_generate`.
        model: its name at the server.
        bounds: of the window.

    Raises:
        InvalidRequest: `options` is of a shape that cannot be read.

    Source: docs/decisions/0030-a-window-for-every-request.md; tests/wire/test_ollama_pass.py.
    """
    fields: dict[str, Raw | bytes] = dict(ask.fields)
    fields["model"] = encode(model)
    options = read_options_object(ask.fields.get("options"))
    asked = read_window(options.get("num_ctx"))
    if asked is None:
        window = _find_window(ask, read_answer_limit(options), bounds)
    else:
        window = min(asked, bounds.highest)
    if window != asked:
        fields["options"] = build_object({**options, "num_ctx": encode(window)})
        for name in _CUTS:
            if bytes(fields.get(name, b"null")) == b"null":
                # Of a window that it has not chosen, a client cannot know what is lost in it.
                fields[name] = b"false"
    return build_object(fields)


def read_passed_answer(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Check a whole 200 answer, or all lines of one, and return it as it came.

    Raises:
        UpstreamError: as `read_ollama_events` says.

    Source: wire-formats §3.4; tests/wire/test_ollama_pass.py.
    """
    reader = OllamaEvents(ask, 0, keeps_lines=True)
    events = reader.read_whole(body)
    if reader.error is not None:
        raise reader.error
    if len(reader.taken) > 1 and not ask.streams:
        raise UpstreamProtocolError("The provider did not answer with one object.")
    counted = [event.usage for event in events if isinstance(event, Counted)]
    said_bytes = sum(count_bytes(e.text) for e in events if isinstance(e, Said | Thinking))
    usage = counted[-1] if counted else estimate_usage(ask, said_bytes)
    lines = b"".join([end_line(line.replace(b"\n", b" ")) for line in reader.taken])
    return CheckedAnswer(lines, usage, tuple(reader.anomalies))


class PassedLines:
    """The EventWriter (see `wire/dialect.py`) that writes a reader's lines as it has read them."""

    def __init__(self, reader: OllamaEvents) -> None:
        self._reader = reader

    def write(self, events: Sequence[Event]) -> bytes:
        """Return the lines that have been read since the last call."""
        taken, self._reader.taken = self._reader.taken, []
        return b"".join([end_line(line) for line in taken])

    def finish(self) -> bytes:
        """Return those that are left; the last of them ends the stream."""
        return self.write(())


def _find_window(ask: Ask, limit: int | None, bounds: WindowBounds) -> int:
    size_bytes = sum(len(memoryview(ask.fields[n])) for n in _PROMPT_FIELDS if n in ask.fields)
    messages = bytes(ask.fields.get("messages", b""))
    lists = [found.group() for found in PICTURE_LIST.finditer(messages)]
    pictures = sum(each.count(b'"') // 2 - 1 for each in lists)
    pictures += bytes(ask.fields.get("images", b"")).count(b'"') // 2
    return choose_window(size_bytes - sum(map(len, lists)), pictures, limit, None, bounds)
