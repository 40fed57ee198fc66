"""The service's log over a long run: turned over like an operator's, read, and thrown away."""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import msgspec

from campaigns.ground.chaos.logs import LOUD, REQUESTS
from campaigns.ground.service import Service
from campaigns.ground.soak.plan import ENDPOINTS, LEAVING

MOST_COMPLAINTS = 100


class Line(msgspec.Struct):
    """What is read of a line of the log; most of it stands in those of requests only."""

    logger: str
    level: str
    message: str
    endpoint: str = ""
    alias: str | None = None
    provider: str | None = None
    outcome: str = ""
    attempts: int = 0
    tried: list[str] = []
    error_type: str | None = None
    error_at: str | None = None
    where: str | None = None


_decode = msgspec.json.Decoder(Line).decode


class LogCounts(msgspec.Struct):
    """What the lines of requests say, added up."""

    lines: Counter[str] = msgspec.field(default_factory=Counter)
    """By alias; `""` is a request whose body never was whole."""
    attempts: Counter[str] = msgspec.field(default_factory=Counter)
    """By provider, of clients that stay."""
    attempts_leaving: Counter[str] = msgspec.field(default_factory=Counter)
    """By provider, of clients that leave."""
    failed: Counter[str] = msgspec.field(default_factory=Counter)
    """By what the log says of an attempt in vain: provider, model and error."""

    def add(self, line: Line) -> None:
        """Count a request, and its attempts: those in vain, and what came of the last."""
        alias = line.alias or ""
        self.lines[alias] += 1
        attempts = self.attempts_leaving if alias.startswith(LEAVING) else self.attempts
        for tried in line.tried:
            attempts[tried.partition("/")[0]] += 1
            self.failed[tried] += 1
        if line.provider is not None:
            attempts[line.provider] += line.attempts - len(line.tried)


class RotatedLog:
    """One log file, of which only counts are kept, and what it says about faults."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = path.with_suffix(".old")
        self.counts = LogCounts()
        self.complaints: list[str] = []

    async def rotate(self, service: Service) -> None:
        """
        Have the service go on in a new file.

        The one before is read now, and not when it was turned over: nothing tells when the
        service has written its last line to it.
        """
        await asyncio.to_thread(self._read_old)
        if not self.path.exists():
            self.complaints.append("the log was not opened anew")
            return
        self.path.rename(self._old)
        service.signal(signal.SIGUSR1)

    def read_rest(self) -> None:
        """Read what there is, once the service has ended."""
        self._read_old()
        if self.path.exists():  # else it was not opened anew, which is complained of already
            self._read(self.path)

    def _read_old(self) -> None:
        if self._old.exists():
            self._read(self._old)
            self._old.unlink()

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            for text in file:
                line = _decode(text)
                if line.logger == REQUESTS:
                    # The campaign's own looks at the metrics have lines, too.
                    if line.endpoint in ENDPOINTS:
                        self.counts.add(line)
                elif line.level in LOUD and len(self.complaints) < MOST_COMPLAINTS:
                    where = line.where or line.error_at or ""
                    self.complaints.append(f"{line.message} {line.error_type} {where}")
                    print(text.decode(), end="", file=sys.stderr)
