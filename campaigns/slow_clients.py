"""
Clients that are slow on purpose: `make campaign NAME=slow-clients`.

Slow heads, slow bodies and slow reads, on raw sockets and by slowhttptest where it is installed.
Each must end by the server's own clocks, while another caller is answered.
"""

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from campaigns.base import PASSED, Result, write_result
from campaigns.ground.caller import Caller, find_percentile
from campaigns.ground.client import build_chat_request
from campaigns.ground.flood import serving_flood
from campaigns.ground.kernel import raise_file_limit
from tests.end_to_end.served import KEY

CLIENTS = int(os.environ.get("SLOW_CLIENTS", "500"))
CLOCK_S = 2.0
SLACK = 10
DRIBBLE_S = 0.5
HELD_BYTES = 4_096
MODELS = 4_000
"""So many that the list of them is larger than what a kernel holds for a client."""
SLOWHTTPTEST_S = 60
"""How long slowhttptest would go on by itself."""
FEW = 3
"""Connections that are nobody's attack: the caller's, and slowhttptest's own looks."""
HEAD = f"Host: campaign\r\nX-API-Key: {KEY}\r\n"
SLOW_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: campaign\r\nX-A: "
SLOW_BODY = (
    f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
    "Content-Length: 100000\r\n\r\n"
).encode()
FLOOD = build_chat_request("flood")


class Attack:
    """Many connections that send a beginning, and then one byte from time to time, or nothing."""

    def __init__(self, port: int, beginning: bytes, *, dribbles: bool) -> None:
        self._dribbles = dribbles
        self._poll = select.poll()
        self._open: dict[int, socket.socket] = {}
        self.answers: dict[str, int] = {}
        self._next_s = 0.0
        for _ in range(CLIENTS):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.sendall(beginning)
            self._open[client.fileno()] = client
            # Without POLLIN nothing is read: the end of the connection shows all the same.
            self._poll.register(client, select.POLLRDHUP)

    def is_over(self) -> bool:
        """Look for ended connections, send what is due, and say whether none is left."""
        for number, _ in self._poll.poll(0):
            self._poll.unregister(number)
            client = self._open.pop(number)
            self._note(client)
            client.close()
        now_s = time.monotonic()
        if self._dribbles and now_s >= self._next_s:
            self._next_s = now_s + DRIBBLE_S
            for client in self._open.values():
                try:
                    client.send(b"a")
                except (ConnectionError, BlockingIOError):
                    continue  # the next look finds it ended
        return not self._open

    def close(self) -> int:
        """Leave, and return how many the server had not ended."""
        left = len(self._open)
        for client in self._open.values():
            client.close()
        return left

    def _note(self, client: socket.socket) -> None:
        try:
            status = client.recv(12).decode("latin-1").removeprefix("HTTP/1.1 ")
        except ConnectionError:
            status = "reset"
        self.answers[status or "end"] = self.answers.get(status or "end", 0) + 1


def main() -> int:
    raise_file_limit(3 * CLIENTS + 500)
    with tempfile.TemporaryDirectory() as name:
        clocks = {
            "request_head_s": CLOCK_S,
            "request_body_s": CLOCK_S,
            "write_stall_s": CLOCK_S,
        }
        with serving_flood(Path(name), models=MODELS, clocks=clocks) as served:
            return write_result(measure(served.port, Path(name)))


def measure(port: int, folder: Path) -> Result:
    """Run every attack, one after the other, with a caller beside each."""
    caller = Caller(port)
    alone_ms = find_percentile(caller.measure(1_000), 99) * 1000
    notes = [
        f"{CLIENTS} connections for each attack; the clocks for heads, bodies and stalled writes "
        f"are {CLOCK_S:g} s here. A caller asks for small streams meanwhile and must get each: "
        f"its p99 alone is {alone_ms:.2f} ms.",
    ]
    rows: dict[str, Sequence[str]] = {}
    attacks: dict[str, Callable[[], Attack]] = {
        "slow heads": lambda: Attack(port, SLOW_HEAD, dribbles=True),
        "silent heads": lambda: Attack(port, b"", dribbles=False),
        "slow bodies": lambda: Attack(port, SLOW_BODY, dribbles=True),
        "silent bodies": lambda: Attack(port, SLOW_BODY, dribbles=False),
        "no reads": lambda: Attack(port, FLOOD, dribbles=False),
    }
    for name, begin in attacks.items():
        started_s = time.monotonic()
        attack = begin()
        deadline_s = started_s + CLOCK_S * SLACK
        times = caller.measure_until(
            lambda a=attack, d=deadline_s: a.is_over() or time.monotonic() > d  # type: ignore[misc]
        )
        took_s, left = time.monotonic() - started_s, attack.close()
        rows[name] = [PASSED if not left and took_s >= CLOCK_S else f"{left} left, {took_s:.1f} s"]
        p99_ms = find_percentile(times, 99) * 1000
        answers = ", ".join(f"{count} x {status}" for status, count in attack.answers.items())
        notes.append(
            f"{name}: the last one ended after {took_s:.1f} s ({answers}); the caller got "
            f"{len(times)} streams, p99 {p99_ms:.2f} ms."
        )
    if shutil.which("slowhttptest") is None:
        notes.append("slowhttptest is not installed and was not run.")
        return _build_result(rows, notes)
    for name, options in build_slowhttptest_options(port).items():
        verdict, note = run_slowhttptest(options, caller, port, folder)
        rows[f"slowhttptest, {name}"] = [verdict]
        notes.append(f"slowhttptest, {name}: {note}")
    return _build_result(rows, notes)


def build_slowhttptest_options(port: int) -> dict[str, list[str]]:
    """Return the options of each of its attacks."""
    url = f"http://127.0.0.1:{port}/v1"
    # It sends a cookie as it is given: the key travels behind it as a header of its own.
    key = ["-j", f"a=b\r\nX-API-Key: {KEY}"]
    chat = ["-u", f"{url}/chat/completions", "-t", "POST", "-f", "application/json"]
    slow_read = ["-w", "1", "-y", "2", "-n", "5", "-z", "1", "-k", "1", "-u", f"{url}/models"]
    return {
        "slow heads (-H)": ["-H", "-i", "1", *chat],
        "slow bodies (-B)": ["-B", "-i", "1", "-s", "100000", *chat, *key],
        "slow reads (-X)": ["-X", *slow_read, *key],
    }


def run_slowhttptest(
    options: Sequence[str], caller: Caller, port: int, folder: Path
) -> tuple[str, str]:
    """
    Run one attack beside the caller; return its verdict and what happened.

    How many connections the server has is the kernel's word: slowhttptest itself does not
    notice the end of a connection that it is not reading from.
    """
    common = ["-c", str(CLIENTS), "-r", str(CLIENTS), "-l", str(SLOWHTTPTEST_S), "-p", "5"]
    started_s = time.monotonic()
    most, left, times = 0, 0, []
    with (
        (folder / "slowhttptest.log").open("wb") as out,
        subprocess.Popen(
            ["slowhttptest", *common, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process,
    ):
        while time.monotonic() - started_s < CLOCK_S * SLACK:
            times += caller.measure(20)
            left = count_connections(port)
            most = max(most, left)
            if most > CLIENTS // 2 and left <= FEW:
                break
        took_s = time.monotonic() - started_s
        process.terminate()
    p99_ms = find_percentile(times, 99) * 1000
    note = (
        f"{most} connections at once, {left} left after {took_s:.1f} s, the caller's own and "
        f"probes included; the caller got {len(times)} streams, p99 {p99_ms:.2f} ms."
    )
    is_good = most > CLIENTS // 2 and left <= FEW
    return PASSED if is_good else f"{most} connections, {left} left", note


def count_connections(port: int) -> int:
    """Return how many connections are established to a port of this machine."""
    mine = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(local.endswith(mine) and state == "01" for _, local, _, state, *_ in fields)


def _build_result(rows: dict[str, Sequence[str]], notes: list[str]) -> Result:
    title = "Clients that are slow on purpose, against the running process"
    return Result("slow-clients", title, ["serve"], rows, notes)


if __name__ == "__main__":
    sys.exit(main())
