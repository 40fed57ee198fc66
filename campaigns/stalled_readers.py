"""
2,000 clients that open a stream and stop reading: `make campaign NAME=stalled-readers`.

The real server, before an upstream that sends as fast as it is let. In each round a caller with
small streams is measured alone, and again while all the others are stalled; in the end they are
left to the server's clock.
"""

import os
import select
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from campaigns.base import PASSED, Result, write_result
from campaigns.ground.caller import Caller, find_percentile
from campaigns.ground.client import build_chat_request
from campaigns.ground.flood import serving_flood
from campaigns.ground.kernel import raise_file_limit, read_resident_bytes

READERS = int(os.environ.get("STALLED_READERS", "2000"))
ROUNDS = int(os.environ.get("STALLED_ROUNDS", "11"))
STREAMS = 4_000
"""Small streams of the caller in each half of a round."""
WRITE_STALL_S = 30.0
MOST_GROWTH_BYTES = 600 * 2**20
MOST_SLOWDOWN = 1.10
SLACK = 10
BATCH = 100
HELD_BYTES = 8_192
"""What a stalled reader's kernel may take for it: little, so that the server has to hold."""
MIB = 2**20
FLOOD = build_chat_request("flood")


class StalledReaders:
    """Clients whose answer has begun, and who take nothing more of it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: dict[int, socket.socket] = {}
        self._poll = select.poll()

    def open(self, count: int) -> None:
        """Connect, ask, and wait until each has the first bytes of its answer."""
        for start in range(0, count, BATCH):
            batch = [self._connect() for _ in range(min(BATCH, count - start))]
            for client in batch:
                head = client.recv(64, socket.MSG_PEEK)
                assert head.startswith(b"HTTP/1.1 200 "), head

    def close(self) -> None:
        """Leave, all at once."""
        for client in self._sockets.values():
            self._poll.unregister(client)
            client.close()
        self._sockets.clear()

    def wait_until_ended(self, within_s: float) -> int:
        """Wait for the server to end them, and return how many it has left."""
        deadline_s = time.monotonic() + within_s
        while self._sockets and (left_s := deadline_s - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left_s * 1000):
                self._poll.unregister(number)
                self._sockets.pop(number).close()
        return len(self._sockets)

    def _connect(self) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
        client.settimeout(30.0)
        client.connect(("127.0.0.1", self._port))
        client.sendall(FLOOD)
        self._sockets[client.fileno()] = client
        # Nothing but the end of the connection is looked for: what has come stays unread.
        self._poll.register(client, select.POLLRDHUP)
        return client


def main() -> int:
    raise_file_limit(3 * READERS + 500)
    with tempfile.TemporaryDirectory() as name:
        clocks = {"write_stall_s": WRITE_STALL_S, "idle_s": 600}
        limits = {"max_in_flight": READERS + 100}
        with serving_flood(Path(name), clocks=clocks, limits=limits) as served:
            return write_result(measure(served.port, served.program.pid))


def measure(port: int, pid: int) -> Result:
    """Run all rounds and return what they found."""
    caller, readers = Caller(port), StalledReaders(port)
    caller.measure(STREAMS)
    before_bytes = read_resident_bytes(pid)
    alone, among, held = [], [], []
    for _ in range(ROUNDS):
        alone.append(caller.measure(STREAMS))
        readers.open(READERS)
        settle(pid)
        among.append(caller.measure(STREAMS))
        held.append(read_resident_bytes(pid))
        readers.close()
        caller.measure(STREAMS // 10)
    readers.open(READERS)
    started_s = time.monotonic()
    left = readers.wait_until_ended(WRITE_STALL_S * SLACK)
    ended_s = time.monotonic() - started_s
    caller.ask()
    grown_bytes = max(held) - before_bytes
    p99s = [[find_percentile(times, 99) * 1000 for times in half] for half in (alone, among)]
    alone_ms, among_ms = (statistics.median(half) for half in p99s)
    rows = {
        f"{READERS} stalled readers add at most {MOST_GROWTH_BYTES // MIB} MiB": [
            PASSED if grown_bytes <= MOST_GROWTH_BYTES else f"{grown_bytes / MIB:.0f} MiB"
        ],
        "another caller's p99 stays within 10 %": [
            PASSED
            if among_ms <= alone_ms * MOST_SLOWDOWN
            else f"{among_ms:.2f} ms instead of {alone_ms:.2f} ms"
        ],
        f"`write_stall_s` ({WRITE_STALL_S:g} s) ends every one of them": [
            PASSED if not left else f"{left} are left"
        ],
    }
    each = ", ".join(f"{a:.2f} / {b:.2f}" for a, b in zip(*p99s, strict=True))
    notes = [
        f"{READERS} clients ask for a stream that never ends and read nothing of it. The server's "
        f"resident memory was {before_bytes / MIB:.0f} MiB before and at most "
        f"{max(held) / MIB:.0f} MiB with all of them: {grown_bytes / MIB:+.0f} MiB, "
        f"{grown_bytes / READERS / 1024:.0f} KiB each. Each round, MiB: "
        f"{', '.join(f'{size_bytes / MIB:.0f}' for size_bytes in held)}.",
        f"Meanwhile one caller asks for small streams, {STREAMS} alone and {STREAMS} among the "
        f"others in each of {ROUNDS} rounds. Median of the rounds' p99: {alone_ms:.2f} ms alone, "
        f"{among_ms:.2f} ms among them ({among_ms / alone_ms - 1:+.1%}). "
        f"Each round, ms alone / among: {each}.",
        f"Left alone, the last of them was ended {ended_s:.1f} s after it had begun.",
    ]
    title = "Clients that stop reading, against the running process"
    return Result("stalled-readers", title, ["serve"], rows, notes)


def settle(pid: int) -> None:
    """Wait until the server's memory stands still: nobody gets anything more."""
    steady, last_bytes = 0, 0
    while steady < 5:
        time.sleep(0.2)
        now_bytes = read_resident_bytes(pid)
        steady = steady + 1 if abs(now_bytes - last_bytes) < MIB else 0
        last_bytes = now_bytes


if __name__ == "__main__":
    sys.exit(main())
