"""The load of the campaign of soak: a mixture at an even rate, however the last ones fare."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from random import Random

from campaigns.ground.soak.client import Ask, Connection
from campaigns.ground.soak.plan import (
    FAILING,
    HELD,
    KINDS,
    LEAVING,
    TROUBLES,
    Order,
    build_request,
    choose_alias,
    judge,
)

LEAVING_SHARE = 0.05
NEW_SHARE = 0.1
"""Requests that come over a connection of their own."""
HUNG_AFTER_S = 60.0
END_WITHIN_S = 90.0
MOST_BEHIND_S = 0.5
MOST_COMPLAINTS = 1000


class Load:
    """Asks at `per_s`, which may be changed, until `stop`; keeps what did not go as it must."""

    def __init__(self, port: int, providers: Sequence[str], seed: int) -> None:
        """`providers` share the requests; those that occur more often get more."""
        self._port = port
        self._providers = providers
        self._chance = Random(seed)
        self._idle: deque[Connection] = deque()
        self._pending: set[Ask] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._asker: asyncio.Task[None] | None = None
        self.per_s = 0.0
        self.asked = 0
        self.asked_by_alias: Counter[str] = Counter()
        self.left = 0
        self.failing = 0
        """Requests whose first attempt gets nothing good."""
        self.answered: Counter[str] = Counter()
        """By kind: whole answers that are their own."""
        self.errors = 0
        self.complaints: list[str] = []
        self.behind_s = 0.0
        """The longest that a request was sent after it was due."""
        self.slowest_s = 0.0
        self.most_at_once = 0

    def start(self, per_s: float) -> None:
        """Begin."""
        self.per_s = per_s
        self._asker = asyncio.create_task(self._keep_asking())

    async def stop(self) -> None:
        """Ask no more, wait for the answers that are due, and close all connections."""
        if self._asker is not None:
            self._asker.cancel()
            await asyncio.wait([self._asker])
            if not self._asker.cancelled():
                self._asker.result()
            self._asker = None
        until_s = time.monotonic() + END_WITHIN_S
        while self._pending and time.monotonic() < until_s:
            await asyncio.sleep(0.05)
            self._complain_of_hung()
        while self._idle:
            self._idle.pop().close()

    def hold(self, provider: str) -> None:
        """Ask for an answer that comes when the provider is told to give it."""
        self._send(Order(HELD, "none", self._next_tag()), provider, closes=True)

    async def wait_for_answers(self, within_s: float) -> None:
        """Return when nothing is under way, or the time is over."""
        until_s = time.monotonic() + within_s
        while self._pending:
            await asyncio.sleep(0.05)
            if time.monotonic() > until_s:
                break

    async def _keep_asking(self) -> None:
        due_s = time.monotonic()
        while True:
            # As independent clients come: several at once now and then, which pools feel.
            due_s += self._chance.expovariate(self.per_s)
            now_s = time.monotonic()
            if due_s > now_s:
                await asyncio.sleep(due_s - now_s)
            late_s = time.monotonic() - due_s
            self.behind_s = max(self.behind_s, late_s)
            if late_s > MOST_BEHIND_S:
                # This process stood still: all that was due meanwhile at once would be a flood.
                due_s += late_s
            self._ask_any()

    def _ask_any(self) -> None:
        chance = self._chance
        (kind,) = chance.choices(list(KINDS), [each.share for each in KINDS.values()])
        (trouble,) = chance.choices(list(TROUBLES), list(TROUBLES.values()))
        leaves = chance.random() < LEAVING_SHARE
        if leaves:
            trouble = LEAVING
            self.left += 1
        self.failing += trouble in FAILING
        order = Order(kind, trouble, self._next_tag())
        closes = chance.random() < NEW_SHARE
        self._send(order, chance.choice(self._providers), closes=closes)

    def _next_tag(self) -> str:
        self.asked += 1
        return f"tag-{self.asked:08d}"

    def _send(self, order: Order, provider: str, *, closes: bool) -> None:
        kind = KINDS[order.kind]
        alias = choose_alias(provider, order.trouble)
        self.asked_by_alias[alias] += 1

        def take(ask: Ask, status: int, body: bytes, complaint: str | None) -> None:
            self._pending.discard(ask)
            if ask.leaves:
                return
            self.slowest_s = max(self.slowest_s, time.monotonic() - ask.begun_s)
            complaint = complaint or judge(order, status, body)
            if complaint is None:
                self.answered[order.kind] += 1
            else:
                self._complain(f"{order.kind}, {order.trouble}, {alias}: {complaint}")

        ask = Ask(build_request(order, alias, closes=closes), take, time.monotonic(), closes)
        if order.trouble == LEAVING:
            self._choose_leaving(ask, kind.events * kind.pause_s)
        self._pending.add(ask)
        self.most_at_once = max(self.most_at_once, len(self._pending))
        if not closes and self._idle:
            # The one that has waited longest: none ever waits until the service closes it.
            self._idle.popleft().ask(ask)
            return
        task = asyncio.create_task(self._dial(ask))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    def _choose_leaving(self, ask: Ask, lasts_s: float) -> None:
        """Have a client leave at any moment: of its request, before an answer, within one."""
        chance = self._chance
        ask.leaves_after_s = chance.uniform(0.0, max(lasts_s, 0.012))
        if chance.random() < 0.1:
            ask.sends_bytes = chance.randrange(len(ask.request))
        elif chance.random() < 0.3:
            ask.leaves_after_bytes = chance.randrange(1, 4000)

    async def _dial(self, ask: Ask) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: Connection(self._idle, ask), "127.0.0.1", self._port
            )
        except OSError as error:
            ask.on_done(ask, 0, b"", f"no connection: {type(error).__name__}")

    def _complain_of_hung(self) -> None:
        now_s = time.monotonic()
        for ask in [each for each in self._pending if now_s - each.begun_s > HUNG_AFTER_S]:
            ask.on_done(ask, 0, b"", f"no end after {HUNG_AFTER_S:g} s")

    def _complain(self, what: str) -> None:
        self.errors += 1
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(what)
