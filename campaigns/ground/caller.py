"""A caller with small streams, one after the other on one connection, who measures each."""

import socket
import time
from collections.abc import Callable, Sequence

from campaigns.ground.client import build_chat_request

END = b"0\r\n\r\n"
WITHIN_S = 30.0
SMALL = build_chat_request("small")


class Caller:
    """A blocking client: nothing but the server and the kernel is in its times."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def ask(self) -> float:
        """Ask for one stream and return the seconds until its end."""
        started_s = time.perf_counter()
        self._socket.sendall(SMALL)
        received = b""
        while not received.endswith(END):
            part = self._socket.recv(65_536)
            if not part:
                raise AssertionError(f"the caller was cut off: {received[:200]!r}")
            received += part
        if not received.startswith(b"HTTP/1.1 200 ") or b"data: [DONE]" not in received:
            raise AssertionError(f"the caller was not answered: {received[:200]!r}")
        return time.perf_counter() - started_s

    def measure(self, count: int) -> list[float]:
        """Return the seconds of `count` streams."""
        return [self.ask() for _ in range(count)]

    def measure_until(self, is_over: Callable[[], bool]) -> list[float]:
        """Return the seconds of every stream until something is over."""
        times = []
        while not is_over():
            times.append(self.ask())
        return times


def find_percentile(times: Sequence[float], percent: float) -> float:
    """Return the time that so many percent of all do not pass."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
