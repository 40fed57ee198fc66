"""
Where a health worker that is a service of its own gets its targets from: the configuration itself.

It reads the same files as the supervisor and keeps to the last good ones. No guard judges how much
an edit takes away: what is not probed is unknown, and that bars nobody.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from health_worker.feed import OnConfig
from proxy.config.changes import list_needs_restart
from proxy.config.load import LoadedConfig, load_config
from proxy.config.problem import ConfigError
from proxy.config.watcher import FileWatch, Look, watch_files
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings

_log = structlog.get_logger("llm_proxy.health_worker")


class WatchedFeed:
    """The files of a configuration, read anew whenever one of them has changed."""

    def __init__(
        self,
        config_path: Path | None,
        environ: Mapping[str, str],
        hasher: KeyHasher,
        watched: tuple[Path, ...],
    ) -> None:
        """
        Read nothing yet.

        Args:
            config_path: the configuration, None for the packaged copy.
            environ: the process's environment.
            hasher: what keys of clients are hashed with.
            watched: every file that the configuration is read from.
        """
        self._config_path = config_path
        self._environ = environ
        self._hasher = hasher
        self._watch = FileWatch(watched)
        self._look: Look = ()
        self._generation = 0
        self._running: InstallSettings | None = None
        self._turn = asyncio.Lock()

    def load(self) -> LoadedConfig:
        """
        Read the files as they are now; blocking.

        Raises:
            ConfigError: with every problem.
        """
        self._look = self._watch.look()
        loaded = load_config(
            self._config_path,
            self._environ,
            self._hasher,
            generation=self._generation + 1,
            now_at=time.time(),
            is_found=True,
        )
        self._generation += 1
        self._running = self._running or loaded.install
        return loaded

    async def run(self, on_config: OnConfig) -> None:
        """Have `on_config` get every later configuration that is good, for ever."""
        await watch_files(self._watch, self._look, lambda: self.read_anew(on_config))

    async def read_anew(self, on_config: OnConfig) -> None:
        """Read the files now; a broken edit changes nothing."""
        # A signal and the watch may want it at once: what was read first is taken first.
        async with self._turn:
            await self._read_anew(on_config)

    async def _read_anew(self, on_config: OnConfig) -> None:
        try:
            loaded = await asyncio.to_thread(self.load)
        except ConfigError as error:
            for problem in error.problems:
                _log.error(str(problem))
            _log.error("the configuration was refused: the last good one is gone by")
            return
        except Exception:  # noqa: BLE001
            # A fault of ours in judging one edit is no reason to probe nothing at all.
            _log.exception("the configuration could not be judged: the last good one is gone by")
            return
        running = self._running or loaded.install
        for setting in list_needs_restart(running, loaded.install):
            _log.warning(f"{setting}: waits for a restart")
        on_config(loaded.snapshot, loaded.probes, running)
        _log.info("the configuration was read", providers=len(loaded.snapshot.providers))
