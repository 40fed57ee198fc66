"""The service's log over a long run: turned over like an operator's, read, and thrown away."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from campaigns.ground.chaos.logs import LOUD, REQUESTS
from campaigns.ground.service import Service

REOPENED_WITHIN_S = 2.0
MOST_COMPLAINTS = 100
_REQUEST_MARK = f'"logger":"{REQUESTS}"'.encode()


class RotatedLog:
    """One log file, of which only what it says about faults is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests = 0
        """Lines of requests."""
        self.complaints: list[str] = []

    async def rotate(self, service: Service) -> None:
        """Have the service go on in a new file, and read the one that has ended."""
        old = self.path.with_suffix(".old")
        self.path.rename(old)
        service.signal(signal.SIGUSR1)
        await asyncio.sleep(REOPENED_WITHIN_S)
        await asyncio.to_thread(self.read, old)
        old.unlink()
        if not self.path.exists():
            self.complaints.append("the log was not opened anew")

    def read(self, path: Path) -> None:
        """Count the lines of requests, and keep what the others say of faults of our own."""
        with path.open("rb") as file:
            for text in file:
                if _REQUEST_MARK in text:
                    self.requests += 1
                    continue
                line = msgspec.json.decode(text)
                if line["logger"] == REQUESTS:
                    self.requests += 1
                elif line["level"] in LOUD and len(self.complaints) < MOST_COMPLAINTS:
                    where = line.get("where") or line.get("error_at", "")
                    self.complaints.append(f"{line['message']} {line.get('error_type')} {where}")
                    print(text.decode(), end="", file=sys.stderr)
