"""Views: what was heard last is what holds, whichever way it came, and is told once."""

from proxy.domain.breaker import CLOSED, BreakerChange, BreakerState, BreakerView
from proxy.stores.breaker_messages import ChangeMessage, Entry, IndexPage, Stand
from proxy.stores.breaker_views import BreakerViews
from tests.stores.breaker_contract import ID, Clock


class Heard:
    """Views, their clock, and what they have told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.changes: list[BreakerChange] = []
        self.views = BreakerViews(self.clock.read_s, self.changes.append)
        self.views.longest_ms = 330_000
        self.views.window_s = 30.0
        self.views.is_telling = True

    @property
    def state(self) -> BreakerState:
        """How the breaker stands."""
        return self.views.look(ID).state

    def reply(self, state: BreakerState, epoch: int, asked: int | None = None, **more: int) -> None:
        """Hear a reply to a question, by default to one asked just now."""
        asked = self.views.ask() if asked is None else asked
        wait_ms, failures = more.get("wait_ms", 0), more.get("failures", 0)
        stand = Stand(state, epoch, wait_ms, "", failures, more.get("trips", 0), 0, 0)
        self.views.learn_stand(ID, stand, asked)

    def message(self, before: BreakerState, after: BreakerState, epoch: int) -> None:
        """Hear what was published."""
        self.views.learn_change(ChangeMessage(ID, before, after, epoch, 0, "", 0, 0))

    def index(self, *entries: Entry, asked: int | None = None, kept: tuple[str, ...] = ()) -> None:
        """Hear the whole index."""
        asked = self.views.ask() if asked is None else asked
        self.views.learn_page(IndexPage(1000, 1, 0, 2, False, 0, list(entries)), asked, kept)
        self.views.learn_rest({*kept, *(each.id for each in entries)}, asked)


def entry(state: BreakerState, epoch: int, until_ms: int = 0) -> Entry:
    """Return an entry of the index."""
    return Entry(ID, state, epoch, until_ms, "", 0, 2)


def test_a_change_is_told_once() -> None:
    """By reply, message and index the same opening is one change."""
    heard = Heard()
    heard.reply("open", 5, wait_ms=3000, trips=2)
    heard.message("closed", "open", 5)
    heard.index(entry("open", 5, 4000))
    assert [(c.before, c.after, c.retry_in_s) for c in heard.changes] == [("closed", "open", 3.0)]
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s + 3
    assert (heard.views.find_trips(ID), heard.views.find_epoch(ID)) == (2, 5)


def test_news_are_not_overtaken_by_older_ones() -> None:
    """A message of an older epoch, or a reply to what was asked before, changes nothing."""
    heard = Heard()
    asked = heard.views.ask()
    heard.message("open", "half_open", 7)
    heard.message("closed", "open", 6)
    heard.reply("open", 6, asked)
    heard.index(entry("open", 6, 9000), asked=asked)
    heard.index(asked=asked)
    assert heard.state == "half_open"
    assert [change.after for change in heard.changes] == ["half_open"]


def test_what_is_published_late_moves_no_end() -> None:
    """A message of the epoch that a reply has told says less than that reply."""
    heard = Heard()
    heard.reply("open", 5, wait_ms=9000)
    heard.clock.now_s += 4
    heard.message("closed", "open", 5)
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s + 5


def test_who_asks_afterwards_hears_that_redis_has_forgotten() -> None:
    """A lower epoch in an answer to a later question is Redis's new beginning."""
    heard = Heard()
    heard.message("closed", "open", 7)
    heard.reply("closed", 0)
    assert (heard.state, heard.views.find_epoch(ID)) == ("closed", 0)
    heard.message("closed", "open", 8)
    heard.index()
    assert heard.views.look(ID) == CLOSED
    assert [change.after for change in heard.changes] == ["open", "closed", "open", "closed"]


def test_what_says_nothing_is_not_kept() -> None:
    """Only those that are not closed, were not once, or have just failed, take any room."""
    heard = Heard()
    heard.reply("closed", 0)
    assert heard.views.look(ID) is CLOSED
    heard.reply("closed", 0, failures=2)
    assert heard.views.look(ID).failures == 2
    heard.index()
    assert heard.views.look(ID).failures == 2, "it is not in the index, and need not be"
    heard.reply("closed", 9)
    assert heard.views.look(ID).epoch == 9
    heard.index()
    assert heard.views.look(ID) is CLOSED


def test_a_failure_is_of_interest_for_a_window() -> None:
    """Closed ones that have failed and are in no index go when nothing was heard for a window."""
    heard = Heard()
    for number in range(9):
        stand = Stand("closed", 0, 0, "", 1, 0, 0, 0)
        heard.views.learn_stand(f"acme/{number}", stand, heard.views.ask())
    heard.reply("open", 5, wait_ms=1000)
    heard.clock.now_s += 20
    heard.views.learn_stand("acme/3", stand, heard.views.ask())
    heard.clock.now_s += 11
    heard.views.forget_plain()
    kept = [number for number in range(9) if heard.views.look(f"acme/{number}").failures]
    assert (kept, heard.state) == ([3], "open")
    heard.clock.now_s += 20
    heard.views.forget_plain()
    assert heard.views.look("acme/3") is CLOSED
    assert heard.state == "open"


def test_it_knows_whether_views_are_of_this_process_alone() -> None:
    """From its own word until Redis is heard of the same breaker again."""
    heard = Heard()
    assert not heard.views.has_own_besides(set())
    heard.views.learn_own(ID, BreakerView("open", 3, heard.clock.now_s + 9, "failures", 3))
    assert heard.views.has_own_besides({"acme/b"})
    assert not heard.views.has_own_besides({ID, "acme/b"})
    heard.reply("closed", 0)
    assert not heard.views.has_own_besides(set())
    assert heard.state == "closed"


def test_the_waits_of_the_index_are_counted_from_its_time() -> None:
    """An end in the past is a wait that is over; only open ones wait."""
    heard = Heard()
    heard.index(entry("open", 5, 3500))
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s + 2.5
    heard.index(entry("open", 5, 500))
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s
    heard.index(entry("half_open", 6, 99_000))
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s
    assert heard.views.list_not_closed() == [ID]


def test_a_clock_that_was_set_back_does_not_hold_it_for_ever() -> None:
    """However often Redis says "330 s", the wait is counted from the first time."""
    heard = Heard()
    heard.reply("open", 5, wait_ms=10_000)
    first_s = heard.views.look(ID).retry_at_s
    for _ in range(4):
        heard.clock.now_s += 5
        heard.index(entry("open", 5, 9_999_999))
        heard.reply("open", 5, wait_ms=330_000)
    assert heard.views.look(ID).retry_at_s == first_s
    heard.reply("open", 6, wait_ms=330_000)
    assert heard.views.look(ID).retry_at_s == heard.clock.now_s + 330


def test_what_this_process_knows_better_is_kept() -> None:
    """Its own view holds against the index where that is said, and until the next reply."""
    heard = Heard()
    own = BreakerView("open", 3, heard.clock.now_s + 9, "failures", 3)
    heard.reply("closed", 7)
    heard.views.learn_own(ID, own)
    heard.index(kept=(ID,))
    assert heard.views.look(ID) == own
    assert heard.views.find_epoch(ID) == 7
    heard.index()
    assert heard.views.look(ID) is CLOSED
    assert [change.after for change in heard.changes] == ["open", "closed"]


def test_nothing_is_told_while_it_is_not_what_holds() -> None:
    """What is heard meanwhile is told when it begins to hold, if it is still so."""
    heard = Heard()
    heard.views.is_telling = False
    heard.message("closed", "open", 5)
    heard.views.tell("acme/gone", "open", "failures", 1.0)
    assert [change.id for change in heard.changes] == ["acme/gone"]
    heard.views.is_telling = True
    heard.index(entry("open", 5, 2000))
    assert [(c.id, c.after) for c in heard.changes[1:]] == [(ID, "open"), ("acme/gone", "closed")]
