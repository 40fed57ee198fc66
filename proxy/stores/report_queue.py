"""What was reported to breakers and is not told yet: in order, and what is the same as one."""

from proxy.stores.breaker_messages import ReportRun

MOST_RUNS = 32
"""So many are told at once, however little time has passed."""


class ReportQueue:
    """
    Reports that wait to be told.

    Good attempts of one breaker in a row are one run with a count. Everything else is urgent:
    it may open a breaker, or close one.
    """

    def __init__(self) -> None:
        self.is_urgent = False
        """Something in it cannot wait."""
        self._runs: dict[str, list[ReportRun]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def is_due(self) -> bool:
        """Something in it cannot wait, or it is long enough."""
        return self.is_urgent or self._length >= MOST_RUNS

    def add(self, breaker_id: str, run: ReportRun) -> None:
        """Put a report behind all others of its breaker."""
        runs = self._runs.get(breaker_id)
        if runs is None:
            runs = self._runs[breaker_id] = []
        if run.result != "ok" or run.token:
            self.is_urgent = True
        elif runs:
            last = runs[-1]
            if last.result == "ok" and last.epoch == run.epoch and not last.token:
                last.count += run.count
                return
        runs.append(run)
        self._length += 1

    def take(self) -> dict[str, list[ReportRun]]:
        """Return everything, by breaker, and begin anew."""
        taken, self._runs = self._runs, {}
        self._length, self.is_urgent = 0, False
        return taken
