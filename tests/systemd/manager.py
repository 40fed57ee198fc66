"""
Stands in for systemd: holds the listening socket, starts the service on it, hears what it says.

The real one cannot run inside a test. What it does here is what llm-proxy.socket and
llm-proxy.service ask of it.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests import canaries
from tests.end_to_end.served import build_config, write_config
from tests.promises.tree import ROOT

WITHIN_S = 30.0
WATCHDOG_S = 1.0
# LISTEN_PID is the process itself: a shell knows its own, and keeps it when it turns into another.
_START = 'exec 3<&"$0"; export LISTEN_PID=$$; exec "$@"'


class Manager:
    """One service, of which several processes may be there at once."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self._folder = folder
        self._config = write_config(folder, config)
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(folder / "notify"))
        self._heard.settimeout(WITHIN_S)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the service's main process; `hear` tells when it is ready."""
        descriptor = self.listening.fileno()
        log = (self._folder / f"log-{len(self._started)}").open("wb")
        with log:
            process = subprocess.Popen(
                ["bash", "-c", _START, str(descriptor), sys.executable, "-m", "proxy", "serve"],
                cwd=self._folder,
                env=self._build_variables(),
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Everything of it can be ended at once, as systemd ends a control group.
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def hear(self, wanted: str) -> dict[str, str]:
        """Return the first message from now on that makes the assignment `wanted`."""
        while True:
            try:
                lines = self._heard.recv(4096).decode().split("\n")
            except TimeoutError:
                logs = [self.read_log(number) for number in range(len(self._started))]
                raise AssertionError(f"{wanted} was not said:\n{''.join(logs)}") from None
            if wanted in lines:
                return dict(line.split("=", 1) for line in lines)

    def read_log(self, number: int) -> str:
        """Return what the process of that number has printed, its workers with it."""
        text = (self._folder / f"log-{number}").read_text()
        canaries.WATCH.see("the output of a child process", text)
        return text

    def close(self) -> None:
        """End whatever is still there."""
        for process in self._started:
            # The group outlives its leader: workers of a supervisor that was killed are in it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.listening.close()
        self._heard.close()

    def _build_variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PROXY_API_CONFIG": str(self._config),
            "STATE_DIRECTORY": str(self._folder / "state"),
            "RUNTIME_DIRECTORY": str(self._folder / "run"),
            "LISTEN_FDS": "1",
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1_000_000)),
        }


@contextmanager
def managing(folder: Path, **changes: Any) -> Iterator[Manager]:
    """Manage a service of the simulator, whose configuration has these changes."""
    manager = Manager(folder, build_config(**changes))
    try:
        yield manager
    finally:
        manager.close()
