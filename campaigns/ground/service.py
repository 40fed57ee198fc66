"""`llm-proxy serve` as operators run it, also on a socket that somebody else holds."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from campaigns.base import ROOT
from proxy.control.client import AskFailed, ask_supervisor

UP_WITHIN_S = 30.0
LOOK_S = 0.02
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_SOCKET = 3
"""Where systemd leaves the first socket that it hands over."""


class Service:
    """One started service; its log is in `output`."""

    def __init__(
        self,
        config: Path,
        folder: Path,
        listener: socket.socket | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """
        Start it.

        Args:
            config: its configuration.
            folder: where its state and its output go. Not beside the configuration: whatever is
                written there wakes the watch for edits.
            listener: handed over as systemd would; without one it opens its own.
            variables: more of its environment.
        """
        state = folder / "state"
        self._arguments = ["--config", str(config), "--state-dir", str(state)]
        self._run_dir = state / "run"
        self.output = folder / "output.log"
        command = [sys.executable, "-m", "proxy", "serve", *self._arguments]
        if listener is not None:
            command = [sys.executable, "-m", "campaigns.programs.with_socket", *command]
        with self.output.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                env={**_build_variables(), **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=() if listener is None else (_give(listener),),
            )

    @property
    def pid(self) -> int:
        """The number of the supervisor's process."""
        return self._popen.pid

    def read_status(self) -> Mapping[str, Any]:
        """Return what the supervisor says of itself, nothing where it does not answer."""
        try:
            return ask_supervisor(self._run_dir, "status", {}, "campaign") or {}
        except AskFailed:
            return {}

    def wait_until_whole(self, without: Sequence[int] = ()) -> tuple[list[int], float]:
        """Wait until all workers serve and none is of `without`; return theirs, and the seconds."""
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + UP_WITHIN_S:
            status = self.read_status()
            pids = status.get("pids", [])
            is_whole = status.get("ready_workers") == status.get("workers") == len(pids)
            if pids and is_whole and not set(pids) & set(without):
                return sorted(pids), time.monotonic() - begun_s
            if self._popen.poll() is not None:
                break
            time.sleep(LOOK_S)
        raise AssertionError(f"the service is not whole: {self.read_tail()}")

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `llm-proxy ...` for this service."""
        return subprocess.run(
            [sys.executable, "-m", "proxy", *words, *self._arguments],
            env=_build_variables(),
            capture_output=True,
            text=True,
            check=False,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self._popen.send_signal(number)

    def wait(self, within_s: float = 60.0) -> int:
        """Wait for its own end and return its exit status."""
        return self._popen.wait(within_s)

    def kill(self) -> None:
        """End it if it still runs; its workers end by themselves."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()

    def read_tail(self, lines: int = 20) -> str:
        """Return the last lines that it has printed."""
        return "\n".join(self.output.read_text().splitlines()[-lines:])


def _give(listener: socket.socket) -> int:
    """Have a socket where it is looked for, also in the programs that this one starts."""
    if listener.fileno() != _SOCKET:
        os.dup2(listener.fileno(), _SOCKET)
    return _SOCKET


def _build_variables() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)}
