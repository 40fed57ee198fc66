"""A process's own machines: they begin with what is known, and know what is news to others."""

import pytest

from proxy.domain.breaker import BreakerRules, BreakerState, Permit
from proxy.stores.breaker_messages import ReportRun, Stand
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.memory_breakers import FEWEST_KEPT
from proxy.stores.own_breakers import OwnBreakers, weaken_rules
from tests.stores.breaker_contract import ID, RULES, Clock


class Alone:
    """Machines of one process, and the views that it had."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.views = BreakerViews(self.clock.read_s, lambda change: None)
        self.views.longest_ms = 330_000
        self.own = OwnBreakers(self.views, RULES, self.clock.read_s, self.clock.read_s)

    def hear(self, state: BreakerState, epoch: int, wait_ms: int = 0, trips: int = 0) -> None:
        """Have Redis say how the breaker stands."""
        stand = Stand(state, epoch, wait_ms, "failures", 0, trips, 0, 0)
        self.views.learn_stand(ID, stand, self.views.ask())


def test_one_process_alone_opens_earlier_and_lends_less() -> None:
    """Three failures in a row, five calls, one permit; the waits are the same."""
    assert weaken_rules(BreakerRules()) == BreakerRules(consecutive=3, min_calls=5, permits=1)
    rules = BreakerRules(consecutive=2, min_calls=4, permits=9, open_ms=7)
    assert weaken_rules(rules) == BreakerRules(consecutive=2, min_calls=4, permits=1, open_ms=7)


def test_the_rest_of_a_wait_is_taken_over() -> None:
    """Open with 4 s to go and two trips: open here for 4 s, then for 20."""
    alone = Alone()
    alone.hear("open", 7, wait_ms=4000, trips=2)
    alone.own.take_over(ID)
    assert alone.own.look(ID).state == "open"
    assert alone.own.describe(ID) == (ID, 4.0, 2, "failures")
    assert alone.own.list_to_tell(99) == []
    alone.own.take_over(ID)
    assert alone.own.describe(ID) == (ID, 4.0, 2, "failures")


@pytest.mark.parametrize("state", ["open", "half_open"])
async def test_what_may_be_tried_there_may_be_tried_here(state: BreakerState) -> None:
    """Half-open, or open with its time over: the first who asks gets the one permit."""
    alone = Alone()
    alone.hear(state, 7)
    alone.own.take_over(ID)
    assert isinstance(await alone.own.acquire(ID, 65), Permit)
    assert not isinstance(await alone.own.acquire(ID, 65), Permit)


def test_an_operators_word_is_taken_over() -> None:
    """Forced open and disabled hold here as well, and are nobody's news."""
    for state in ("forced_open", "disabled"):
        alone = Alone()
        alone.hear(state, 7)
        alone.own.take_over(ID)
        assert alone.own.look(ID).state == state
        assert alone.own.commands == {}


def test_closed_ones_are_not_taken_over() -> None:
    """There is nothing to know of them."""
    alone = Alone()
    alone.hear("closed", 7)
    alone.own.take_over(ID)
    assert len(alone.own) == 0


def test_an_attempt_of_the_shared_epoch_counts() -> None:
    """It began in what is there the present epoch; one of an older epoch counts nowhere."""
    alone = Alone()
    alone.hear("closed", 7)
    alone.own.take_runs(ID, [ReportRun("fail", 7, "", 0, ""), ReportRun("fail", 6, "", 0, "")])
    assert alone.own.look(ID).failures == 1
    alone.own.report_run(ID, ReportRun("fail", 0, "", 0, "", count=2))
    assert alone.own.look(ID).state == "open"


def test_what_has_moved_is_news() -> None:
    """A longer hold, a second opening, an opening of its own: these are to be told."""
    alone = Alone()
    alone.hear("open", 7, wait_ms=4000, trips=1)
    alone.own.take_over(ID)
    alone.own.report_run("acme/other", ReportRun("hold", 0, "", 9000, "quota"))
    assert [each[0] for each in alone.own.list_to_tell(99)] == ["acme/other"]
    alone.own.report_run(ID, ReportRun("hold", 0, "", 60_000, "quota"))
    told = {each[0]: each[1:] for each in alone.own.list_to_tell(99)}
    assert told[ID][0] >= 60
    assert told[ID][1:] == (1, "quota")


def test_what_was_told_is_no_news() -> None:
    """One by one, but for what has moved since it was told, until it moves again."""
    alone = Alone()
    for name in ("acme/a", "acme/b", "acme/c"):
        alone.own.report_run(name, ReportRun("hold", 0, "", 9000, "quota"))
    told = {name: alone.own.look(name) for name in ("acme/a", "acme/b", "acme/c")}
    assert [each[0] for each in alone.own.list_to_tell(2)] == ["acme/a", "acme/b"]
    alone.own.report_run("acme/b", ReportRun("hold", 0, "", 60_000, "quota"))
    for name, view in told.items():
        alone.own.note_told(name, view)
    assert list(alone.own.news) == ["acme/b"]
    assert alone.own.look("acme/a").state == "open"
    alone.own.report_run("acme/a", ReportRun("hold", 0, "", 60_000, "quota"))
    assert list(alone.own.news) == ["acme/b", "acme/a"]
    alone.own.command_now("acme/b", "reset")
    assert list(alone.own.news) == ["acme/a"]


async def test_what_nobody_asks_for_is_no_news_any_more() -> None:
    """Thousands that have opened while Redis was away do not pile up, here or as news."""
    alone = Alone()
    for number in range(3 * FEWEST_KEPT):
        alone.own.report_run(f"acme/{number}", ReportRun("hold", 0, "", 9000, "quota"))
        alone.clock.now_s += 1
    assert len(alone.own) <= 2 * FEWEST_KEPT
    assert len(alone.own.news) == len(alone.own)
    assert "acme/0" not in alone.own


def test_commands_are_kept_until_others_know() -> None:
    """The last word of an operator is kept; an older one that was told does not end it."""
    alone = Alone()
    alone.own.command_now(ID, "open")
    alone.own.command_now(ID, "reset")
    alone.own.forget_command(ID, "open")
    assert alone.own.commands == {ID: "reset"}
    alone.own.forget_command(ID, "reset")
    assert alone.own.commands == {}


def test_forgotten_it_begins_anew() -> None:
    """Nothing is left, and the same breaker can be taken over again."""
    alone = Alone()
    alone.hear("open", 7, wait_ms=4000)
    alone.own.take_over(ID)
    alone.own.command_now("acme/other", "open")
    alone.own.forget()
    assert (len(alone.own), alone.own.commands) == (0, {})
    alone.own.take_over(ID)
    assert alone.own.look(ID).state == "open"
