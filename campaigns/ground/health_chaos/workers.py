"""Health workers as services of their own: started, killed, frozen, ended; and their logs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from campaigns.base import ROOT

LEADS = "this health worker probes from now on"
STANDS_BY = "this health worker stands by: it does not hold the lease"
UP_WITHIN_S = 20.0
LOOK_S = 0.05
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")

Line = Mapping[str, Any]


class Term(Struct, frozen=True):
    """A worker has begun to lead, or has heard that it does not; epoch seconds."""

    at: float
    worker: int
    leads: bool


class HealthProcess:
    """One health worker's process, which can be started again; all of its output is in one file."""

    def __init__(self, number: int, config: Path, folder: Path, port: int) -> None:
        """Prepare one that will listen at `port`; its state and output are below `folder`."""
        self.number, self.port = number, port
        self.output = folder / "output.log"
        self._state = folder / "state"
        self._config = config
        self._popen: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        self.output.touch()

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._popen is not None, "it was never started"
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start it."""
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        own = {"PROXY_API_HEALTH_WORKER__LISTEN": f"127.0.0.1:{self.port}"}
        words = ["--config", str(self._config), "--state-dir", str(self._state)]
        with self.output.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "health_worker", *words],
                cwd=self.output.parent,
                env={**kept, "PYTHONPATH": str(ROOT), **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, also if it is frozen."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    async def end(self, within_s: float) -> str | None:
        """End it in good order; return what is wrong with how it has ended."""
        assert self._popen is not None
        self.signal(signal.SIGTERM)
        try:
            status = await asyncio.to_thread(self._popen.wait, within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"health worker {self.number} does not end within {within_s:g} s"
        return f"health worker {self.number}: exit status {status}" if status else None


class Workers:
    """All health workers of the fleet."""

    def __init__(self, each: Sequence[HealthProcess]) -> None:
        self.each = each

    def read_terms(self) -> list[Term]:
        """Return who has begun and ceased to lead, in order."""
        terms = [
            Term(datetime.fromisoformat(line["timestamp"]).timestamp(), process.number, leads)
            for process in self.each
            for line in read_lines(process.output)
            for leads, message in ((True, LEADS), (False, STANDS_BY))
            if line.get("message") == message
        ]
        return sorted(terms, key=lambda term: term.at)

    async def wait_for_leader(
        self, since_at: float, within_s: float
    ) -> tuple[HealthProcess, float]:
        """
        Return who has begun to lead since a moment, and how many seconds after it.

        Raises:
            AssertionError: nobody has.
        """
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            for term in self.read_terms():
                if term.leads and term.at >= since_at:
                    return self.each[term.worker], term.at - since_at
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"no health worker leads within {within_s:g} s")

    def find_leader(self) -> HealthProcess:
        """Return who was the last to begin to lead."""
        last = [term for term in self.read_terms() if term.leads][-1]
        return self.each[last.worker]


def read_lines(path: Path) -> Iterator[Line]:
    """Return the lines of a log that are whole, and those that are none as a message."""
    for text in path.read_bytes().split(b"\n")[:-1]:
        try:
            yield msgspec.json.decode(text)
        except msgspec.DecodeError:
            yield {"message": text.decode(errors="replace"), "level": "PRINTED", "logger": ""}
