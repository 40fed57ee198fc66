"""
The health worker as a service of its own: what it reads, what it says to systemd, how it ends.

With Redis one of all health workers probes, and its verdicts reach every proxy. Without Redis
they reach nobody, which it says; its own API tells them.
"""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog
import uvloop

from health_worker.process import HealthProcess
from health_worker.publish import NoPublisher, RedisPublisher
from health_worker.watched_feed import WatchedFeed
from proxy.config.load import LoadedConfig
from proxy.config.master_secret import PEPPER, find_master_secret
from proxy.config.sources import explain_state_dir, find_config, find_state_dir, list_watched
from proxy.domain.identity import KeyHasher
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_verdicts import RedisVerdicts
from proxy.telemetry.log_writer import LogWriter, open_service_log
from proxy.telemetry.logs import configure_logging
from proxy.telemetry.systemd import Notifier

END_WITHIN_S = 4.0
"""What has not ended by then is left to the end of the process."""
STATUS_EACH_S = 5.0

_log = structlog.get_logger("llm_proxy.health_worker")


def run_standalone(config: Path | None, environ: Mapping[str, str]) -> None:
    """
    Probe what the configuration names, until a signal ends it.

    Args:
        config: what `--config` says; None looks in the usual places.
        environ: the environment, with what the command line sets in it.

    Raises:
        ConfigError: the configuration is broken.
        OSError: the log, the state directory or the address of its API cannot be opened.
        SystemExit: with status 1: it has failed by a fault of its own.
    """
    config_path = find_config(config, environ)
    state_dir = find_state_dir(config_path, environ)
    try:
        secret = find_master_secret(config_path, environ, state_dir)
    except OSError as error:
        raise explain_state_dir(state_dir, error) from error
    hasher = KeyHasher(secret.derive(PEPPER))
    feed = WatchedFeed(config_path, environ, hasher, list_watched(config_path, state_dir))
    loaded = feed.load()
    log = open_service_log(loaded.install.log_file)
    configure_logging(loaded.install.log_level, log)
    try:
        is_good = uvloop.run(_serve(feed, loaded, hasher, log, Notifier(environ)))
    finally:
        log.close()
    if not is_good:
        raise SystemExit(1)


async def _serve(
    feed: WatchedFeed, loaded: LoadedConfig, hasher: KeyHasher, log: LogWriter, notifier: Notifier
) -> bool:
    service = StandaloneWorker(feed, loaded, hasher, log, notifier)
    try:
        return await service.run()
    finally:
        await service.close()


class StandaloneWorker:
    """A health worker over the files of a configuration, and Redis if there is one."""

    def __init__(
        self,
        feed: WatchedFeed,
        loaded: LoadedConfig,
        hasher: KeyHasher,
        log: LogWriter,
        notifier: Notifier,
    ) -> None:
        self._feed = feed
        self._loaded = loaded
        self._log = log
        self._notifier = notifier
        self._stop = asyncio.Event()
        self._has_failed = False
        self._tasks: set[asyncio.Task[None]] = set()
        install = loaded.install
        self._link: RedisLink | None = None
        if install.redis_url is None:
            self._process = HealthProcess(install, hasher, NoPublisher())
            return
        self._link = RedisLink(install.redis_url)
        self._process = HealthProcess(
            install,
            hasher,
            RedisPublisher(self._link),
            verdicts=RedisVerdicts(self._link),
            breakers=RedisBreakers(self._link, loaded.snapshot.settings.breaker),
        )
        self._link.start()

    async def run(self) -> bool:
        """Probe until a signal ends it; False if it has failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._read_anew)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen_log)
        self._tell_start()
        self._process.take_config(self._loaded.snapshot, self._loaded.probes, self._loaded.install)
        await self._process.open(must_listen=True)
        self._notifier.ready(self._process.describe())
        for work in (self._feed.run(self._process.take_config), self._tell_systemd()):
            self._start(asyncio.create_task(work))
        is_good = await self._process.run(asyncio.create_task(self._stop.wait()))
        self._notifier.stopping()
        return is_good and not self._has_failed

    async def close(self) -> None:
        """Give the lease back and let go of all that is held, within `END_WITHIN_S`."""
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._process.close()
                if self._link is not None:
                    await self._link.close()
        _log.info("ended")

    async def _tell_systemd(self) -> None:
        """Say how it stands, and that its loop turns."""
        each_s = self._notifier.watchdog_interval_s or STATUS_EACH_S
        while True:
            self._notifier.status(self._process.describe())
            self._notifier.watchdog()
            await asyncio.sleep(min(each_s, STATUS_EACH_S))

    def _tell_start(self) -> None:
        for warning in self._loaded.warnings:
            _log.warning(str(warning))
        if self._link is None:
            _log.warning(
                "WITHOUT redis_url WHAT THIS HEALTH WORKER FINDS REACHES NO PROXY: only its own "
                "API tells it. A service without Redis starts a health worker by itself"
            )
        _log.info(
            "ready to probe" if self._link is None else "ready to probe, or to stand by",
            config=str(self._loaded.config_path or "packaged"),
            listen=_describe_address(self._loaded.install.health_listen),
        )

    def _read_anew(self) -> None:
        self._start(asyncio.create_task(self._feed.read_anew(self._process.take_config)))

    def _start(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Better an end that systemd answers with a restart than half a service.
            _log.error("the health worker failed", exc_info=error)
            self._has_failed = True
            self._stop.set()

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
        except OSError as error:
            _log.error("the log file could not be opened anew", reason=error.strerror)


def _describe_address(listen: tuple[str, int] | None) -> str | None:
    if listen is None:
        return None
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
