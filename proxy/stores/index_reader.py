"""Reading the index of shared breakers: at first all of it, then only what has changed."""

from collections.abc import Callable, Collection

from proxy.stores.breaker_calls import BreakerCalls
from proxy.stores.breaker_messages import IndexPage
from proxy.stores.breaker_views import BreakerViews

QUESTIONS = 40
"""After so many everything is read again: ten seconds, or a few pages more often than that."""


class IndexReader:
    """
    Knows how far it has read, and has the views learn what is told.

    A page tells a few hundred entries at most: whoever has taken one that is not the last asks
    for the next. Redis may begin anew at any time, and what it tells then is everything. So it
    does when asked to, now and then: what anybody else has published in the meantime may be
    wrong, and must not be believed for ever.
    """

    def __init__(self, calls: BreakerCalls, views: BreakerViews) -> None:
        self._calls = calls
        self._views = views
        self._first = self._told = self._place = 0
        self._questions = 0
        self._listed: set[str] | None = set()
        """What was told since the beginning; None once everything was."""

    def begin_anew(self) -> None:
        """Read everything again: what the views say is not what Redis has told."""
        self._first = self._told = self._questions = 0

    def ask(self, on_page: Callable[[int, IndexPage], None], on_lost: Callable[[], None]) -> None:
        """Ask for the next page; one of the two is called (see `BreakerCalls.post_index`)."""
        self._questions += 1
        if self._questions >= QUESTIONS and self._listed is None:
            self.begin_anew()
        self._calls.post_index((self._first, self._told, self._place), on_page, on_lost)

    def take(self, asked: int, page: IndexPage, kept: Collection[str]) -> None:
        """Learn a page, but for the ids in `kept`, which this process knows better for now."""
        if not page.since:
            self._listed = set()
        self._first, self._told, self._place = page.first, page.told, page.place
        self._views.learn_page(page, asked, kept)
        if self._listed is None:
            return
        self._listed.update(entry.id for entry in page.entries)
        if not page.is_more:
            self._listed.update(kept)
            self._views.learn_rest(self._listed, asked)
            self._listed = None
