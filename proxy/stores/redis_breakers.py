"""Circuit breakers that processes share through Redis; without it each goes by its own."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from proxy.domain.breaker import (
    BreakerCause,
    BreakerChange,
    BreakerCommand,
    BreakerReport,
    BreakerResult,
    BreakerRules,
    BreakerView,
    Permit,
)
from proxy.stores.breaker_calls import OPERATOR_WAIT_S, BreakerCalls
from proxy.stores.breaker_messages import (
    CHANNEL,
    IndexPage,
    ReportRun,
    find_longest_ms,
    leave_time_to_redis,
    read_change,
)
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.index_reader import IndexReader
from proxy.stores.memory_breakers import describe_breaker, ignore_change
from proxy.stores.own_breakers import OwnBreakers, weaken_rules
from proxy.stores.own_news import OwnNews
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_link import RedisLink
from proxy.stores.report_queue import ReportQueue

FLUSH_S = 0.05
POLL_S = 0.25


class RedisBreakers:
    """
    A BreakerStore (see `base.py`) over a link that may be there or not.

    It is always in one of three states:

    - *away*: the link is not joined. This process's own machines decide, by weaker rules.
    - *joining*: the link is joined, and its first polls under way: they ask how everything
      stands, and tell what the own machines have learned. These still decide.
    - *shared*: the first question was answered to its end. Requests go by views: of replies, of
      what others publish, of the polls that follow. An attempt that ends is told behind the
      request's back, and so is, poll by poll, what is left to be told of the own machines.

    From away to joining leads `_join`, called by the link; from joining to shared only
    `_take_page`, by way of `_begin_sharing`; from either back to away `_leave`.

    Where Redis fails to do one thing while shared, the own machine of that breaker takes it over.
    Own machines are forgotten by the first poll that leaves nothing which only they know.
    """

    def __init__(
        self,
        link: RedisLink,
        rules: BreakerRules,
        read_clock_s: Callable[[], float] = time.monotonic,
        read_wall_s: Callable[[], float] = time.time,
        read_now: Callable[[], str] = leave_time_to_redis,
    ) -> None:
        """
        Prepare a store; the link must not have been started yet.

        Redis goes by its own clock, unless `read_now` returns the time, in milliseconds.
        """
        self.on_change: Callable[[BreakerChange], None] = ignore_change
        self._views = BreakerViews(read_clock_s, self._tell)
        self._own = OwnBreakers(self._views, rules, read_clock_s, read_wall_s)
        self._own.on_change = self._note_own_change
        self._calls = BreakerCalls(link, self._views, rules, read_now)
        self._news = OwnNews(self._calls, self._own)
        self._index = IndexReader(self._calls, self._views)
        self.rules = rules
        self._is_shared = False
        """The state is shared; where it is not, the link knows whether it is away or joining."""
        self._queue = ReportQueue()
        self._under_way = 0
        self._flush_timer: asyncio.Handle | None = None
        self._flushes_next = False
        """The timer is for the next turn of the loop."""
        self._poll_timer: asyncio.TimerHandle | None = None
        self._is_polling = False
        self._name = f"{secrets.token_hex(8)}."
        self._tokens = count(1)
        self._asking: set[asyncio.Task[Permit | BreakerView]] = set()
        link.subscribe(CHANNEL, self._hear)
        link.watch(self._join, self._leave)

    @property
    def rules(self) -> BreakerRules:
        """Those in force."""
        return self._rules

    @rules.setter
    def rules(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._calls.set_rules(rules)
        self._views.longest_ms = find_longest_ms(rules)
        self._views.window_s = rules.window_ms / 1000
        self._own.rules = weaken_rules(rules)

    @property
    def is_shared(self) -> bool:
        """Return whether other processes see the same breakers now."""
        return self._is_shared

    @property
    def rules_in_force(self) -> BreakerRules:
        """Return the rules that decide now: while not shared, those of a process alone."""
        return self._rules if self._is_shared else self._own.rules

    @property
    def unsent(self) -> int:
        """Return how much was reported that Redis has not confirmed."""
        return len(self._queue) + self._under_way

    def look(self, breaker_id: str) -> BreakerView:
        """Return how a breaker stands (see `base.py`)."""
        return self._views.look(breaker_id) if self._is_shared else self._own.look(breaker_id)

    async def acquire(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        """Ask for one attempt (see `base.py`)."""
        if not self._is_shared:
            return self._own.acquire_now(breaker_id, lease_s)
        # A task of its own: whoever is cancelled meanwhile may have been given a permit, which
        # nobody would give back.
        task = asyncio.create_task(self._acquire(breaker_id, lease_s))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(self._give_back, breaker_id))
            raise

    def report(
        self,
        breaker_id: str,
        result: BreakerResult,
        *,
        epoch: int = 0,
        token: str = "",
        hold_s: float = 0.0,
        cause: BreakerCause = "",
    ) -> None:
        """Take note of how an attempt went (see `base.py`)."""
        if result == "neutral" and not token:
            return
        run = ReportRun(result, epoch, token, round(hold_s * 1000), cause)
        if not self._is_shared or (token and not token.startswith(self._name)):
            self._own.report_run(breaker_id, run)
            return
        self._queue.add(breaker_id, run)
        if self._queue.is_due:
            self._flush_soon()
        elif self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(FLUSH_S, self._flush)

    async def command(self, breaker_id: str, command: BreakerCommand) -> bool:
        """Do what an operator says (see `base.py`); what Redis has missed is told it later."""
        if self._is_shared:
            try:
                await self._calls.ask("command", breaker_id, command, wait_s=OPERATOR_WAIT_S)
            except RedisUnavailable:
                pass  # and told again by the next poll: it does no harm to be done twice
            else:
                self._own.commands.pop(breaker_id, None)
                return True
        self._own.command_now(breaker_id, command)
        return False

    async def read(self, breaker_ids: Sequence[str]) -> list[BreakerReport]:
        """Return all that is known about these breakers (see `base.py`)."""
        if self._is_shared:
            try:
                return await asyncio.gather(*map(self._read, breaker_ids))
            except RedisUnavailable:
                for each in breaker_ids:
                    self._own.take_over(each)
        return await self._own.read(breaker_ids)

    async def close(self) -> None:
        """Tell what was reported; the link, which is closed after this, sends it."""
        if self._asking:
            await asyncio.wait(self._asking)
        self._flush(is_last=True)
        for timer in (self._flush_timer, self._poll_timer):
            if timer is not None:
                timer.cancel()

    async def _acquire(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        token = f"{self._name}{next(self._tokens)}"
        before = self._views.look(breaker_id)
        try:
            stand = await self._calls.ask("acquire", breaker_id, token, round(lease_s * 1000))
        except RedisUnavailable:
            # Should it have been done: half-open by then, in the epoch after an open one's.
            epoch = before.epoch + (before.state == "open")
            self.report(breaker_id, "neutral", epoch=epoch, token=token)
            self._own.take_over(breaker_id)
            return self._own.acquire_now(breaker_id, lease_s)
        return Permit(stand.epoch, token) if stand.answer else self._views.look(breaker_id)

    def _give_back(self, breaker_id: str, task: "asyncio.Task[Permit | BreakerView]") -> None:
        if not task.cancelled() and isinstance(permit := task.result(), Permit):
            self.report(breaker_id, "neutral", epoch=permit.epoch, token=permit.token)

    async def _read(self, breaker_id: str) -> BreakerReport:
        now_ms, breaker = await self._calls.read(breaker_id)
        return describe_breaker(breaker_id, breaker, now_ms, self._rules)

    def _flush_soon(self) -> None:
        """Flush in the next turn of the loop, so that all of this turn goes with it."""
        # While one is under way the next is gathered; it goes right after that.
        if not (self._under_way or self._flushes_next):
            self._drop_flush()
            self._flushes_next = True
            self._flush_timer = asyncio.get_running_loop().call_soon(self._flush)

    def _drop_flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._flushes_next = False

    def _flush(self, *, is_last: bool = False) -> None:
        self._drop_flush()
        if self._under_way and not is_last:
            self._queue.is_urgent = True
            return
        for breaker_id, runs in self._queue.take().items():
            self._under_way += 1
            lose = partial(self._lose_runs, breaker_id, runs)
            self._calls.post("report", breaker_id, runs, self._end_flush, lose)

    def _lose_runs(self, breaker_id: str, runs: Sequence[ReportRun]) -> None:
        # Whether Redis has them or not, they are not told it again: they would count twice.
        self._own.take_runs(breaker_id, runs)
        self._end_flush()

    def _end_flush(self) -> None:
        self._under_way -= 1
        if not self._under_way and self._queue.is_due:
            self._flush_soon()

    def _join(self) -> None:
        # What failed before counts no more: the link joins by a write that succeeds.
        self._calls.has_last_failed = False
        self._index.begin_anew()
        self._poll()

    def _poll(self) -> None:
        """Tell what only this process knows, and ask what has changed; again and again."""
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        self._poll_timer = asyncio.get_running_loop().call_later(POLL_S, self._poll)
        self._views.forget_plain()
        self._news.tell()
        if not self._is_polling:
            self._is_polling = True
            # Behind what is told in the link's queue, so that the answer knows of it.
            self._index.ask(self._take_page, self._lose_page)

    def _take_page(self, asked: int, page: IndexPage) -> None:
        """Go by what a poll was told, but for what only this process's own machines know."""
        if not page.is_more:
            self._begin_sharing()
        better_known = {*self._own.news, *self._own.commands}
        self._index.take(asked, page, better_known)
        if page.is_more:
            self._index.ask(self._take_page, self._lose_page)
            return
        self._is_polling = False
        if self._views.has_own_besides(better_known):
            self._index.begin_anew()
        if self._news.is_told and not self._calls.has_last_failed:
            self._own.forget()

    def _lose_page(self) -> None:
        self._is_polling = False

    def _begin_sharing(self) -> None:
        """Be shared, or stay so: but of what Redis is not told yet the own machines speak."""
        self._is_shared = self._views.is_telling = True
        for breaker_id in (*self._own.news, *self._own.commands):
            view = self._own.look(breaker_id)
            if self._views.look(breaker_id) is not view:
                self._views.learn_own(breaker_id, view)

    def _hear(self, message: bytes) -> None:
        change = read_change(message)
        if change is not None:
            self._views.learn_change(change)

    def _leave(self) -> None:
        """Go on by this process's own machines, which begin with what is known."""
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        self._drop_flush()
        if not self._is_shared:
            return
        self._is_shared = self._views.is_telling = False
        for breaker_id in self._views.list_not_closed():
            self._own.take_over(breaker_id)
        for breaker_id, runs in self._queue.take().items():
            self._own.take_runs(breaker_id, runs)

    def _note_own_change(self, change: BreakerChange) -> None:
        if self._is_shared:
            if change.id in self._own:
                self._views.learn_own(change.id, self._own.look(change.id))
        else:
            self._views.tell(change.id, change.after, change.cause, change.retry_in_s)

    def _tell(self, change: BreakerChange) -> None:
        self.on_change(change)
