"""
The last answer of a connection: what could not be read as a request gets it, and then the end.

`connection.py` sends it. Requests that were read, and are refused for what they ask, get theirs
from `shape.py` or the pipeline.
"""

import time
from collections.abc import Mapping

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from proxy.domain.errors import HeadTooLarge, InvalidRequest, ProxyError, RequestError
from proxy.domain.exchange import RequestRecord
from proxy.server.written_answer import build_head
from proxy.wire.dialect import Dialect
from proxy.wire.dialects import find_dialect

INVALID_HTTP = "invalid_http"
_UNKNOWN = find_dialect("chat")
"""How a client is spoken to of whom nothing could be read."""
_TOO_MANY_HEADERS = ("Too many headers received",)


def build_refusal(
    error: ProxyError,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    dialect: Dialect = _UNKNOWN,
) -> bytes:
    """Return an error as a whole HTTP/1.1 answer that says it is the connection's last."""
    body = dialect.build_error_body(error, request_id)
    told = {**dict.fromkeys(dialect.id_headers, request_id), **(headers or {})}
    extra = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    fields = (
        f"Content-Type: application/json\r\nx-request-id: {request_id}\r\n{extra}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    )
    return build_head(error.status, fields) + body


def build_refusal_record(error: ProxyError, request_id: str) -> RequestRecord:
    """Return the record of a request that was refused as soon as it had come."""
    return RequestRecord(
        request_id=request_id,
        started_at=time.time(),
        duration_s=0.0,
        endpoint="other",
        status=error.status,
        ending="failed",
        error_code=error.code or error.type,
    )


def build_parser_error(error: BaseException) -> RequestError:
    """Return what aiohttp's parser refused in words of ours: its own quote the request."""
    if isinstance(error, LineTooLong):
        return HeadTooLarge()
    if isinstance(error, HttpProcessingError) and error.args == _TOO_MANY_HEADERS:
        return HeadTooLarge()
    return build_invalid_http("it could not be read. Plain HTTP/1.1 is spoken here, without TLS")


def build_invalid_http(why: str) -> InvalidRequest:
    """Return the error for a request that is no HTTP/1.1, or one that could be read two ways."""
    return InvalidRequest(f"This is not a valid HTTP/1.1 request: {why}.", code=INVALID_HTTP)
