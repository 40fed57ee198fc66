"""
The numbers of the whole service, which its supervisor counts: reloads, workers, restarts.

They lie in files of their own beside those of the workers; any worker's `/metrics` tells them.
"""

from pathlib import Path
from typing import Literal, get_args

from proxy.telemetry import metric_table as table
from proxy.telemetry.metric_store import MetricStore

ReloadOutcome = Literal["applied", "unchanged", "rejected", "guarded"]
"""What may come of a reload; `docs/metrics.md` says what each means."""
RestartReason = Literal["died", "unresponsive", "asked"]
"""Why a worker is replaced."""
NAME = "supervisor"


class ServiceMetrics:
    """Counts for the supervisor; everything is there from 0 on."""

    def __init__(self, directory: Path) -> None:
        """
        Open the supervisor's files in the directory where the workers' are.

        Raises:
            OSError: the directory cannot be made or written.
        """
        self._store = MetricStore(directory, NAME)
        self._generation = self._store.open_number(table.CONFIG_GENERATION)
        self._ready = self._store.open_number(table.WORKERS_READY)
        self._reloads = {
            result: self._store.open_number(table.CONFIG_RELOADS, result)
            for result in get_args(ReloadOutcome)
        }
        self._restarts = {
            reason: self._store.open_number(table.WORKER_RESTARTS, reason)
            for reason in get_args(RestartReason)
        }

    def set_generation(self, generation: int) -> None:
        """Tell which configuration is served."""
        self._generation.set(generation)

    def count_reload(self, result: ReloadOutcome) -> None:
        """Count what came of a reload."""
        self._reloads[result].add(1.0)

    def set_workers(self, ready: int) -> None:
        """Tell how many workers take new requests."""
        self._ready.set(ready)

    def count_restart(self, reason: RestartReason) -> None:
        """Count a worker that is replaced."""
        self._restarts[reason].add(1.0)

    def close(self) -> None:
        """Let go of the files; the counters stay in them."""
        self._store.close()
