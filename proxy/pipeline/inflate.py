"""
Compressed answers of providers, inflated piece by piece under caps.

We ask for `identity`; some servers compress all the same. Only such an answer gets an
`Inflater`, which costs nothing where it is not needed. `incoming.py` puts it in its place.
"""

import asyncio
import zlib
from collections import deque

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.upstream.base import BodySink, OpenedResponse

MAX_RATIO = 250
"""Event streams, the same envelope again and again, reach 120; made to be a bomb, 1000."""
FREE_BYTES = 1024 * 1024
"""So much may come out of however little."""
PIECE_BYTES = 64 * 1024
TURN_BYTES = 256 * 1024
"""What is inflated before the event loop gets its turn again."""

_SLICE_BYTES = 16 * 1024
_GZIP_BITS = 31
_ZLIB_BITS = 15
_RAW_BITS = -15
_METHOD_MASK, _DEFLATE_METHOD = 0x0F, 8


def check_encoding(encoding: str) -> str:
    """
    Return the name of a `content-encoding` that can be read; "" is none at all.

    Raises:
        UpstreamProtocolError: several encodings, or one that is not known here.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return ""
    if name in ("gzip", "x-gzip", "deflate"):
        return name
    raise UpstreamProtocolError(
        "The provider compressed its answer, though it was asked not to, in a way that this "
        "proxy does not read.",
        code="unsupported_encoding",
    )


class Inflater:
    """
    Stands between a transport that pushes compressed bytes and a sink that takes plain ones.

    It faces both ways: to the transport it is a BodySink, to the sink's owner it is the
    OpenedResponse (see `upstream/base.py` for both). No piece it pushes is larger than
    PIECE_BYTES; a sink that pauses gets none, and the compressed rest waits, with the
    provider paused. One gzip member or one zlib or raw deflate stream is read; what stands
    behind its end is dropped together with the connection.
    """

    def __init__(self, opened: OpenedResponse, encoding: str) -> None:
        self.head = opened.head
        self.target: BodySink
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._bits = 0 if encoding == "deflate" else _GZIP_BITS
        """0: zlib or raw, which the first byte tells."""
        self._inflater: zlib._Decompress | None = None
        self._slices: deque[bytes] = deque()
        self._has_rest = False
        """The last piece was full: more may come out without any more input."""
        self._taken_bytes = 0
        self._given_bytes = 0
        self._turn: asyncio.Handle | None = None
        self._is_paused = False
        self._is_over = False
        self._has_body_ended = False
        self._body_error: ProxyError | None = None

    def resume(self) -> None:
        """Let the body flow; what waits here comes first."""
        self._is_paused = False
        if self._is_busy or self._has_body_ended:
            self._schedule()
        elif not self._is_over:
            self._opened.resume()

    def pause(self) -> None:
        """Stop the flow, up to the provider."""
        self._is_paused = True
        self._opened.pause()

    def close(self) -> None:
        """Drop the body and its connection."""
        self._stop()
        self._opened.close()

    def data(self, chunk: bytes) -> None:
        """Take the next compressed bytes."""
        if self._is_over:
            return
        for start in range(0, len(chunk), _SLICE_BYTES):
            self._slices.append(chunk[start : start + _SLICE_BYTES])
        if self._turn is None:
            self._work()

    def end(self) -> None:
        """Take note of the end of the compressed body."""
        self._has_body_ended = True
        if not self._is_busy:
            self._finish()

    def fail(self, error: ProxyError) -> None:
        """Take note that the compressed body broke."""
        self._body_error = error
        self.end()

    @property
    def _is_busy(self) -> bool:
        return not self._is_over and (bool(self._slices) or self._has_rest)

    def _schedule(self) -> None:
        if self._turn is None and not self._is_over:
            self._turn = self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Push pieces until the sink pauses, the input is used up or the turn is over."""
        self._turn = None
        turn_ends_bytes = self._given_bytes + TURN_BYTES
        while self._is_busy and not self._is_paused:
            if self._given_bytes >= turn_ends_bytes:
                self._opened.pause()
                self._schedule()
                return
            try:
                piece = self._inflate()
            except zlib.error:
                self._break(UpstreamTruncated("The provider's compressed answer is damaged."))
                return
            self._given_bytes += len(piece)
            if self._given_bytes > max(FREE_BYTES, MAX_RATIO * self._taken_bytes):
                self._break(UpstreamTooLarge("The provider's compressed answer grows too large."))
                return
            if piece:
                self.target.data(piece)
        if self._is_over or self._is_paused:
            return
        if self._has_body_ended:
            self._finish()
        else:
            self._opened.resume()

    def _inflate(self) -> bytes:
        """Return the next piece; b"" where there is not enough input for one."""
        slice_ = self._slices.popleft() if self._slices else b""
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = zlib.decompressobj(self._bits or _guess_bits(slice_))
        if inflater.eof:
            self._end_early()
            return b""
        piece = inflater.decompress(slice_, PIECE_BYTES)
        rest = inflater.unconsumed_tail
        self._taken_bytes += len(slice_) - len(rest)
        if rest:
            self._slices.appendleft(rest)
        self._has_rest = len(piece) == PIECE_BYTES and not inflater.eof
        if inflater.unused_data:
            self._end_early()
        return piece

    def _end_early(self) -> None:
        """Bytes behind the end: the answer is whole, its connection is not to be trusted."""
        self._opened.close()
        self._slices.clear()
        self._has_rest = False
        self._has_body_ended = True
        self._body_error = None

    def _finish(self) -> None:
        """Tell the sink how the body ended, once nothing is left to push."""
        if self._is_over:
            return
        self._stop()
        error = self._body_error
        is_whole = self._inflater is None or self._inflater.eof
        if error is None and not is_whole:
            error = UpstreamTruncated()
        if error is None:
            self.target.end()
        else:
            self.target.fail(error)

    def _break(self, error: ProxyError) -> None:
        self.close()
        self.target.fail(error)

    def _stop(self) -> None:
        self._is_over = True
        self._slices.clear()
        self._has_rest = False
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None


def _guess_bits(start: bytes) -> int:
    """Return zlib's or raw deflate's window bits: both are called `deflate`."""
    return _ZLIB_BITS if start[0] & _METHOD_MASK == _DEFLATE_METHOD else _RAW_BITS
