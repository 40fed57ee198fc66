"""
Heads that can be read in one way only, read without aiohttp's parser.

Plain is a POST of HTTP/1.1 to a path of the pipeline, whole in one read, with a length and with
nothing that asks for more than an answer. Everything else is not refused here but left to aiohttp,
whose connection it is handed to: so this knows no errors, and what it does not know is safe.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct
from multidict import CIMultiDict

from proxy.domain.exchange import HandoverReason, Operation
from proxy.server.request_rules import is_host

MAX_HEAD_BYTES = 8000
"""Below what aiohttp's parser takes of one line or one field: no limit of its is met here."""
MAX_FIELDS = 64
_MAX_LINE_BYTES = 64

# A name of letters, a colon, one space, printable ASCII: of what HTTP allows besides, servers
# have disagreed about each.
_FIELD = re.compile(r"^([A-Za-z0-9-]+): ([!-~](?:[ -~]*[!-~])?)\r$", re.MULTILINE)
_LENGTH = re.compile(r"0|[1-9][0-9]{0,11}")
_CONNECTIONS = ("keep-alive", "close")
_NOT_PLAIN = frozenset(
    (
        "content-encoding",
        "expect",
        "http2-settings",
        "proxy-connection",
        "sec-websocket-key1",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


class PlainRoute(Struct, frozen=True):
    """What a request line asks for."""

    operation: Operation
    endpoint: str


PlainRoutes = Mapping[bytes, PlainRoute]
"""By the whole request line, without its line end."""


class PlainHead(NamedTuple):
    """The head of a plain request, and where its body is."""

    route: PlainRoute
    headers: CIMultiDict[str]
    size_bytes: int
    """How long the body is, by its `Content-Length`."""
    body_at: int
    """Where it begins in the bytes that the head was read from."""
    keeps_alive: bool
    """The client may ask again on its connection."""


def read_head(data: bytes, routes: PlainRoutes) -> PlainHead | None:
    """Return the head that these bytes begin with; None: it is not plain, or not whole."""
    line_end = data.find(b"\r\n", 0, _MAX_LINE_BYTES)
    route = routes.get(data[:line_end])
    if route is None:
        return None
    end = data.find(b"\r\n\r\n", line_end, MAX_HEAD_BYTES)
    if end < 0:
        return None
    text = data[line_end + 2 : end + 2].decode("latin-1")
    fields = _FIELD.findall(text)
    # Each match is a whole line, so that none is left over where the counts agree.
    if len(fields) != text.count("\n") or len(fields) > MAX_FIELDS:
        return None
    names = {name.lower() for name, _ in fields}
    if len(names) != len(fields) or not names.isdisjoint(_NOT_PLAIN):
        return None
    headers = CIMultiDict(fields)
    host, size = headers.get("Host"), headers.get("Content-Length")
    if host is None or size is None or not is_host(host) or not _LENGTH.fullmatch(size):
        return None
    connection = headers.get("Connection", "keep-alive").lower()
    if connection not in _CONNECTIONS:
        return None
    return PlainHead(route, headers, int(size), end + 4, connection != "close")


def find_reason(data: bytes, routes: PlainRoutes) -> HandoverReason:
    """Return why `read_head` takes no request from these bytes."""
    line_end = data.find(b"\r\n", 0, _MAX_LINE_BYTES)
    if line_end < 0 and any(line.startswith(data) for line in routes):
        return "head"  # not even its first line is whole
    line = data.rstrip(b"\r") if line_end < 0 else data[:line_end]
    return "head" if line in routes else "route"
