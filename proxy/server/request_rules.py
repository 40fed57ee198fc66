"""
What a request's head must keep to before anything is done for it.

aiohttp's parser has taken it already. Here is refused what two servers behind each other could
read in two ways, and what is no HTTP/1.0 or 1.1. `dispatch.py` asks, once for each request.
"""

import re
from functools import lru_cache

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from proxy.domain.errors import MethodNotAllowed, RequestError
from proxy.server.refusal import build_invalid_http

_BODILESS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def find_fault(request: web.Request) -> RequestError | None:
    """Return why this request is not answered, None where nothing is wrong with its head."""
    version, headers = request.version, request.headers
    if version is not HttpVersion11 and version not in (HttpVersion11, HttpVersion10):
        return build_invalid_http("its version is neither HTTP/1.1 nor HTTP/1.0")
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None and (version != HttpVersion11 or coding.lower() != "chunked"):
        return build_invalid_http(
            "its Transfer-Encoding may only be 'chunked', and in HTTP/1.0 there is none"
        )
    if request.method in _BODILESS and request.body_exists:
        return build_invalid_http(f"{request.method} has no body here")
    host = headers.get(hdrs.HOST)
    # The parser has refused a second Host, and HTTP/1.1 without one.
    if host is not None and not is_host(host):
        return build_invalid_http("its Host is not 'name' or 'name:port'")
    target = request.raw_path
    if target[0] != "/":
        return _find_target_fault(request.method, target, host)
    return None


def read_path(target: str) -> str:
    """Return the path of a request's target as it was sent, nothing in it decoded."""
    path = target.partition("?")[0]
    return path if path[:1] == "/" else "/" + path.partition("://")[2].partition("/")[2]


def _find_target_fault(method: str, target: str, host: str | None) -> RequestError | None:
    if method == hdrs.METH_CONNECT:
        return MethodNotAllowed("This server is no tunnel: CONNECT is not taken.")
    scheme, separator, rest = target.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if not separator or scheme.lower() not in {"http", "https"}:
        return build_invalid_http("its target must be a path that begins with '/'")
    if host is None or authority.lower() != host.lower():
        return build_invalid_http("its target names another host than its Host header")
    return None


# Clients send the same few hosts again and again: looking one up costs a fifth of matching it.
@lru_cache(maxsize=256)
def is_host(host: str) -> bool:
    """Return whether a `Host` is a name or an address, with or without a port."""
    return _HOST.fullmatch(host) is not None
