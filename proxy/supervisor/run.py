"""
The supervisor: opens the sockets, keeps workers running and the configuration live, until the end.

Everything is put together here. What each part does is in the file of its noun.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog

from proxy.config.sources import list_watched
from proxy.control.messages import HURRY_S, Ask, Publish, Start, Tell, Verdicts, Watch
from proxy.domain.health import HealthNews
from proxy.domain.service import ServiceStatus
from proxy.domain.settings import InstallSettings
from proxy.supervisor.accepted import Accepted
from proxy.supervisor.asks import Asks
from proxy.supervisor.breaker_orders import BreakerOrders
from proxy.supervisor.config_watch import watch_config
from proxy.supervisor.control_server import ControlServer
from proxy.supervisor.fleet import Fleet, Orders
from proxy.supervisor.health_child import NUMBER as HEALTH_WORKER
from proxy.supervisor.health_child import HealthChild, HealthOrders
from proxy.supervisor.kept_verdicts import KeptVerdicts
from proxy.supervisor.live_config import LiveConfig, ReloadResult
from proxy.supervisor.sockets import describe, open_listening
from proxy.supervisor.spawn import SpawnedWorker, spawn_health_worker, spawn_worker
from proxy.supervisor.startup import First, Place, find_place, load_first
from proxy.supervisor.worker_process import WorkerProcess
from proxy.telemetry.health import UptimeTracker, is_ready
from proxy.telemetry.log_writer import LogWriter, open_service_log
from proxy.telemetry.logs import configure_logging
from proxy.telemetry.service_metrics import ServiceMetrics
from proxy.telemetry.systemd import Notifier, take_listen_sockets
from proxy.version import __version__

PUBLISH_WITHIN_S = 10.0
"""Workers that have not taken a snapshot by then are named in the log, and are not waited for."""

_log = structlog.get_logger("llm_proxy.server")
_config_log = structlog.get_logger("llm_proxy.config")


def run_supervisor(
    config: Path | None, environ: dict[str, str], first_worker: SpawnedWorker
) -> None:
    """
    Serve until a signal ends it.

    Args:
        config: what `--config` says; None looks in the usual places.
        environ: the environment, with what the command line sets in it.
        first_worker: started already, so that it loads its libraries meanwhile.

    Raises:
        ConfigError: the configuration is broken, and no earlier one can be served instead.
        OSError: a socket, the log or the state directory cannot be opened; the text says how to
            mend that.
        SystemExit: with status 1: no worker came up, or the supervisor itself has failed.
    """
    try:
        inherited = take_listen_sockets(environ)
        place = find_place(config, environ)
        place.lock.take()
        first = load_first(place)
        install = first.accepted.install
        log = open_service_log(install.log_file)
        listening = inherited or open_listening(install.listen)
    except BaseException:  # whatever it was: a process that waits for its orders gets none
        first_worker.process.kill()
        first_worker.connection.close()
        first_worker.process.wait()
        raise
    configure_logging(install.log_level, log)
    if inherited:
        _log.info("the sockets are systemd's: listen, host and port are not used")
    try:
        supervisor = Supervisor(place, first, listening, log, Notifier(environ))
        is_good = asyncio.run(supervisor.run(first_worker))
    finally:
        log.close()
    if not is_good:
        raise SystemExit(1)


class Supervisor:
    """The control plane of one service."""

    def __init__(
        self,
        place: Place,
        first: First,
        listening: Sequence[socket.socket],
        log: LogWriter,
        notifier: Notifier,
    ) -> None:
        self._place = place
        self._first = first
        self._install: InstallSettings = first.accepted.install
        self._listening = listening
        self._log = log
        self._notifier = notifier
        self._addresses = ", ".join(describe(listening))
        self._stop = asyncio.Event()
        self._has_failed = False
        self._metrics = ServiceMetrics(place.state_dir / "metrics")
        started_at = time.time()
        self._uptime = UptimeTracker(started_at, is_routable=is_ready(first.accepted.snapshot))
        self._breaker_orders = BreakerOrders(is_shared=self._install.redis_url is not None)
        self._live = LiveConfig(place, first, self._install, self._take_result)
        self._verdicts = KeptVerdicts()
        self._health = HealthChild(
            install=self._install,
            spawn=spawn_health_worker,
            give_orders=self._give_health_orders,
            on_news=self._take_news,
        )
        self._fleet = Fleet(
            spawn=spawn_worker,
            give_orders=self._give_orders,
            listening=listening,
            on_ask=self._take_ask,
            on_change=self._tell,
            on_restart=self._metrics.count_restart,
            on_failure=self._fail,
            on_events=self._health.pass_on,
        )
        self._asks = Asks(
            place, self._live, self._fleet, self._stop.is_set, self._breaker_orders, self._health
        )
        self._control = ControlServer(place.runtime_dir, self._asks.answer)
        self._is_draining = False
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, first_worker: SpawnedWorker) -> bool:
        """Serve until told to stop; False if the workers could not be brought up."""
        self._take_signals()
        self._tell_start()
        self._metrics.set_generation(self._live.status.generation)
        await self._fleet.start(self._install.workers, first_worker)
        await self._open_control()
        is_up = await self._wait_until_up()
        if is_up and not self._stop.is_set():
            self._tell_ready()
            self._health.start()
            self._run(self._live.run())
            watched = list_watched(self._place.config_path, self._place.state_dir)
            self._run(watch_config(watched, self._live))
            self._run(self._feed_watchdog())
            await self._stop.wait()
        await self._end()
        return is_up and not self._has_failed

    async def _wait_until_up(self) -> bool:
        """Wait for all workers, or for the signal to stop."""
        ready = asyncio.create_task(self._fleet.wait_until_ready())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ready.done():
            ready.cancel()
            return True
        if not ready.result():
            _log.error("no worker came up: the lines above say why")
        return ready.result()

    async def _open_control(self) -> None:
        try:
            await self._control.open()
        except OSError as error:
            # Serving goes on without it; signals and /admin do the same.
            _log.error("commands will not reach this server", reason=str(error))

    async def _end(self) -> None:
        self._is_draining = True
        self._notifier.stopping("draining: requests under way are finished")
        self._fleet.drain(self._install.drain_timeout_s, self._install.drain_delay_s)
        self._tell()
        self._stop_changing()
        closing = asyncio.create_task(self._health.close())
        # Workers have their own; with the last of them the address is free for a successor.
        for sock in self._listening:
            sock.close()
        await self._fleet.wait_until_ended()
        await closing
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._control.close()
        self._metrics.close()
        _log.info("ended")

    def _stop_changing(self) -> None:
        """End all that watches and answers: a successor may begin while requests still end."""
        self._live.stop()
        for task in self._tasks:
            task.cancel()
        self._place.lock.release()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take_stop)
        loop.add_signal_handler(signal.SIGHUP, self._take_hangup)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_logs)
        loop.add_signal_handler(signal.SIGUSR2, self._take_restart)

    def _take_stop(self) -> None:
        if self._stop.is_set():
            self._fleet.hurry(HURRY_S)
        self._stop.set()

    def _take_hangup(self) -> None:
        if not self._stop.is_set():
            self._live.request("SIGHUP")

    def _take_restart(self) -> None:
        if not self._stop.is_set():
            self._run(self._asks.answer(Ask(0, "restart_workers", by="SIGUSR2")))

    def _reopen_logs(self) -> None:
        try:
            self._log.reopen()
        except OSError as error:
            _log.error("the log file could not be opened anew", reason=error.strerror)
        self._fleet.reopen_logs()
        self._health.reopen_log()
        _log.info("the log was opened anew", log_file=self._install.log_file)

    def _give_orders(self, number: int) -> Orders:
        """Return what the worker of that number starts with now."""
        accepted = self._live.accepted
        believed = self._verdicts.gather()
        return Orders(
            # What is installed does not change while the service runs, whatever the file says.
            Start(number, self._install, self._place.pepper),
            Tell(self._build_status()),
            Publish(accepted.snapshot.generation, accepted.parts),
            self._breaker_orders.kept,
            None if believed is None else Verdicts(believed),
        )

    def _give_health_orders(self) -> HealthOrders:
        """Return what the health worker goes by now."""
        accepted = self._live.accepted
        return HealthOrders(
            Start(HEALTH_WORKER, self._install, self._place.pepper),
            Watch(accepted.watched),
            Publish(accepted.snapshot.generation, accepted.parts),
        )

    def _take_news(self, news: HealthNews) -> None:
        if self._verdicts.take(news):
            self._fleet.tell(Verdicts(news))

    async def _take_result(self, result: ReloadResult, accepted: Accepted | None) -> None:
        self._metrics.count_reload(result.result)
        if accepted is not None:
            self._health.publish()
            self._notifier.reloading()
            self._uptime.observe(time.time(), is_routable=is_ready(accepted.snapshot))
            publish = Publish(accepted.snapshot.generation, accepted.parts)
            if not await self._fleet.publish(publish, PUBLISH_WITHIN_S):
                _log.error("not all workers serve the new configuration yet")
            self._metrics.set_generation(accepted.snapshot.generation)
            self._notifier.ready(self._describe())
        self._tell()

    def _take_ask(self, worker: WorkerProcess, ask: Ask) -> None:
        self._run(self._answer(worker, ask))

    async def _answer(self, worker: WorkerProcess, ask: Ask) -> None:
        worker.answer(await self._asks.answer(ask))

    def _tell(self) -> None:
        """Tell every worker how the service stands, on each change."""
        status = self._build_status()
        self._metrics.set_workers(status.ready_workers)
        self._fleet.tell(Tell(status))

    def _build_status(self) -> ServiceStatus:
        return ServiceStatus(
            config=self._live.status,
            uptime=self._uptime.record(),
            workers=self._install.workers,
            ready_workers=self._fleet.ready_count,
            is_draining=self._is_draining,
        )

    def _tell_start(self) -> None:
        for warning in self._first.warnings:
            _config_log.warning(str(warning))
        for setting in self._first.not_in_force:
            _config_log.warning("accepted, but not yet in force", setting=setting)
        for change in self._first.changes:
            _config_log.info(change, since="the last start")
        if self._first.error is not None:
            for problem in self._first.error.splitlines():
                _config_log.error(problem)
            _config_log.error(
                "THE CONFIGURATION IS BROKEN: the last good one is served. Mend the file; it is "
                "taken by itself",
                generation=self._live.status.generation,
            )
        providers = self._first.accepted.snapshot.providers.values()
        if any(p.type == "simulator" and p.enabled for p in providers):
            _config_log.warning("the simulator is on: models named sim-* answer with made-up text")

    def _tell_ready(self) -> None:
        _log.info(
            "serving",
            addresses=self._addresses,
            config=str(self._first.accepted.config_path or "packaged"),
            version=__version__,
            generation=self._live.status.generation,
            workers=self._install.workers,
        )
        self._notifier.ready(self._describe())

    def _describe(self) -> str:
        status = self._live.status
        return (
            f"generation {status.generation}, {self._fleet.ready_count} of {self._install.workers} "
            f"workers, on {self._addresses}"
        )

    async def _feed_watchdog(self) -> None:
        each_s = self._notifier.watchdog_interval_s
        while each_s is not None:
            self._notifier.watchdog()
            await asyncio.sleep(each_s)

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End: better an end that systemd answers with a restart than half a service."""
        _log.error("the supervisor failed", exc_info=error)
        self._has_failed = True
        self._stop.set()
