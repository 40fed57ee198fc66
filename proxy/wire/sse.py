"""
Event streams: bytes in any split -> whole events, and events -> bytes.

Nothing here knows what an event's data means.
"""

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(Struct, frozen=True):
    """One event: `data` is its lines joined by LF, `name` its `event:` field or ""."""

    data: bytes
    name: str = ""


class EventTooLarge(ValueError):
    """One event passed the cap; the splitter is of no further use."""


class EventSplitter:
    """
    Cut an event stream into events, whatever way the bytes were split.

    Most streams come as whole events of one `data: ` line between LFs; these take a path
    that only splits. All else (CR, CRLF, a byte order mark, comments, `event:`, several
    `data:` lines) takes the standard's line by line path and gives the same events.
    """

    __slots__ = ("_at_start", "_max_event_bytes", "_rest")

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._at_start = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent | bytes]:
        """
        Take the next bytes and return the events that they complete.

        Args:
            chunk: 0 or more raw bytes, in arrival order.

        Returns:
            Completed events, oldest first. An event of one plain `data: ` line is given as
            the bytes of its data, any other as a ServerSentEvent. Comments and blocks
            without `data` give nothing.

        Raises:
            EventTooLarge: an event, or what has come of it so far, passes the cap.

        Source: WHATWG HTML, section 9.2.6; tests/wire/test_sse.py.
        """
        text = self._rest + chunk if self._rest else chunk
        if self._at_start:
            text = self._drop_byte_order_mark(text)
        if b"\r" in text:
            text = self._normalise_line_ends(text)
        whole, boundary, rest = text.rpartition(b"\n\n")
        self._rest = rest
        if len(rest) > self._max_event_bytes:
            raise EventTooLarge
        if not boundary:
            return []
        events: list[ServerSentEvent | bytes] = []
        for block in whole.split(b"\n\n"):
            if len(block) > self._max_event_bytes:
                raise EventTooLarge
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(block[6:])
            elif (event := parse_block(block)) is not None:
                events.append(event)
        return events

    def finish(self) -> list[ServerSentEvent | bytes]:
        """
        Take note that the stream has ended; return the event that lacked its blank line.

        The standard drops such an event; some servers end their last one like this, so it
        is given, and whoever reads it decides whether it is whole.
        """
        rest, self._rest = self._rest.removesuffix(b"\r").rstrip(b"\n"), b""
        event = parse_block(rest)
        return [] if event is None else [event]

    def _drop_byte_order_mark(self, text: bytes) -> bytes:
        if len(text) < len(_BOM) and _BOM.startswith(text):
            return text
        self._at_start = False
        return text.removeprefix(_BOM)

    def _normalise_line_ends(self, text: bytes) -> bytes:
        # A CR at the very end may be half of a CRLF: it is kept as CR until the next byte.
        held = text.endswith(b"\r")
        body = text[:-1] if held else text
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return body + b"\r" if held else body


def parse_block(block: bytes) -> ServerSentEvent | None:
    """
    Return the event in one block of LF-separated lines, or None if it holds no data.

    Source: WHATWG HTML, section 9.2.6 ("interpreting an event stream").
    """
    data: list[bytes] = []
    name = ""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return ServerSentEvent(b"\n".join(data), name) if data else None


def build_event(data: bytes) -> bytes:
    """Return one event of one `data:` line; `data` holds no line end."""
    return b"data: " + data + b"\n\n"


def build_comment(text: bytes) -> bytes:
    """Return a comment, which every reader ignores: a sign of life."""
    return b": " + text + b"\n\n"
