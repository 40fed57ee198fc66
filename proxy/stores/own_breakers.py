"""The machines that a process goes by where Redis does not answer: its own, and quicker to open."""

import time
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from proxy.domain.breaker import (
    BreakerCause,
    BreakerCommand,
    BreakerRules,
    BreakerState,
    BreakerView,
)
from proxy.policy.breaker import Breaker
from proxy.stores.breaker_messages import ReportRun
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.memory_breakers import MemoryBreakers

CONSECUTIVE = 3
MIN_CALLS = 5
"""One process alone sees fewer failures than all of them together."""
PERMITS = 1
"""Each process lends its own, so that together they may be many."""
ROUNDING_S = 0.01


class OwnBreakers(MemoryBreakers):
    """
    Machines of this process that begin with what is known of the shared ones.

    What they have learned by themselves is for others to know, once these can be told.
    """

    def __init__(
        self,
        views: BreakerViews,
        rules: BreakerRules,
        read_clock_s: Callable[[], float] = time.monotonic,
        read_wall_s: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(weaken_rules(rules), read_clock_s, read_wall_s)
        self.commands: dict[str, BreakerCommand] = {}
        """What operators have said and only this process knows."""
        self.news: dict[str, None] = {}
        """
        Ids of what was learned here, the oldest first.

        What was taken over and has not moved since is nothing new: it is older than whatever
        the others have by now.
        """
        self._views_of_all = views
        self._taken: dict[str, BreakerView] = {}
        """Those that were taken over or told, as they were then."""

    def take_over(self, breaker_id: str) -> None:
        """Begin with what is known of a shared breaker, if that is not closed."""
        view = self._views_of_all.look(breaker_id)
        if (
            view.state == "closed"
            or breaker_id in self._taken
            or self.look(breaker_id).state != "closed"
        ):
            return
        if view.state in ("open", "half_open"):
            wait_s = view.retry_at_s - self._read_clock_s() if view.state == "open" else 0.0
            trips = self._views_of_all.find_trips(breaker_id)
            # What is half-open there is open here, and half-open for the next who asks.
            self.adopt(breaker_id, max(0.0, wait_s), trips, view.cause, is_over=wait_s <= 0)
        else:
            command: BreakerCommand = "open" if view.state == "forced_open" else "close"
            super().command_now(breaker_id, command)
        self._taken[breaker_id] = self.look(breaker_id)
        self.news.pop(breaker_id, None)

    def report_run(self, breaker_id: str, run: ReportRun) -> None:
        """Take note of a report that Redis does not get."""
        self.take_over(breaker_id)
        epoch = run.epoch
        if epoch == self._views_of_all.find_epoch(breaker_id):
            # It began in what is the present epoch there; here that is the first one.
            epoch = 0
        for _ in range(run.count):
            self.report(
                breaker_id,
                run.result,
                epoch=epoch,
                token=run.token,
                hold_s=run.hold_ms / 1000,
                cause=run.cause,
            )

    def take_runs(self, breaker_id: str, runs: Sequence[ReportRun]) -> None:
        """Take note of reports that Redis has not got, as far as is known."""
        for run in runs:
            self.report_run(breaker_id, run)

    def command_now(self, breaker_id: str, command: BreakerCommand) -> None:
        """Do what an operator says, and keep it for those who have not heard."""
        self.commands[breaker_id] = command
        super().command_now(breaker_id, command)

    def forget_command(self, breaker_id: str, command: BreakerCommand) -> None:
        """Forget what others know by now."""
        if self.commands.get(breaker_id) == command:
            del self.commands[breaker_id]

    def note_told(self, breaker_id: str, told: BreakerView) -> None:
        """Take note that others know of what a view says: it is news only if it moves again."""
        if breaker_id in self.news and self.look(breaker_id) is told:
            self._taken[breaker_id] = told
            del self.news[breaker_id]

    def list_to_tell(self, most: int) -> list[tuple[str, float, int, BreakerCause]]:
        """Return (id, seconds still to wait, trips, cause) of so many news."""
        return [self.describe(each) for each in islice(self.news, most)]

    def forget(self) -> None:
        """Forget everything: Redis speaks for all from now on."""
        super().forget()
        self._taken.clear()
        self.news.clear()
        self.commands.clear()

    def _note(
        self, breaker_id: str, breaker: Breaker, before: BreakerState, now_ms: int
    ) -> BreakerView:
        view = super()._note(breaker_id, breaker, before, now_ms)
        if (breaker.trips or breaker.state == "open") and self._has_moved(breaker_id, view):
            self.news[breaker_id] = None
        else:
            self.news.pop(breaker_id, None)
        return view

    def _drop(self, breaker_id: str) -> Breaker:
        self._taken.pop(breaker_id, None)
        self.news.pop(breaker_id, None)
        return super()._drop(breaker_id)

    def _has_moved(self, breaker_id: str, view: BreakerView) -> bool:
        taken = self._taken.get(breaker_id)
        # A longer hold moves the end of an epoch, not the epoch.
        return (
            taken is None
            or view.epoch != taken.epoch
            or view.retry_at_s > taken.retry_at_s + ROUNDING_S
        )


def weaken_rules(rules: BreakerRules) -> BreakerRules:
    """Return the rules of one process alone; its waits are those of all."""
    return msgspec.structs.replace(
        rules,
        consecutive=min(CONSECUTIVE, rules.consecutive),
        min_calls=min(MIN_CALLS, rules.min_calls),
        permits=PERMITS,
    )
