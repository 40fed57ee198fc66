"""
The proxy that a provider is asked through, read from the one URL that the configuration gives.

Pure: nothing is dialled here. The URL is a secret, because it may hold a password: what may be
shown of it is `OutgoingProxy.url`, and no error quotes anything of it.
"""

import base64
import re
from urllib.parse import unquote_to_bytes, urlsplit

from msgspec import Struct

from proxy.domain.secret import Secret
from proxy.upstream.guard import (
    Guard,
    find_url_problem,
    is_localhost,
    is_number,
    parse_literal,
)
from proxy.upstream.resolver import ResolutionFailed

_FORM = "http://proxy.example:3128, or http://user:password@proxy.example:3128"
# Nothing that a proxy might decode, or take for an end: it must ask where we think that it asks.
_PLAIN_HOST = re.compile(r"[A-Za-z0-9._:-]+\Z")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class OutgoingProxy(Struct, frozen=True):
    """Where a proxy is, and what it lets us pass for."""

    host: str
    port: int
    authorization: Secret | None = None
    """The value of `Proxy-Authorization`, for this proxy and nobody behind it."""

    @property
    def url(self) -> str:
        """Scheme, host and port: what may be shown, and what its guard is made of."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def build_connect(self, host: str, port: int) -> bytes:
        """Return the request for a tunnel to a host."""
        there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n{self.build_credentials()}\r\n"
        return lines.encode("ascii")

    def build_credentials(self) -> str:
        """Return the line of a head that says who asks; nothing where the proxy asks nobody."""
        if self.authorization is None:
            return ""
        return f"Proxy-Authorization: {self.authorization.reveal()}\r\n"


def parse_proxy(url: str) -> OutgoingProxy:
    """
    Read a URL: `http://`, host and port, with user and password or without.

    Raises:
        ValueError: says what is wrong, and behind the first colon how to mend it; it quotes
            nothing of the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"cannot be read as a URL: write {_FORM}") from None
    if "${" in url:
        raise ValueError("holds '${...}' beside other text: put the whole URL into one variable")
    if parts.scheme == "https":
        raise ValueError(
            "asks for TLS to the proxy itself, which is not spoken: write http://; "
            "what goes to a provider over https is encrypted inside of the tunnel all the same"
        )
    host = parts.hostname or ""
    if parts.scheme != "http" or not _PLAIN_HOST.match(host) or not _is_plain(url):
        raise ValueError(f"is no address of a proxy: write {_FORM}")
    if not port:
        raise ValueError(f"names no port: write {_FORM}")
    if parts.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError("holds more than an address: end it after the port")
    found = find_url_problem(url)
    if found is not None:
        raise ValueError("names an address that nothing is ever reached at: write the proxy's own")
    return OutgoingProxy(host, port, _read_login(parts.username, parts.password))


def check_target(host: str, guard: Guard) -> None:
    """
    Let a host pass that a proxy may be asked for.

    A name's addresses are seen by the proxy alone, and so nobody here can judge them.

    Args:
        host: of the request's URL, without brackets.
        guard: the provider's own, made from its `base_url`.

    Raises:
        UpstreamAddressRefused: it is an address, or `localhost`, that the provider may not have.
        ResolutionFailed: it is a number, which a proxy could read as such an address.
        ValueError: it is neither a name nor an address.
    """
    if parse_literal(host) is not None:
        guard.check((host,))
    if not _PLAIN_HOST.match(host):
        raise ValueError("this host cannot be asked for")
    if is_localhost(host):
        guard.check(("127.0.0.1",))
    elif parse_literal(host) is None and is_number(host):
        raise ResolutionFailed("a number is not a name")


def _read_login(user: str | None, password: str | None) -> Secret | None:
    if user is None:
        return None
    name, word = unquote_to_bytes(user), unquote_to_bytes(password or "")
    if b":" in name or _CONTROL.search(name + word):
        raise ValueError("has a user or a password that no proxy can be told: correct it")
    return Secret("Basic " + base64.b64encode(name + b":" + word).decode("ascii"))


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "\\" not in url
