"""
Lines of JSON (NDJSON): bytes in any split -> whole lines.

Nothing here knows what a line means.
"""

from proxy.wire.json_text import encode

NDJSON = "application/x-ndjson"
_LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)
"""What some clients, such as httpx's, take for an end of a line, and JSON need not escape."""


def build_line(value: object) -> bytes:
    """Return a value as one line of JSON, by whatever rule a client finds the ends of lines."""
    return end_line(encode(value))


def end_line(line: bytes) -> bytes:
    """Return a line of JSON with its end, and none within it."""
    if not line.isascii():
        for end, escaped in _LINE_ENDS:
            line = line.replace(end, escaped)
    return line + b"\n"


class LineTooLarge(ValueError):
    """
    One line passed the cap; the splitter is of no further use.

    `lines` are the whole ones before it that no call has returned yet.
    """

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__("a line is larger than the cap")
        self.lines = lines


class LineSplitter:
    """
    Cuts a body into lines, whatever way the bytes were split.

    What is not whole yet is kept as the pieces it came in: a line of many small pieces costs as
    much as one that comes at once.
    """

    __slots__ = ("_max_line_bytes", "_pieces", "_size_bytes")

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """
        Take the next bytes and return the lines that they complete.

        Args:
            chunk: 0 or more raw bytes, in arrival order.

        Returns:
            Completed lines without their ends and without blanks around them, oldest first; lines
            of nothing but blanks are left out.

        Raises:
            LineTooLarge: a line, or what has come of it so far, passes the cap; the lines before
                it are in the exception.

        Source: https://github.com/ndjson/ndjson-spec; tests/wire/test_ndjson.py.
        """
        *whole, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for line in whole:
            self._keep(line, lines)
            joined = b"".join(self._pieces).strip()
            self._pieces.clear()
            self._size_bytes = 0
            if joined:
                lines.append(joined)
        self._keep(rest, lines)
        return lines

    def finish(self) -> list[bytes]:
        """Take note that the body has ended; return the line that lacked its end."""
        rest = b"".join(self._pieces).strip()
        self._pieces.clear()
        return [rest] if rest else []

    def _keep(self, piece: bytes, lines: list[bytes]) -> None:
        if not self._pieces:
            # Blanks in front of a line are signs of life, of which there may be any number.
            piece = piece.lstrip()
        if not piece:
            return
        self._pieces.append(piece)
        self._size_bytes += len(piece)
        if self._size_bytes > self._max_line_bytes:
            raise LineTooLarge(lines)
