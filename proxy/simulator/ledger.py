"""
What the HTTP simulator was asked and what it did: the last 10,000 requests, in memory.

Tests read it to learn what really reached the provider: which headers, how often, and when
the connection was closed. Keys are shown as the beginning of their SHA-256, bodies as theirs.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

CAPACITY = 10_000
_KEY_HEADERS = frozenset(
    (
        *("authorization", "x-api-key", "api-key", "x-goog-api-key"),
        *("proxy-authorization", "cookie"),
    )
)

Outcome = Literal["open", "completed", "client_closed", "broken"]


class Entry(Struct):
    """
    One request. Times are epoch seconds; `ended_at` is None while `outcome` is `open`.

    `completed`: all of the plan was sent. `client_closed`: the client left before that.
    `broken`: the fault itself broke the connection. `status` 0: no head was sent.
    """

    id: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    started_at: float
    body_bytes: int = 0
    body_sha256: str = ""
    model: str = ""
    streams: bool = False
    fault: str | None = None
    status: int = 0
    bytes_sent: int = 0
    events_sent: int = 0
    outcome: Outcome = "open"
    ended_at: float | None = None


class Ledger:
    """Keeps entries in order of arrival and tells waiting readers when one has ended."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._last_id = 0
        self._changed = asyncio.Event()

    def begin(self, method: str, path: str, headers: Iterable[tuple[str, str]]) -> Entry:
        """Write down a request whose headers have arrived."""
        self._last_id += 1
        shown = [(str(name), _mask(name, value)) for name, value in headers]
        entry = Entry(self._last_id, method, path, shown, time.time())
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry, outcome: Outcome) -> None:
        """Write down how a request ended; the first ending counts."""
        if entry.ended_at is None:
            entry.outcome = outcome
            entry.ended_at = time.time()
            self._changed.set()

    def entries(self) -> list[Entry]:
        """Return what is kept, oldest first."""
        return list(self._entries)

    def clear(self) -> None:
        """Forget everything; requests under way are not written down any more."""
        self._entries.clear()

    async def wait_ended(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` kept requests have ended; False if that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                while sum(entry.ended_at is not None for entry in self._entries) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def encode(self) -> bytes:
        """Return the ledger as JSON: `{"entries": [...]}`."""
        return msgspec.json.encode({"entries": list(self._entries)})


def _mask(name: str, value: str) -> str:
    if name.lower() not in _KEY_HEADERS:
        return value
    scheme, space, key = value.partition(" ")
    if not space:
        scheme, key = "", value
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{scheme}{space}sha256:{digest}"
