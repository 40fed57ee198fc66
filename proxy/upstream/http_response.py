"""
Bytes -> heads and bodies of HTTP/1.1 responses; pure, over the parser of `httptools`.

The parser is strict about what a response is made of (RFC 9112); what it lets pass, and how much
of everything may come, is judged here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.exchange import ResponseHead

MAX_FIELDS: Final = 128
"""Headers and trailers of one response, together."""
MAX_FIELD_BYTES: Final = 8190
"""A header's name, its value, or the reason after the status."""
MAX_FRAMING_BYTES: Final = 64 * 1024
"""What is no body, at once or in all: heads, chunk sizes and extensions, trailers. Each byte of
body allows more in all."""
MAX_INTERIM: Final = 64
"""Responses of 1xx in front of the one that was asked for."""

_FRAMING_PER_BODY: Final = 8
"""Chunks of a single byte need five bytes more for each; a few more are a short extension."""
_VERSIONS = frozenset(("1.1", "1.0"))
_WITHOUT_BODY = frozenset((204, 304))
_LENGTH = b"content-length"
_ENCODING = b"transfer-encoding"
_CONNECTION = b"connection"
_BLANKS = b" \t"
_OTHER_PROTOCOLS = (b"R", b"I")
"""Begin RTSP and ICE, which the parser knows as well."""
_TLS_ALERT = b"\x15"
"""Begins what a server of TLS says to who does not speak it."""

# For an operator's log.
_NOT_HTTP = "it does not begin with HTTP/"
_IS_TLS = "what answers there is TLS: https:// in base_url?"
_ENCODED = "a Transfer-Encoding other than chunked"
_LONG_FIELD = f"a header above {MAX_FIELD_BYTES} bytes"
_MANY_FIELDS = f"more than {MAX_FIELDS} headers"
_MANY_INTERIM = f"more than {MAX_INTERIM} responses of 1xx"
_MUCH_FRAMING = f"more than {MAX_FRAMING_BYTES} bytes of heads, chunk sizes and trailers"


class FieldMap(Mapping[str, str]):
    """Headers by name in lower case; of several with one name, the first. Decoded when read."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        """Take names in lower case, and their values; blanks behind these do not count."""
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        """Return a value; bytes that are not ASCII are taken for Latin-1, as RFC 9110 has it."""
        return self._raw[name.encode("latin-1", "replace")].rstrip(_BLANKS).decode("latin-1")

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a value, or the default if there is none of that name."""
        value = self._raw.get(name.encode("latin-1", "replace"))
        return default if value is None else value.rstrip(_BLANKS).decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return (name.decode("latin-1") for name in self._raw)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._raw)


class ResponseParser:
    """
    Reads the responses of one connection, one after the other.

    After `begin()`, `feed()` takes what has come; the response so far is in `head`, `chunks`
    and `is_complete`. Whoever takes chunks leaves an empty list.
    """

    __slots__ = (
        "_body_bytes",
        "_fed_bytes",
        "_feed",
        "_has_length",
        "_interim",
        "_others",
        "_parser",
        "_quiet_bytes",
        "_raw",
        "_reason_bytes",
        "chunks",
        "has_surplus",
        "head",
        "is_complete",
        "may_follow",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self.begin()

    def begin(self) -> None:
        """Begin with the next response: a request has been sent."""
        self.head: ResponseHead | None = None
        """None until the last byte of the head of a response that is not 1xx."""
        self.chunks: list[bytes] = []
        """Pieces of the body, none of them empty."""
        self.is_complete = False
        """The body has ended as its framing says."""
        self.has_surplus = False
        """More came than one response: what it belongs to is unknown."""
        self.may_follow = False
        """The connection stays open behind this response, as far as head and trailers say."""
        self._raw: dict[bytes, bytes] = {}
        """Of the head, and then of the trailers; `_others` counts fields that are not in it."""
        self._others = self._interim = self._reason_bytes = 0
        self._fed_bytes = self._body_bytes = self._quiet_bytes = 0
        self._has_length = False

    def feed(self, data: bytes) -> None:
        """
        Read what has come.

        Raises:
            UpstreamProtocolError: it is not HTTP/1.1, or above our limits; `chunks` holds the
                good ones before it, and nothing more may be fed.
        """
        if not self._fed_bytes and data[:1] in _OTHER_PROTOCOLS:
            raise UpstreamProtocolError(detail=_NOT_HTTP)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.is_complete:
                self.has_surplus = True
                return
            is_tls = not self._fed_bytes and data[:1] == _TLS_ALERT
            raise UpstreamProtocolError(detail=_IS_TLS if is_tls else _tell(error)) from error
        size_bytes = len(data)
        self._fed_bytes += size_bytes
        if self.chunks:
            self._quiet_bytes = 0
        elif not self.is_complete:
            self._quiet_bytes += size_bytes
        if (
            self._fed_bytes - self._body_bytes * (1 + _FRAMING_PER_BODY) > MAX_FRAMING_BYTES
            or self._quiet_bytes > MAX_FRAMING_BYTES
            or len(self._raw) + self._others > MAX_FIELDS
        ) and not self.is_complete:
            has_many = len(self._raw) + self._others > MAX_FIELDS
            raise UpstreamProtocolError(detail=_MANY_FIELDS if has_many else _MUCH_FRAMING)

    def feed_end(self) -> bool:
        """Take note of the end of the connection; return whether it completes the response."""
        head = self.head
        if not self.is_complete and head is not None and not self._has_length:
            self.is_complete = head.status not in _WITHOUT_BODY
        return self.is_complete

    def close(self) -> None:
        """Let go of the parser, which holds this object: a ring would wait for the collector."""
        self._parser = None
        self._feed = _feed_nobody

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """Refuse a response that nobody has asked for."""
        if self.is_complete:
            raise UpstreamProtocolError

    def on_status(self, reason: bytes) -> None:
        """Count the reason, which comes in as many pieces as were read."""
        self._reason_bytes += len(reason)
        if self._reason_bytes > MAX_FIELD_BYTES:
            raise UpstreamProtocolError(detail=f"a reason above {MAX_FIELD_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer; called most of all, so they are judged together."""
        name = name.lower()
        if name in self._raw:
            self._drop_twin(name, value)
        else:
            self._raw[name] = value

    def on_headers_complete(self) -> None:
        """Judge a head that is complete."""
        parser, raw = self._parser, self._raw
        version = "" if parser is None else parser.get_http_version()
        if parser is None or version not in _VERSIONS:
            raise UpstreamProtocolError(detail=f"HTTP/{version}")
        self._judge_fields()
        encoding = raw.get(_ENCODING)
        if encoding is not None and encoding.rstrip(b" ").lower() != b"chunked":
            raise UpstreamProtocolError(detail=_ENCODED)
        status = parser.get_status_code()
        if 200 <= status <= 599:
            self._has_length = encoding is not None or _LENGTH in raw
            self.may_follow = parser.should_keep_alive() and (
                # Of what HTTP/1.0 does not know, or says both ways, nothing is sure.
                version == "1.1"
                or (encoding is None and b"close" not in raw.get(_CONNECTION, b"").lower())
            )
            self.head = ResponseHead(status, FieldMap(raw))
            self._others += len(raw)
            self._raw = {}  # for trailers
        elif 100 <= status <= 199 and status != 101 and self._interim < MAX_INTERIM:
            self._interim += 1
        else:
            # 101 too: nobody has asked for another protocol.
            is_many = 100 <= status <= 199 and status != 101
            raise UpstreamProtocolError(detail=_MANY_INTERIM if is_many else f"status {status}")

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body; a 1xx has none, whatever it says."""
        if self.head is None:
            raise UpstreamProtocolError
        self._body_bytes += len(piece)
        self.chunks.append(piece)

    def on_message_complete(self) -> None:
        """Take note of the end of a response, or of a 1xx in front of it."""
        parser = self._parser
        if self.head is not None and parser is not None:
            self._judge_fields()
            self.is_complete = True
            # Once more: a trailer, too, can say that the connection closes, but not that it stays.
            self.may_follow = self.may_follow and parser.should_keep_alive()
            return
        self._raw = {}
        self._others = self._reason_bytes = 0

    def _drop_twin(self, name: bytes, value: bytes) -> None:
        """Look at a header whose name was there already: the first one counts."""
        self._others += 1
        # Chunks of chunks are no framing: it can be applied only once.
        if name == _ENCODING:
            raise UpstreamProtocolError(detail=_ENCODED)
        if self._others > MAX_FIELDS:
            raise UpstreamProtocolError(detail=_MANY_FIELDS)
        if len(value) > MAX_FIELD_BYTES:
            raise UpstreamProtocolError(detail=_LONG_FIELD)

    def _judge_fields(self) -> None:
        """Refuse too many headers or trailers, and those that are too long."""
        raw = self._raw
        if len(raw) + self._others > MAX_FIELDS:
            raise UpstreamProtocolError(detail=_MANY_FIELDS)
        if raw and max(*map(len, raw), *map(len, raw.values())) > MAX_FIELD_BYTES:
            raise UpstreamProtocolError(detail=_LONG_FIELD)


def _tell(error: Exception) -> str:
    """Return what was wrong: in our words if it was we who refused, else in the parser's own."""
    judged = error.__context__
    if isinstance(judged, UpstreamProtocolError) and judged.detail is not None:
        return judged.detail
    # Its words are constants of its code; nothing of what the provider sent is among them.
    told = "another protocol" if isinstance(error, HttpParserUpgrade) else str(error)
    return _NOT_HTTP if told.startswith("Expected HTTP/") else told


def _feed_nobody(_: object) -> None:
    """Stand in for a parser that is gone."""
