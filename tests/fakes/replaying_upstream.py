"""A provider that answers every request with recorded bytes, in a thread of the test's process."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from msgspec import Struct

_MEDIA_TYPES = {
    "json": "application/json",
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "html": "text/html",
}


class Arrived(Struct, frozen=True):
    """One request as it arrived; names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class ReplayingUpstream:
    """Where it is, what it answers, and what has arrived."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.port = 0
        self._status = 200
        self._headers: dict[str, str] = {}
        self._body = b""

    def play(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer so from now on, and forget what has arrived; `kind` is a recording's suffix."""
        self.arrived.clear()
        self._status, self._body = status, body
        self._headers = {"Content-Type": _MEDIA_TYPES[kind], **(headers or {})}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Keep a request and answer it."""
        length = int(handler.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.arrived.append(Arrived(handler.path, headers, handler.rfile.read(length)))
        handler.send_response(self._status)
        for name, value in {**self._headers, "Content-Length": str(len(self._body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(self._body)


@contextmanager
def replaying() -> Iterator[ReplayingUpstream]:
    """Run one until the block ends."""
    upstream = ReplayingUpstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            upstream.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    upstream.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
