"""How shared breakers stand, as far as this process has heard: what requests go by."""

from collections.abc import Callable, Container, Set

from msgspec import Struct

from proxy.domain.breaker import CLOSED, BreakerCause, BreakerChange, BreakerState, BreakerView
from proxy.stores.breaker_messages import ChangeMessage, Entry, IndexPage, Stand


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
    forgotten, and begun anew. What is published of the epoch that is known is no news either.
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
        self._own: set[str] = set()
        """Those of which the view is this process's own."""
        self._plain: dict[str, float] = {}
        """When those were heard of that Redis does not list; the oldest is the first."""
        self.longest_ms = 0
        """The longest wait that there can be."""
        self.window_s = 0.0
        """For so long a failure of one that is closed is of interest."""

    def has_own_besides(self, kept: Set[str]) -> bool:
        """Return whether any view but those is this process's own, whatever Redis knows."""
        return not self._own <= kept

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

    def learn_page(self, page: IndexPage, asked: int, kept: Container[str] = ()) -> None:
        """
        Take note of what has changed in the index.

        Args:
            page: a reply to a poll.
            asked: the number of the question.
            kept: ids that this process knows better for now.
        """
        for entry in page.entries:
            if entry.id in kept:
                continue
            is_open = entry.state == "open"
            wait_ms = min(max(0, entry.until_ms - page.now_ms), self.longest_ms) if is_open else 0
            self._learn(
                entry.id, self._build(entry.id, entry, entry.state, wait_ms), entry.trips, asked
            )

    def learn_rest(self, listed: Container[str], asked: int) -> None:
        """Take note that the index was told to its end: all is as it says, the rest is closed."""
        for breaker_id in [e for e, v in self._views.items() if v.epoch and e not in listed]:
            self._learn(breaker_id, CLOSED, 0, asked)
        if self.is_telling:
            # What was heard before that began was not told.
            for breaker_id in [*self._views, *self._told]:
                self._tell_view(breaker_id, self.look(breaker_id))

    def forget_plain(self) -> None:
        """Forget closed ones that have failed once, and were not heard of for a window."""
        oldest_s = self._read_clock_s() - self.window_s
        while self._plain:
            breaker_id = next(iter(self._plain))
            if self._plain[breaker_id] >= oldest_s:
                break
            self._forget(breaker_id)

    def learn_own(self, breaker_id: str, view: BreakerView) -> None:
        """Go by what this process has decided by itself, until Redis is heard again."""
        self._views[breaker_id] = view
        self._plain.pop(breaker_id, None)
        self._own.add(breaker_id)
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
        if known is not None:
            if asked is None and view.epoch <= known.epoch:
                # Published once, when it began: since then its end may have moved.
                return
            if asked is not None and view.epoch < known.epoch and asked < known.heard:
                return
        self._keep(breaker_id, view, trips)
        if self.is_telling:
            self._tell_view(breaker_id, view)

    def _tell_view(self, breaker_id: str, view: BreakerView) -> None:
        is_open = view.state == "open"
        wait_s = max(0.0, view.retry_at_s - self._read_clock_s()) if is_open else 0.0
        self.tell(breaker_id, view.state, view.cause, wait_s)

    def _keep(self, breaker_id: str, view: BreakerView, trips: int) -> None:
        self._forget(breaker_id)
        if view.state == "closed" and not (view.epoch or view.failures):
            return  # it says what an unknown one does
        if view.state == "closed" and not view.epoch:
            self._plain[breaker_id] = self._read_clock_s()
        self._views[breaker_id] = view
        self._known[breaker_id] = Known(view.epoch, trips, self.ask())

    def _forget(self, breaker_id: str) -> None:
        self._views.pop(breaker_id, None)
        self._known.pop(breaker_id, None)
        self._plain.pop(breaker_id, None)
        self._own.discard(breaker_id)
