"""The notify protocol over a real socket, and sockets that a real child inherits."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.telemetry.systemd import Notifier, take_listen_sockets

# A child takes what stands from descriptor 3 on and accepts once from each listening socket.
_CHILD = """
import os, sys
from proxy.telemetry.systemd import take_listen_sockets
environ = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "http:http"}
taken = take_listen_sockets(environ)
print(len(taken), [os.get_inheritable(s.fileno()) for s in taken], [s.gettimeout() for s in taken])
print(sorted(name for name in environ if name.startswith("LISTEN_")))
for sock in taken:
    sock.setblocking(True)
    connection, _ = sock.accept()
    connection.sendall(b"taken")
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A datagram socket that stands in for systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def read_message(manager: socket.socket) -> dict[str, str]:
    """Return the assignments of the next message."""
    lines = manager.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def test_the_life_of_a_service_is_told(manager: socket.socket) -> None:
    """Ready, status, life sign, more time and end arrive as the protocol words them."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("2 of 2 workers")
    notifier.status("generation 3")
    notifier.watchdog()
    notifier.extend_timeout(1.5)
    notifier.stopping()
    assert [read_message(manager) for _ in range(5)] == [
        {"READY": "1", "STATUS": "2 of 2 workers"},
        {"STATUS": "generation 3"},
        {"WATCHDOG": "1"},
        {"EXTEND_TIMEOUT_USEC": "1500000"},
        {"STOPPING": "1"},
    ]


def test_a_reload_carries_its_time(manager: socket.socket) -> None:
    """The begin of a reload is told with the monotonic time in microseconds."""
    before_us = time.monotonic_ns() // 1000
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).reloading()
    message = read_message(manager)
    assert message.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert before_us <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_a_status_cannot_assign(manager: socket.socket) -> None:
    """A line break in a status becomes a space, and never an assignment of its own."""
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).status("broken:\nMAINPID=1")
    assert read_message(manager) == {"STATUS": "broken: MAINPID=1"}


def test_an_abstract_socket_is_reached() -> None:
    """A name that begins with `@` is a socket without a file."""
    name = f"llm-proxy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert read_message(manager) == {"READY": "1"}


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(address: str) -> None:
    """No address, one of another kind and a socket that is gone are all passed over."""
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("serving")
    notifier.reloading()
    notifier.watchdog()
    assert notifier.watchdog_interval_s is None


def test_a_manager_that_does_not_read_holds_nobody_up(manager: socket.socket) -> None:
    """Messages to a full queue are given up, each after a moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling:
        filling.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                filling.sendto(b"x", manager.getsockname())
    started = time.monotonic()
    Notifier({"NOTIFY_SOCKET": manager.getsockname()}).ready()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("variables", "interval_s"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often(
    variables: dict[str, str], interval_s: float | None
) -> None:
    """The interval is half of what systemd waits, and none if it waits for another process."""
    assert Notifier(variables).watchdog_interval_s == interval_s


def test_a_child_takes_its_sockets() -> None:
    """A child gets the listening stream sockets of its descriptors, and serves on them."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as second,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unbound,
    ):
        passed = [first, datagrams, second, unbound]
        child = start_child([sock.fileno() for sock in passed])
        for sock in (first, second):
            with socket.create_connection(sock.getsockname()[:2], timeout=30) as connection:
                connection.settimeout(30)
                assert connection.recv(16) == b"taken"
        printed, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert printed.splitlines() == ["2 [False, False] [0.0, 0.0]", "[]"]


def start_child(descriptors: list[int]) -> "subprocess.Popen[str]":
    """Start a child whose descriptors from 3 on are these, as systemd starts a service."""
    # A shell moves them: whatever this process has open at 3 stays as it is.
    high = [os.dup(descriptor) for descriptor in descriptors]
    moves = " ".join(f"{3 + n}<&{descriptor}" for n, descriptor in enumerate(high))
    try:
        return subprocess.Popen(
            ["bash", "-c", f'exec {moves}; exec "$0" -c "$1"', sys.executable, _CHILD],
            env={**os.environ, "LISTEN_FDS": str(len(high))},
            pass_fds=high,
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        for descriptor in high:
            os.close(descriptor)


@pytest.mark.parametrize("process", ["1", "", "x"])
def test_sockets_of_another_process_are_left_alone(process: str) -> None:
    """A child that inherited the variables takes nothing, and passes nothing on."""
    environ = {"LISTEN_PID": process, "LISTEN_FDS": "2", "HOME": "/"}
    assert take_listen_sockets(environ) == []
    assert environ == {"HOME": "/"}
