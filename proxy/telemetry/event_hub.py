"""
What happens in the service, for everybody who listens: the newest events, and who waits for more.

No HTTP is spoken here; `server/event_stream.py` gives each subscriber's events to a client.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from proxy.domain.event import Event, EventName

KEPT = 256
"""So many events can be caught up with after a connection was lost."""
MAX_SUBSCRIBERS = 32
MAX_WAITING = 256
"""A subscriber for whom more than these wait is too slow, and is let go of."""
OVERLAP_MS = 1000
"""How far before an id of another process a catch-up begins: their clocks agree, and their order
need not. Some events come twice then, and none is lost."""

_MAX_ID_CHARACTERS = 40


class Numbered(Struct, frozen=True):
    """An event under the id that a client can come back with; the last one of a stream has none."""

    id: str
    event: Event


class Subscription:
    """One subscriber's events, in order, until the last of them."""

    def __init__(self, missed: list[Numbered]) -> None:
        self._waiting = deque(missed)
        self._news = asyncio.Event()
        self._is_over = False

    async def read(self) -> Numbered | None:
        """Wait for the next event; None when there is none any more."""
        while not self._waiting:
            if self._is_over:
                return None
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def put(self, event: Numbered) -> bool:
        """Queue an event; False if too many wait already."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(event)
        self._news.set()
        return True

    def end(self, last: Numbered, *, forget: bool) -> None:
        """Let it end with this event, after all that waits or instead of it."""
        if forget:
            self._waiting.clear()
        self._waiting.append(last)
        self._is_over = True
        self._news.set()


class EventHub:
    """The events of one process, and those that others have told it of."""

    def __init__(self, read_wall_s: Callable[[], float] = time.time) -> None:
        self.on_own: Callable[[Event], None] = _ignore
        """Called with each event of this process that other processes want to know."""
        self._read_wall_s = read_wall_s
        self._kept: deque[Numbered] = deque(maxlen=KEPT)
        self._subscriptions: set[Subscription] = set()
        self._last_ms = 0
        self._count = 0
        self._is_ended = False

    @property
    def subscribers(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    @property
    def is_ended(self) -> bool:
        """There will be no more events."""
        return self._is_ended

    def publish(self, name: EventName, fields: Mapping[str, object], *, tell: bool = False) -> None:
        """
        Tell everybody who listens to this process.

        Args:
            name: what kind of event it is.
            fields: what is told, with `timestamp` before it.
            tell: whether listeners of other processes are to know as well.
        """
        event = self._build(name, fields)
        self.take(event)
        if tell:
            self.on_own(event)

    def take(self, event: Event) -> None:
        """Tell everybody who listens here of an event, wherever it began."""
        if self._is_ended:
            return
        numbered = self._number(event)
        self._kept.append(numbered)
        slow = [each for each in self._subscriptions if not each.put(numbered)]
        for subscription in slow:
            self._end(subscription, "too_slow")

    def subscribe(self, last_id: str | None = None) -> Subscription | None:
        """
        Begin to listen; None if there are too many already.

        Args:
            last_id: that of the last event which a client has got, to go on from there.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIBERS:
            return None
        subscription = Subscription(self._find_missed(last_id))
        self._subscriptions.add(subscription)
        if self._is_ended:
            self._end(subscription, "draining")
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscriber; nothing happens if it has been let go of."""
        self._subscriptions.discard(subscription)

    def end(self) -> None:
        """Let every stream end: this process is about to."""
        self._is_ended = True
        for subscription in list(self._subscriptions):
            self._end(subscription, "draining")

    def _end(self, subscription: Subscription, reason: str) -> None:
        self._subscriptions.discard(subscription)
        last = Numbered("", self._build("end", {"reason": reason}))
        subscription.end(last, forget=reason == "too_slow")

    def _build(self, name: EventName, fields: Mapping[str, object]) -> Event:
        at = self._read_wall_s()
        return Event(name, at, msgspec.json.encode({"timestamp": at, **fields}))

    def _number(self, event: Event) -> Numbered:
        # By the time here, not where it began: ids only ever grow, whatever comes late.
        self._last_ms = max(self._last_ms, int(self._read_wall_s() * 1000))
        self._count += 1
        return Numbered(f"{self._last_ms}-{self._count}", event)

    def _find_missed(self, last_id: str | None) -> list[Numbered]:
        if not last_id or len(last_id) > _MAX_ID_CHARACTERS:
            return []
        kept = list(self._kept)
        for index, numbered in enumerate(kept):
            if numbered.id == last_id:
                return kept[index + 1 :]
        since = last_id.partition("-")[0]
        if not (since.isascii() and since.isdigit()):
            return []
        # Of another process, of before a restart, or older than what is kept.
        since_ms = int(since) - OVERLAP_MS
        return [each for each in kept if _read_ms(each) >= since_ms]


def _read_ms(numbered: Numbered) -> int:
    return int(numbered.id.partition("-")[0])


def _ignore(event: Event) -> None:
    """Stand in for whoever tells other processes."""
