"""Where a request goes, read once from its URL."""

from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.domain.errors import UpstreamUnreachable

MAX_TARGETS = 1024
"""URLs that are kept as they were read; some providers have a client's model name in theirs."""
_PORTS = {"http": 80, "https": 443}


class Origin(Struct, frozen=True):
    """A scheme, a host and a port: connections to one serve requests to no other."""

    scheme: Literal["http", "https"]
    host: str
    """In lower case and without brackets; a name or an address."""
    port: int

    @property
    def authority(self) -> str:
        """What the Host header says."""
        # The zone of an address means something on this machine only.
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Target(Struct, frozen=True):
    """An origin, and the lines of a head that are the same for each request to one URL."""

    origin: Origin
    first_lines: bytes


def read_target(method: str, url: str) -> Target:
    """
    Read a URL, whose path and query must be percent-encoded already; a fragment is dropped.

    Raises:
        UpstreamUnreachable: no request can be made of it.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        if scheme not in ("http", "https") or not host or not _is_plain(f"{method}{host}"):
            raise ValueError("not an address of HTTP")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _is_plain(path):
            raise ValueError("not percent-encoded")
    except ValueError as error:
        raise UpstreamUnreachable from error
    origin = Origin(scheme, host, _PORTS[scheme] if port is None else port)  # type: ignore[arg-type]
    lines = f"{method} {path} HTTP/1.1\r\nHost: {origin.authority}\r\n"
    return Target(origin, lines.encode("ascii"))


def _is_plain(text: str) -> bool:
    """Tell whether a text can stand in a request's first lines without ending them."""
    return text.isascii() and text.isprintable() and " " not in text
