"""
The health worker: probes whoever is due, believes by what it reads, and tells the proxies.

Everything here happens in one event loop. What it is made of is in the file of its noun; the
processes around it are in `main.py`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from msgspec import Struct

from health_worker.beliefs import Beliefs, Change
from health_worker.publish import Publisher
from health_worker.schedule import Schedule
from health_worker.targets import Target, build_targets
from health_worker.verdict import ProbeResult
from proxy.domain.catalog import Snapshot
from proxy.domain.health import HealthOrder, HealthVerdict, ProbeReading, WatchedEndpoint
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.domain.settings import InstallSettings, Settings

TURN_S = 1.0
"""How often it looks at least whether it leads; and how soon it tells again what went unheard."""
CHECK_WITHIN_S = 1.8
"""An order to check is answered by then, with what has come: who hangs, or comes after many that
do, is still being asked, and is told of later."""
BEATS = 3
"""So often something is told in the time that a worker counts as alive after it."""

_log = structlog.get_logger("llm_proxy.health_worker")


class ProberLike(Protocol):
    """What asks one target; `probe.py` has the real one."""

    async def probe(self, target: Target, timeout_s: float) -> ProbeResult:
        """Return what one probe came to."""

    def keep(self, targets: Mapping[str, Target]) -> None:
        """Let go of the connections to all but these."""


class Watcher:
    """Told what a health worker does; this one does nothing with it."""

    def take_probe(self, target: Target, result: ProbeResult) -> None:
        """Hear that a probe has ended."""

    def take_change(self, change: Change) -> None:
        """Hear that a target is in another state."""


class _Wait(Struct):
    """An order that somebody waits for."""

    left: set[str]
    """Whose probes have still to end."""
    done: "asyncio.Future[None]"
    ident: str
    """By what name it is told to be answered; "": it is not."""


class HealthWorker:
    """Joins schedule, probes and beliefs, for as long as it leads; else it stands by."""

    def __init__(
        self,
        publisher: Publisher,
        prober: ProberLike,
        *,
        discover: Callable[[], Awaitable[dict[str, Any]]] | None = None,
        delegate: Callable[[HealthOrder, Sequence[str]], Awaitable[object]] | None = None,
        watcher: Watcher | None = None,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Begin with nothing to probe.

        Args:
            publisher: says whether this worker leads, and brings what it tells to the proxies.
            prober: asks one target.
            discover: searches for providers now, and returns what was found.
            delegate: has the worker that leads carry out an order; None: there is no other.
            watcher: told what is done here.
            read_clock_s: seconds of a clock that only goes forward.
        """
        self.snapshot = Snapshot(0, 0.0, Settings(), {}, {}, {})
        self.targets: Mapping[str, Target] = {}
        self._publisher = publisher
        self._prober = prober
        self._discover = discover
        self._delegate = delegate
        self._watcher = watcher or Watcher()
        self._read_clock_s = read_clock_s
        self._schedule = Schedule(random.random)
        self._beliefs = Beliefs()
        self._probes: set[asyncio.Task[None]] = set()
        self._waits: list[_Wait] = []
        self._woken = asyncio.Event()
        self._is_leading = False
        self._is_cleared = False
        self._was_suspect = False
        self._beat_s = 0.0
        self._orders: set[asyncio.Task[None]] = set()
        publisher.on_order = self.take_order

    @property
    def is_leading(self) -> bool:
        """It probes, and its word counts."""
        return self._is_leading

    @property
    def is_suspect(self) -> bool:
        """It sees most targets silent at once, and doubts itself."""
        return self._beliefs.is_suspect

    @property
    def verdicts(self) -> dict[str, HealthVerdict]:
        """What it believes itself, by name; of one that stands by nothing."""
        return self._beliefs.verdicts

    def take_config(
        self,
        snapshot: Snapshot,
        endpoints: Sequence[WatchedEndpoint] = (),
        install: InstallSettings | None = None,
    ) -> None:
        """Go by another configuration from now on; what is new or different is due at once."""
        self.snapshot, self.targets = snapshot, build_targets(snapshot, endpoints)
        self._beliefs.forget(self._update_schedule())
        for wait in self._waits:
            wait.left &= self.targets.keys()
        self._prober.keep(self.targets)
        self._woken.set()

    async def run(self) -> None:
        """Lead where nobody else does; probe who is due and tell what comes of it; for ever."""
        try:
            while True:
                if await self._lead():
                    self._start_probes()
                    await self._tell()
                await self._wait()
        finally:
            await self._stand_by()

    async def order(self, order: HealthOrder, names: Sequence[str] = ()) -> dict[str, Any]:
        """
        Carry out an order, or have the worker do it that leads.

        Args:
            order: what to do.
            names: whom to check; () for all.

        Returns:
            What there is to say of it, once it is done and told.

        Raises:
            HealthWorkerUnavailable: the one that leads cannot be reached, or is this one no more.
        """
        # Without a way to another one this is the one that leads, or is about to.
        if self._is_leading or self._delegate is None or order == "discover":
            return await self._carry_out(order, names, "")
        await self._delegate(order, names)
        return {}

    def take_order(self, order: HealthOrder, names: Sequence[str], ident: str) -> None:
        """Carry out what was asked of whoever leads; it is told to be answered by `ident`."""
        task = asyncio.create_task(self._carry_out_for(order, names, ident))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    async def _carry_out_for(self, order: HealthOrder, names: Sequence[str], ident: str) -> None:
        try:
            await self._carry_out(order, names, ident)
        except HealthWorkerUnavailable:
            _log.info("an order was left to the health worker that leads now", order=order)

    async def _carry_out(
        self, order: HealthOrder, names: Sequence[str], ident: str
    ) -> dict[str, Any]:
        """Do what was ordered; return once it is done, and told by `ident` if that is not ""."""
        found: dict[str, Any] = {}
        left: set[str] = set()
        now_s = self._read_clock_s()
        if order == "check":
            left = (set(names) or set(self.targets)) & self.targets.keys()
            self._schedule.due_now(left, now_s)
        elif order == "clear":
            self._beliefs.clear()
            self._is_cleared = True
            self._schedule.due_now(None, now_s)
        elif self._discover is not None:
            found = await self._discover()
        if order != "discover" or (ident and self._is_leading):
            wait = _Wait(left, asyncio.get_running_loop().create_future(), ident)
            self._waits.append(wait)
            self._woken.set()
            timer = asyncio.get_running_loop().call_later(CHECK_WITHIN_S, self._give_up, wait)
            try:
                await wait.done
            finally:
                timer.cancel()
        return found

    def _give_up(self, wait: _Wait) -> None:
        """Have an order answered as it is."""
        wait.left.clear()
        self._woken.set()

    def _update_schedule(self) -> set[str]:
        settings = self.snapshot.settings.health
        return self._schedule.update(self.targets, settings, self._read_clock_s())

    async def _lead(self) -> bool:
        """Return whether this worker is the one that probes; begin anew when it becomes that."""
        is_leading = await self._publisher.lead()
        if is_leading and not self._is_leading:
            self._is_leading, self._beat_s = True, 0.0
            # Anew: what was due while another one led is not due all at once.
            self._schedule = Schedule(random.random)
            self._update_schedule()
            _log.info("this health worker probes from now on", targets=len(self.targets))
        elif self._is_leading and not is_leading:
            await self._stand_by()
            _log.warning("this health worker stands by: it does not hold the lease")
        return is_leading

    def _start_probes(self) -> None:
        for target in self._schedule.take_due(self._read_clock_s()):
            task = asyncio.create_task(self._probe(target))
            self._probes.add(task)
            task.add_done_callback(self._probes.discard)

    async def _probe(self, target: Target) -> None:
        try:
            result = await self._prober.probe(target, self.snapshot.settings.health.timeout_s)
        except Exception:  # noqa: BLE001
            # A fault of ours costs this one probe, and says nothing of the target.
            _log.exception("a provider could not be checked", provider=target.name)
            result = ProbeResult(ProbeReading("unknown", "it could not be checked"))
        self._take_result(target, result)

    def _take_result(self, target: Target, result: ProbeResult) -> None:
        name, now_s = target.name, self._read_clock_s()
        if self._schedule.is_current(target):
            self._watcher.take_probe(target, result)
            change = self._beliefs.note(target, result, now_s, time.time())
            if change is not None:
                self._take_change(change, now_s)
            for wait in self._waits:
                wait.left.discard(name)
        self._schedule.finish(target, self._beliefs.pace(name), now_s)
        self._woken.set()

    def _take_change(self, change: Change, now_s: float) -> None:
        self._watcher.take_change(change)
        _log.info(
            "a provider is in another state",
            provider=change.target.name,
            state=change.after,
            before=change.before,
            reason=change.reason,
        )
        distant = {t.name for t in self.targets.values() if not t.is_on_this_machine}
        self._schedule.due_now(self._beliefs.find_witnesses(change, distant), now_s)

    async def _tell(self) -> None:
        """Tell what is new, and now and then that this worker lives."""
        self._note_suspicion()
        now_s = self._read_clock_s()
        news = self._beliefs.take_news(now_s)
        answered = [wait for wait in self._waits if not wait.left]
        if not (news or answered or self._is_cleared or now_s >= self._beat_s):
            return
        is_cleared, self._is_cleared = self._is_cleared, False
        is_told = await self._publisher.tell(
            [
                machine.build_verdict(target, self._schedule.lives_s(target.name))
                for target, machine in news
            ],
            answered=tuple(wait.ident for wait in answered if wait.ident),
            is_suspect=self._beliefs.is_suspect,
            is_cleared=is_cleared,
        )
        # What was not told the publisher keeps, for the next time.
        self._beat_s = now_s + (self._publisher.lives_s / BEATS if is_told else TURN_S)
        self._end_waits(answered, None)

    def _note_suspicion(self) -> None:
        is_suspect = self._beliefs.is_suspect
        if is_suspect == self._was_suspect:
            return
        self._was_suspect, self._beat_s = is_suspect, 0.0
        if is_suspect:
            _log.warning("most providers are silent at once: this health worker doubts itself")
        else:
            _log.info("this health worker trusts its eyes again")

    async def _wait(self) -> None:
        """Return when there may be something to do."""
        now_s = self._read_clock_s()
        due_s = self._schedule.next_due_s() if self._is_leading else None
        wait_s = TURN_S if due_s is None else min(TURN_S, max(0.0, due_s - now_s))
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            pass  # which is as good a reason to look
        self._woken.clear()

    async def _stand_by(self) -> None:
        """Probe nothing any more, and believe nothing: another one does."""
        self._is_leading = False
        probes = list(self._probes)
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        self._beliefs.clear()
        self._end_waits(self._waits, HealthWorkerUnavailable())

    def _end_waits(self, ended: Iterable[_Wait], error: HealthWorkerUnavailable | None) -> None:
        for wait in list(ended):
            self._waits.remove(wait)
            if wait.done.done():
                continue
            if error is None:
                wait.done.set_result(None)
            else:
                wait.done.set_exception(error)
