"""
Event streams: bytes in any split -> whole events, and events -> bytes.

Nothing here knows what an event's data means.
"""

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"
_LINE_FEED = 0x0A
_STREAM_STARTS = (b":", b"data:", b"event:", b"id:", b"retry:")


class ServerSentEvent(Struct, frozen=True):
    """One event: `data` is its lines joined by LF, `name` its `event:` field or ""."""

    data: bytes
    name: str = ""


class EventTooLarge(ValueError):
    """
    One event passed the cap; the splitter is of no further use.

    `events` are the whole ones before it that no call has returned yet.
    """

    def __init__(self, events: "list[ServerSentEvent | bytes]") -> None:
        super().__init__("an event is larger than the cap")
        self.events = events


class EventSplitter:
    """
    Cut an event stream into events, whatever way the bytes were split.

    Most streams come as whole events of one `data: ` line between LFs; these take a path
    that only splits. All else (CR, CRLF, a byte order mark, comments, `event:`, several
    `data:` lines) takes the standard's line by line path and gives the same events.

    What is not whole yet is kept as the pieces it came in: an event of many small pieces
    costs as much as one that comes at once.
    """

    __slots__ = (
        "_at_start",
        "_is_plain",
        "_max_event_bytes",
        "_pieces",
        "_size_bytes",
        "_skips_line_feed",
    )

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []
        """The unfinished event; its line ends are LF."""
        self._size_bytes = 0
        self._is_plain = False
        """Neither of the two below holds, as nearly always: whole events may be cut at once."""
        self._at_start = True
        self._skips_line_feed = False
        """The last byte was a CR: it has ended its line, an LF next to it adds nothing."""

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
            EventTooLarge: an event, or what has come of it so far, passes the cap; the
                events before it are in the exception.

        Source: WHATWG HTML, section 9.2.6; tests/wire/test_sse.py.
        """
        if not chunk:
            return []
        if self._at_start:
            chunk = self._drop_byte_order_mark(chunk)
        if self._skips_line_feed or b"\r" in chunk:
            chunk = self._normalise_line_ends(chunk)
        self._is_plain = not (self._at_start or self._skips_line_feed)
        if not chunk:
            return []
        pieces = self._pieces
        if b"\n\n" not in chunk and not (
            chunk[0] == _LINE_FEED and pieces and pieces[-1][-1] == _LINE_FEED
        ):
            self._keep(chunk)
            return self._check_rest([])
        if pieces:
            pieces.append(chunk)
            chunk = b"".join(pieces)
            pieces.clear()
        whole, _, rest = chunk.rpartition(b"\n\n")
        self._size_bytes = 0
        self._keep(rest)
        return self._check_rest(self._read_blocks(whole))

    def split_plain(self, chunk: bytes) -> list[bytes] | None:
        """
        Return the data of each event where `feed` would give these bytes as they stand, as nearly
        always: whole events of one `data: ` line each. None otherwise; then nothing was taken.
        """
        if (
            not self._is_plain
            or self._pieces
            or not chunk.startswith(b"data: ")
            or not chunk.endswith(b"\n\n")
            or len(chunk) > self._max_event_bytes
            or b"\r" in chunk
        ):
            return None
        events = chunk[6:-2].split(b"\n\ndata: ")
        return events if chunk.count(b"\n") == 2 * len(events) else None

    def split_named(self, chunk: bytes) -> list[tuple[bytes, bytes]] | None:
        """
        Return name and data of each event where these bytes are whole events of one `event: ` and
        one `data: ` line each. None otherwise; then nothing was taken.
        """
        if (
            not self._is_plain
            or self._pieces
            or not chunk.startswith(b"event: ")
            or not chunk.endswith(b"\n\n")
            or len(chunk) > self._max_event_bytes
            or b"\r" in chunk
        ):
            return None
        events = []
        for block in chunk[7:-2].split(b"\n\nevent: "):
            name, _, data = block.partition(b"\ndata: ")
            if not data or b"\n" in name or b"\n" in data:
                return None
            events.append((name, data))
        return events

    def finish(self) -> list[ServerSentEvent | bytes]:
        """
        Take note that the stream has ended; return the event that lacked its blank line.

        The standard drops such an event; some servers end their last one like this, so it
        is given, and whoever reads it decides whether it is whole.
        """
        rest = b"".join(self._pieces).rstrip(b"\n")
        self._pieces.clear()
        event = parse_block(rest)
        return [] if event is None else [event]

    def _read_blocks(self, whole: bytes) -> list[ServerSentEvent | bytes]:
        events: list[ServerSentEvent | bytes] = []
        cap = self._max_event_bytes
        for block in whole.split(b"\n\n"):
            if len(block) > cap and len(block.strip(b"\n")) > cap:
                raise EventTooLarge(events)
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(block[6:])
            elif (event := parse_block(block)) is not None:
                events.append(event)
        return events

    def _keep(self, rest: bytes) -> None:
        if not self._pieces:
            # Further blank lines between two events belong to neither.
            rest = rest.lstrip(b"\n")
        if rest:
            self._pieces.append(rest)
            self._size_bytes += len(rest)

    def _check_rest(self, events: list[ServerSentEvent | bytes]) -> list[ServerSentEvent | bytes]:
        excess = self._size_bytes - self._max_event_bytes
        # One line end may already be half of the blank line behind an event at the cap.
        if excess > 1 or (excess == 1 and self._pieces[-1][-1] != _LINE_FEED):
            raise EventTooLarge(events)
        return events

    def _drop_byte_order_mark(self, chunk: bytes) -> bytes:
        text = b"".join((*self._pieces, chunk))
        self._pieces.clear()
        if len(text) < len(_BOM) and _BOM.startswith(text):
            self._pieces.append(text)
            return b""
        self._at_start = False
        return text.removeprefix(_BOM)

    def _normalise_line_ends(self, chunk: bytes) -> bytes:
        if self._skips_line_feed and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skips_line_feed = False
        if chunk.endswith(b"\r"):
            self._skips_line_feed = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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


def starts_event_stream(start: bytes) -> bool | None:
    """
    Return whether a body that begins like this is an event stream; None if it is too early.

    For bodies whose content type does not say: a stream begins with a comment or a field.
    """
    text = start.removeprefix(_BOM).lstrip(b" \t\r\n")
    if text.startswith(_STREAM_STARTS):
        return True
    return None if any(begin.startswith(text) for begin in (_BOM, *_STREAM_STARTS)) else False


def build_event(data: bytes) -> bytes:
    """Return one event of one `data:` line; `data` holds no line end."""
    return b"data: " + data + b"\n\n"


def build_comment(text: bytes) -> bytes:
    """Return a comment, which every reader ignores: a sign of life."""
    return b": " + text + b"\n\n"


KEEP_ALIVE = build_comment(b"keep-alive")
EVENT_STREAM = "text/event-stream; charset=utf-8"
