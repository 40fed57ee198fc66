"""
The health worker as a child of the supervisor: started, fed, asked, and replaced when it dies.

Nothing of a request depends on it: while it is away nothing is told, and verdicts expire.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import count

import structlog
from msgspec import Struct

from proxy.control.messages import (
    Answer,
    Ask,
    Happened,
    Publish,
    ReopenLog,
    Start,
    Verdicts,
    Watch,
)
from proxy.domain.health import HealthNews
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.domain.settings import InstallSettings
from proxy.supervisor.fleet import LONGEST_WAIT_S, decide_wait_s, died_young
from proxy.supervisor.spawn import SpawnedWorker
from proxy.supervisor.worker_process import WorkerProcess, describe_end

ANSWER_WITHIN_S = 10.0
PING_EACH_S = 5.0
SILENT_FOR_S = 30.0
"""A health worker whose loop has not turned for so long is ended."""
END_WITHIN_S = 3.0
NUMBER = -1
"""What stands in the place of a worker's number."""

_log = structlog.get_logger("llm_proxy.supervisor")


class HealthOrders(Struct, frozen=True):
    """What a health worker begins with."""

    start: Start
    watch: Watch
    publish: Publish


class HealthChild:
    """One health worker, or none where the settings say so; all of it in one event loop."""

    def __init__(
        self,
        *,
        install: InstallSettings,
        spawn: Callable[[], SpawnedWorker],
        give_orders: Callable[[], HealthOrders],
        on_news: Callable[[HealthNews], None],
    ) -> None:
        """
        Start nothing yet.

        Args:
            install: whether there is to be one.
            spawn: makes a process that waits for its orders.
            give_orders: what it begins with now.
            on_news: gets what it tells.
        """
        self._absence = explain_absence(install)
        self._spawn = spawn
        self._give_orders = give_orders
        self._on_news = on_news
        self._child: WorkerProcess | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._is_ending = False
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    @property
    def pid(self) -> int | None:
        """The number of its process; None: there is none now."""
        child = self._child
        return None if child is None or child.leaving.is_set() else child.pid

    def start(self) -> None:
        """Have one run from now on, if there is to be one."""
        if self._absence is not None:
            _log.info("no health worker is started", reason=self._absence)
            return
        self._keeping = asyncio.create_task(self._keep())
        self._keeping.add_done_callback(_tell_failure)

    def publish(self) -> None:
        """Have it go by the configuration of now."""
        if self._child is not None:
            orders = self._give_orders()
            self._child.send(orders.watch)
            self._child.publish(orders.publish)

    def pass_on(self, happened: Happened) -> None:
        """Tell it what has happened in a worker."""
        if self._child is not None:
            self._child.send(happened)

    def reopen_log(self) -> None:
        """Have it open its log file anew."""
        if self._child is not None:
            self._child.send(ReopenLog())

    async def ask(self, what: str, body: bytes, by: str) -> Answer:
        """
        Return what it answers.

        Raises:
            HealthWorkerUnavailable: there is none, or it does not answer in time; its message says
                how to mend that.
        """
        if self._absence is not None:
            raise HealthWorkerUnavailable(self._absence)
        child = self._child
        if child is None or not child.ready.is_set() or not child.is_served:
            raise HealthWorkerUnavailable(
                "The health worker is not there yet; ask again in a moment."
            )
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        child.send(Ask(number, what, body, by))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            raise HealthWorkerUnavailable(
                f"The health worker has not answered within {ANSWER_WITHIN_S:.0f} s; the log may "
                "say why."
            ) from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End it; one that does not end by itself is killed."""
        self._is_ending = True
        child = self._child
        if child is not None:
            child.drain(END_WITHIN_S)
            try:
                async with asyncio.timeout(END_WITHIN_S):
                    await child.gone.wait()
            except TimeoutError:
                child.kill()
                await child.gone.wait()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _keep(self) -> None:
        short_lives = 0
        while not self._is_ending:
            try:
                spawned = self._spawn()
            except OSError as error:
                # No memory, no processes, no descriptors: that may pass.
                _log.error("no health worker can be started", reason=error.strerror)
                await asyncio.sleep(LONGEST_WAIT_S)
                continue
            child = await self._run(spawned)
            if self._is_ending:
                return
            short_lives = short_lives + 1 if died_young(child) else 0
            _log.error("the health worker is gone and is replaced", end=describe_end(child.status))
            await asyncio.sleep(decide_wait_s(short_lives))

    async def _run(self, spawned: SpawnedWorker) -> WorkerProcess:
        """Feed one process until it is gone."""
        child = WorkerProcess(spawned, NUMBER, lambda child, ask: None, on_health=self._take)
        self._child = child
        await child.begin(self._give_orders().start, [])
        self.publish()
        if self._is_ending:
            child.drain(END_WITHIN_S)
        while not child.leaving.is_set():
            looked_s = time.monotonic()
            try:
                async with asyncio.timeout(PING_EACH_S):
                    await child.leaving.wait()
            except TimeoutError:
                self._look_after(child, looked_s)
        await child.gone.wait()
        self._child = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    HealthWorkerUnavailable("The health worker ended meanwhile; ask again.")
                )
        return child

    def _look_after(self, child: WorkerProcess, looked_s: float) -> None:
        now_s = time.monotonic()
        if now_s - looked_s > 3 * PING_EACH_S:
            # It was this process that stood still: what was said meanwhile is yet to be heard.
            child.heard_s = now_s
        silent_s = now_s - child.heard_s
        if silent_s > SILENT_FOR_S:
            _log.error("the health worker does not answer and is killed", silent_s=round(silent_s))
            child.kill()
        child.ping()

    def _take(self, message: Verdicts | Answer) -> None:
        if isinstance(message, Verdicts):
            self._on_news(message.news)
            return
        waiting = self._waiting.get(message.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        # A fault of ours, which ends nothing else: the service goes by what it sees itself.
        _log.error("the health worker is not kept running any more", exc_info=error)


def explain_absence(install: InstallSettings) -> str | None:
    """Return why the supervisor starts no health worker, and how to have one; None: it does."""
    if install.redis_url is not None:
        return "With redis_url the health worker is a service of its own; start llm-health-worker."
    if not install.health_worker:
        return (
            "The health worker is switched off; set health_worker.enabled and restart the server."
        )
    return None
