"""Small JSON answers of our own endpoints, and errors in the client's shape."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from proxy.domain.errors import ProxyError
from proxy.server.written_answer import SERVER_NAME
from proxy.wire.dialect import Dialect
from proxy.wire.openai_error import build_error_body


def json_reply(value: object, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    return body_reply(msgspec.json.encode(value), status)


def body_reply(
    body: bytes, status: int = 200, content_type: str = "application/json"
) -> web.Response:
    """Return bytes that are already encoded."""
    return web.Response(
        body=body, status=status, headers={"Content-Type": content_type, "Server": SERVER_NAME}
    )


def error_reply(
    error: ProxyError, dialect: Dialect, request_id: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error of the tree in a client's dialect."""
    reply = body_reply(dialect.build_error_body(error, request_id), error.status)
    reply.headers.update(headers or {})
    return reply


def admin_error_reply(error: ProxyError, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error as administrators get it: its message stands in `detail` once more."""
    detail = b'{"detail":%b,' % msgspec.json.encode(error.message)
    reply = body_reply(detail + build_error_body(error)[1:], error.status)
    reply.headers.update(headers or {})
    return reply
