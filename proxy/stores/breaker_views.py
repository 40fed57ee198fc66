"""How shared breakers stand, as far as this process has heard: what requests go by."""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from proxy.domain.breaker import CLOSED, BreakerCause, BreakerChange, BreakerState, BreakerView
from proxy.stores.breaker_messages import ChangeMessage, Entry, Stand


class Known(Struct, frozen=True):
    """What was heard of a breaker that nobody but the store needs."""

    epoch: int
    trips: int
    heard: int
    """When it was heard, in numbers of `ask`."""


class BreakerViews:
    """
    The views of all that are not closed, or were not once, or have just failed.

    Epochs only grow, so what tells of a lower one is old news, and news by another way have
    overtaken it; unless it answers what was asked after those were heard: then Redis has
    forgotten, and begun anew.
    """

    def __init__(
        self, read_clock_s: Callable[[], float], on_change: Callable[[BreakerChange], None]
    ) -> None:
        self.is_telling = False
        """What is heard is what this process goes by, so it tells of changes."""
        self._read_clock_s = read_clock_s
        self._on_change = on_change
        self._views: dict[str, BreakerView] = {}
        self._known: dict[str, Known] = {}
        self._told: dict[str, BreakerState] = {}
        self._asked = 0
        self.longest_ms = 0
        """The longest wait that there can be."""

    def look(self, breaker_id: str) -> BreakerView:
        """Return a view; one that was never heard of is closed."""
        return self._views.get(breaker_id, CLOSED)

    def list_not_closed(self) -> list[str]:
        """Return the ids of all that are not closed."""
        return [each for each, view in self._views.items() if view.state != "closed"]

    def find_trips(self, breaker_id: str) -> int:
        """Return how often in a row it has opened."""
        known = self._known.get(breaker_id)
        return 0 if known is None else known.trips

    def find_epoch(self, breaker_id: str) -> int:
        """Return its epoch in Redis, also where this process goes by its own machine."""
        known = self._known.get(breaker_id)
        return 0 if known is None else known.epoch

    def ask(self) -> int:
        """Return a number for a question: whatever is heard from now on has a higher one."""
        self._asked += 1
        return self._asked

    def learn_stand(self, breaker_id: str, stand: Stand, asked: int) -> BreakerView:
        """Take note of a reply; return the view that holds now."""
        self._learn(
            breaker_id,
            self._build(breaker_id, stand, stand.state, stand.wait_ms),
            stand.trips,
            asked,
        )
        return self.look(breaker_id)

    def learn_change(self, change: ChangeMessage) -> None:
        """Take note of what was published."""
        self._learn(
            change.id, self._build(change.id, change, change.after, change.wait_ms), change.trips
        )

    def learn_index(
        self,
        now_ms: int,
        entries: Iterable[Entry],
        asked: int,
        kept: Collection[str] = (),
    ) -> None:
        """
        Take note of all that is not closed, and so of all that is.

        Args:
            now_ms: Redis's time.
            entries: the whole index.
            asked: the number of the question.
            kept: ids that this process knows better for now.
        """
        found = set(kept)
        for entry in entries:
            if entry.id in found:
                continue
            found.add(entry.id)
            is_open = entry.state == "open"
            wait_ms = min(max(0, entry.until_ms - now_ms), self.longest_ms) if is_open else 0
            self._learn(
                entry.id, self._build(entry.id, entry, entry.state, wait_ms), entry.trips, asked
            )
        for breaker_id in [e for e, view in self._views.items() if view.epoch and e not in found]:
            self._learn(breaker_id, CLOSED, 0, asked)
        for breaker_id in list(self._told):
            if breaker_id not in kept:
                self._tell_view(breaker_id, self.look(breaker_id))

    def learn_own(self, breaker_id: str, view: BreakerView) -> None:
        """Go by what this process has decided by itself, until Redis is heard again."""
        self._views[breaker_id] = view
        self._tell_view(breaker_id, view)

    def tell(
        self, breaker_id: str, state: BreakerState, cause: BreakerCause, retry_in_s: float
    ) -> None:
        """Tell of a change, if it is one after all that was told before."""
        before = self._told.get(breaker_id, "closed")
        if state == before:
            return
        if state == "closed":
            del self._told[breaker_id]
        else:
            self._told[breaker_id] = state
        self._on_change(BreakerChange(breaker_id, before, state, cause, retry_in_s))

    def _build(
        self,
        breaker_id: str,
        heard: Stand | Entry | ChangeMessage,
        state: BreakerState,
        wait_ms: int,
    ) -> BreakerView:
        retry_at_s = self._read_clock_s() + wait_ms / 1000
        if wait_ms >= self.longest_ms:
            # Redis's clock was set back: whoever waits would be told the same for ever.
            before = self.look(breaker_id)
            if before.epoch == heard.epoch:
                retry_at_s = min(retry_at_s, before.retry_at_s)
        return BreakerView(
            state=state,
            epoch=heard.epoch,
            retry_at_s=retry_at_s,
            cause=heard.cause,
            failures=heard.failures,
        )

    def _learn(
        self, breaker_id: str, view: BreakerView, trips: int, asked: int | None = None
    ) -> None:
        known = self._known.get(breaker_id)
        is_older = known is not None and view.epoch < known.epoch
        if known is not None and is_older and (asked is None or asked < known.heard):
            return
        self._keep(breaker_id, view, trips)
        if self.is_telling:
            self._tell_view(breaker_id, view)

    def _tell_view(self, breaker_id: str, view: BreakerView) -> None:
        is_open = view.state == "open"
        wait_s = max(0.0, view.retry_at_s - self._read_clock_s()) if is_open else 0.0
        self.tell(breaker_id, view.state, view.cause, wait_s)

    def _keep(self, breaker_id: str, view: BreakerView, trips: int) -> None:
        if view.state == "closed" and not (view.epoch or view.failures):
            # It says what an unknown one does.
            self._views.pop(breaker_id, None)
            self._known.pop(breaker_id, None)
        else:
            self._views[breaker_id] = view
            self._known[breaker_id] = Known(view.epoch, trips, self.ask())
