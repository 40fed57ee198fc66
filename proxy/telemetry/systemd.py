"""
What the service says to systemd and takes from it: the notify protocol, passed-down sockets.

Nothing here waits longer than `SEND_WITHIN_S`, nothing fails a service that systemd did not
start, and no library is needed: the protocol is a line of text in a datagram.
"""

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

SEND_WITHIN_S = 0.1
"""A message to a systemd that does not read is given up after this."""
FIRST_DESCRIPTOR = 3
"""Where passed-down descriptors begin, behind standard input, output and error."""


class Notifier:
    """
    Tells systemd how the service stands; without systemd every call does nothing.

    A message that cannot be sent is lost, silently: what reads it is what would have to be told.

    Source: sd_notify(3), sd_watchdog_enabled(3).
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _read_address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_s = _read_watchdog_interval_s(environ)
        """How often `watchdog()` is to be called: half of what systemd waits; None for never."""

    def ready(self, status: str = "") -> None:
        """Say that the service serves: at the start, and when a reload is over."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Say that a reload has begun; `ready()` ends it."""
        # Type=notify-reload compares this time with the moment of its signal.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> None:
        """Say that the service has begun to end."""
        self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Say that the service is alive."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, within_s: float) -> None:
        """Ask for this much more time to start or to stop, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(within_s * 1_000_000)}")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(filter(None, lines)).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(SEND_WITHIN_S)
                sock.sendto(message, self._address)
        except OSError:
            pass  # the class says why


def take_listen_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """
    Return the listening sockets that systemd has passed down, ready for an event loop.

    What else it may have passed is closed: nobody would ever read it. The variables are taken
    out of `environ`, so that no child believes that the sockets are its own.

    Source: sd_listen_fds(3).
    """
    process = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    passed = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    return [sock for descriptor in passed if (sock := _take_listening(descriptor)) is not None]


def _take_listening(descriptor: int) -> socket.socket | None:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        _close(descriptor)
        return None
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    if sock.type != socket.SOCK_STREAM or not listens:
        sock.close()
        return None
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def _close(descriptor: int) -> None:
    # If the count was wrong, there is no such descriptor.
    with suppress(OSError):
        os.close(descriptor)


def _read_address(text: str) -> str | None:
    if text.startswith("@"):
        # An abstract socket: it has a name in the kernel, and no file.
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _read_watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    process = environ.get("WATCHDOG_PID", "")
    timeout_us = environ.get("WATCHDOG_USEC", "")
    if process not in ("", str(os.getpid())) or not timeout_us.isdecimal():
        return None
    # Half of it: one message may be late or lost without harm.
    return int(timeout_us) / 2_000_000 or None


def _status(text: str) -> str:
    # A message is lines; a second line would be read as another assignment.
    return f"STATUS={' '.join(text.split())}" if text else ""
