"""
All workers: as many as there should be, replaced when they die, and told the same.

What a worker is told is the business of `run.py`; how one process is spoken to, of
`worker_process.py`.
"""

import asyncio
import math
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from msgspec import Struct

from proxy.control.messages import (
    Ask,
    BreakerOrder,
    Happened,
    Publish,
    ReopenLog,
    Start,
    Tell,
    Verdicts,
)
from proxy.supervisor.spawn import SpawnedWorker
from proxy.supervisor.worker_process import WorkerProcess, describe_end
from proxy.telemetry.service_metrics import RestartReason

PING_EACH_S = 1.0
SILENT_FOR_S = 20.0
"""A worker whose loop has not turned for so long is ended; its sockets are everybody's."""
START_WITHIN_S = 30.0
"""So long a worker may take until it serves."""
SHORT_LIFE_S = 5.0
"""A worker that dies younger than this would die again: its successor waits."""
STATUS_WITHIN_S = 0.5
LONGEST_WAIT_S = 10.0
FIRST_WAIT_S = 0.1
KILL_AFTER_S = 15.0
"""What a worker may take beyond the time it was given to end in."""

_log = structlog.get_logger("llm_proxy.supervisor")


class Orders(Struct, frozen=True):
    """What every new worker begins with; made anew for each."""

    start: Start
    tell: Tell
    publish: Publish
    breakers: tuple[BreakerOrder, ...] = ()
    verdicts: Verdicts | None = None


class _Slot:
    """The place of one worker, which keeps its number whoever fills it."""

    def __init__(self, number: int, worker: WorkerProcess) -> None:
        self.number = number
        self.worker = worker
        self.short_lives = 0
        self.lock = asyncio.Lock()
        """Held by whoever puts another worker here."""


class Fleet:
    """Keeps workers running; all of it happens in one event loop."""

    def __init__(
        self,
        *,
        spawn: Callable[[], SpawnedWorker],
        give_orders: Callable[[int], Orders],
        listening: Sequence[socket.socket],
        on_ask: Callable[[WorkerProcess, Ask], None],
        on_change: Callable[[], None],
        on_restart: Callable[[RestartReason], None],
        on_failure: Callable[[BaseException], None],
        on_events: Callable[[Happened], None] = lambda happened: None,
    ) -> None:
        """
        Start nothing yet.

        Args:
            spawn: makes a process that waits for its orders.
            give_orders: what the worker of that number begins with now.
            listening: the sockets that every worker accepts from.
            on_ask: gets what a worker asks.
            on_change: called when the number of workers that serve may have changed.
            on_restart: called for each worker that is replaced.
            on_failure: called if keeping the workers has failed for a reason of our own.
            on_events: told what a worker tells the others.
        """
        self._spawn = spawn
        self._give_orders = give_orders
        self._listening = listening
        self._on_ask = on_ask
        self._on_change = on_change
        self._on_restart = on_restart
        self._on_failure = on_failure
        self._on_events = on_events
        self._slots: list[_Slot] = []
        self._living: set[WorkerProcess] = set()
        """Every process that has not ended: those that come, serve and drain."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._within_s = self._delay_s = 0.0
        self._end_by_s = math.inf
        self._rolling = asyncio.Lock()

    @property
    def count(self) -> int:
        """How many workers there should be."""
        return len(self._slots)

    @property
    def ready_count(self) -> int:
        """How many workers take new requests."""
        return sum(
            slot.worker.ready.is_set() and not slot.worker.leaving.is_set() for slot in self._slots
        )

    @property
    def served_generations(self) -> tuple[int, ...]:
        """What each worker that takes new requests serves."""
        return tuple(slot.worker.served_generation for slot in self._slots)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are there now, those that drain too."""
        return tuple(worker.pid for worker in self._living)

    async def start(self, count: int, first: SpawnedWorker) -> None:
        """Start `count` workers, of which the first has a process already."""
        for number in range(count):
            spawned = first if number == 0 else self._spawn()
            self._slots.append(_Slot(number, await self._begin(number, spawned)))
        for slot in self._slots:
            self._run(self._keep(slot))
        self._run(self._watch())

    async def wait_until_ready(self) -> bool:
        """Wait until every worker serves; False if one has died before it did."""
        for slot in self._slots:
            worker = slot.worker
            await _first_of(worker.ready, worker.gone)
            if not worker.ready.is_set():
                return False
        return True

    def tell(self, news: Tell | Verdicts) -> None:
        """Tell every worker how the service stands, or its providers."""
        for worker in self._living:
            worker.send(news)

    def reopen_logs(self) -> None:
        """Have every worker open its log file anew."""
        for worker in self._living:
            worker.send(ReopenLog())

    def order(self, order: BreakerOrder) -> int:
        """Give every worker an order for its breakers; return to how many it went."""
        told = [worker for worker in self._living if worker.is_served]
        for worker in told:
            worker.send(order)
        return len(told)

    async def publish(self, publish: Publish, within_s: float) -> bool:
        """Have every worker serve a snapshot; False if not all did so in time."""
        # Those too that are still coming; one that is not here yet gets it when it is.
        workers = [worker for worker in self._living if worker.is_served]
        for worker in workers:
            worker.publish(publish)
        deadline_s = time.monotonic() + within_s
        for worker in workers:
            while worker.is_served and worker.served_generation < publish.generation:
                worker.news.clear()
                left_s = deadline_s - time.monotonic()
                is_refused = worker.refused_generation >= publish.generation
                if is_refused or left_s <= 0 or not await _wait(worker.news, left_s):
                    return False
        return True

    async def roll(self) -> int:
        """
        Replace every worker, one after the other; the old one ends when its requests have.

        Each new one serves before its predecessor stops accepting, so that no connection is
        refused. Returns how many were replaced: fewer than all if a new one did not come up.
        """
        async with self._rolling:
            replaced = 0
            for slot in self._slots:
                async with slot.lock:
                    if self._is_draining or not await self._replace_live(slot):
                        break
                replaced += 1
            return replaced

    def drain(self, within_s: float, delay_s: float) -> None:
        """Have every worker end: none is replaced any more."""
        self._is_draining = True
        self._end_by_s = time.monotonic() + delay_s + within_s + KILL_AFTER_S
        self._within_s, self._delay_s = within_s, delay_s
        for worker in self._living:
            worker.drain(within_s, delay_s)

    async def wait_until_ended(self) -> None:
        """Wait for the end of a drain; who overstays is killed."""
        while self._living:
            if time.monotonic() > self._end_by_s:
                for worker in self._living:
                    _log.error("a worker did not end in time and is killed", worker=worker.number)
                    worker.kill()
            worker = next(iter(self._living))
            # Looked at anew each second: `hurry` may have moved the end.
            if await _wait(worker.gone, 1.0):
                self._living.discard(worker)
        for task in self._tasks:
            task.cancel()

    def hurry(self, within_s: float) -> None:
        """Shorten a drain that is under way."""
        self._within_s, self._delay_s = within_s, 0.0
        self._end_by_s = min(self._end_by_s, time.monotonic() + within_s + KILL_AFTER_S)
        for worker in self._living:
            worker.drain(within_s)

    async def _begin(self, number: int, spawned: SpawnedWorker) -> WorkerProcess:
        worker = WorkerProcess(spawned, number, self._on_ask, self._pass_on)
        self._living.add(worker)
        self._run(self._attend(worker))
        await worker.begin(self._give_orders(number).start, self._listening)
        # Asked for only now: what came into force while it connected is in them.
        orders = self._give_orders(number)
        worker.send(orders.tell)
        worker.publish(orders.publish)
        for order in orders.breakers:
            worker.send(order)
        if orders.verdicts is not None:
            worker.send(orders.verdicts)
        if self._is_draining:
            worker.drain(self._within_s, self._delay_s)
        return worker

    def _pass_on(self, source: WorkerProcess, happened: Happened) -> None:
        self._on_events(happened)
        for worker in self._living:
            if worker is not source:
                worker.send(happened)

    async def _attend(self, worker: WorkerProcess) -> None:
        await _first_of(worker.ready, worker.gone)
        self._on_change()
        await worker.gone.wait()
        self._living.discard(worker)
        self._on_change()

    async def _keep(self, slot: _Slot) -> None:
        """Fill a slot again whenever its worker has left it."""
        while True:
            worker = slot.worker
            await worker.leaving.wait()
            async with slot.lock:
                if self._is_draining:
                    return
                if slot.worker is worker:
                    await self._replace_lost(slot, worker)

    async def _replace_lost(self, slot: _Slot, worker: WorkerProcess) -> None:
        """Start a successor at once, or later where one after the other dies young."""
        reason = await self._tell_loss(worker)
        self._on_restart(reason)
        self._on_change()
        slot.short_lives = slot.short_lives + 1 if died_young(worker) else 0
        if (wait_s := decide_wait_s(slot.short_lives)) > 0:
            await asyncio.sleep(wait_s)
        while not self._is_draining:
            try:
                slot.worker = await self._begin(slot.number, self._spawn())
                return
            except OSError as error:
                # No memory, no processes, no descriptors: that may pass.
                _log.error("no worker can be started", reason=error.strerror)
                await asyncio.sleep(LONGEST_WAIT_S)

    async def _tell_loss(self, worker: WorkerProcess) -> RestartReason:
        if worker.is_told:
            _log.info("a worker was told to end and is replaced", worker=worker.number)
            return "asked"
        reason: RestartReason = "unresponsive" if worker.is_condemned else "died"
        # Its connection has ended; the process is about to, and then says how.
        await _wait(worker.gone, STATUS_WITHIN_S)
        _log.error(
            "a worker is gone and is replaced",
            worker=worker.number,
            end=describe_end(worker.status),
            reason=reason,
        )
        return reason

    async def _replace_live(self, slot: _Slot) -> bool:
        try:
            successor = await self._begin(slot.number, self._spawn())
        except OSError as error:
            _log.error("no worker can be started", reason=error.strerror)
            return False
        await _first_of(successor.ready, successor.gone)
        if self._is_draining:
            return False
        if not successor.ready.is_set():
            _log.error(
                "a new worker did not come up: the old ones stay",
                worker=slot.number,
                end=describe_end(successor.status),
            )
            return False
        worker, slot.worker = slot.worker, successor
        self._on_restart("asked")
        worker.drain(self._give_orders(slot.number).start.install.drain_timeout_s)
        self._on_change()
        return True

    async def _watch(self) -> None:
        """Ask every worker for signs of life, and end those that give none."""
        looked_s = time.monotonic()
        while True:
            await asyncio.sleep(PING_EACH_S)
            now_s = time.monotonic()
            was_away = now_s - looked_s > 3 * PING_EACH_S
            looked_s = now_s
            for worker in self._living:
                if was_away:
                    # It was this process that stood still: whoever was silent meanwhile may
                    # have answered, unheard.
                    worker.heard_s = now_s
                self._look_after(worker, now_s)

    def _look_after(self, worker: WorkerProcess, now_s: float) -> None:
        silent_s = now_s - worker.heard_s
        most_s = SILENT_FOR_S if worker.ready.is_set() else START_WITHIN_S
        if silent_s > most_s and not worker.is_condemned:
            worker.is_condemned = True
            _log.error(
                "a worker does not answer and is killed",
                worker=worker.number,
                silent_s=round(silent_s, 1),
            )
            worker.kill()
        else:
            worker.ping()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)


def decide_wait_s(short_lives: int) -> float:
    """Return how long a successor waits after so many in a row that have died young."""
    if short_lives < 2:
        return 0.0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(short_lives, 16))


def died_young(worker: WorkerProcess) -> bool:
    """Return whether a worker would die again: killed from outside it would not."""
    if not worker.ready.is_set():
        return True
    is_young = time.monotonic() - worker.started_s < SHORT_LIFE_S
    return is_young and worker.status != -signal.SIGKILL


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _wait(event: asyncio.Event, within_s: float | None) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
