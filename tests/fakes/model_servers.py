"""
Many providers in one HTTP server, told apart by the first part of the path, that count what they
are asked: `http://127.0.0.1:PORT/p7/v1` is `p7`.

It runs in a thread, so that a test that waits for a program does not keep it from answering.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WITHIN_S = 30.0


class ModelServers:
    """Providers that list the model `m`, and answer chats; each may be told to fail."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        """By name, what is answered instead of 200."""
        self._asked: dict[str, list[float]] = defaultdict(list)
        self._news = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), self._build_handler())

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def build_entry(self, name: str, **more: Any) -> dict[str, Any]:
        """Return the entry of one provider in a configuration."""
        url = f"http://127.0.0.1:{self.port}/{name}/v1"
        entry = {"name": name, "type": "openai_compatible", "base_url": url, "models": ["m"]}
        return {**entry, **more}

    def times_s(self, name: str) -> list[float]:
        """Return when a provider was asked for its models, by the monotonic clock."""
        with self._news:
            return list(self._asked[name])

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as something is so; asked anew at each request."""
        deadline_s = time.monotonic() + WITHIN_S
        with self._news:
            while not is_so():
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, {name: len(times) for name, times in self._asked.items()}
                self._news.wait(left_s)

    def wait_for_probes(self, count: int, *names: str) -> None:
        """Return once each of these was asked for its models so many times in all."""
        self.wait_for(lambda: all(len(self._asked[name]) >= count for name in names))

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        _, name, *_ = handler.path.split("/")
        if handler.command == "GET":
            with self._news:
                self._asked[name].append(time.monotonic())
                self._news.notify_all()
            body: object = {"object": "list", "data": [{"id": "m", "object": "model"}]}
        else:
            handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            message = {"role": "assistant", "content": f"{name} says hello"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
        data = json.dumps(body).encode()
        handler.send_response(self.statuses.get(name, 200))
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _build_handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self)

            def do_POST(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: what is asked is counted."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have left."""


@contextmanager
def serving_models() -> Iterator[ModelServers]:
    """Serve providers."""
    servers = ModelServers()
    thread = threading.Thread(target=servers.run)
    thread.start()
    try:
        yield servers
    finally:
        servers.stop()
        thread.join()
