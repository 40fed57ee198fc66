"""The machine of a breaker: every transition, and what it must never do."""

import random

import pytest

from proxy.domain.breaker import (
    BreakerCause,
    BreakerCommand,
    BreakerResult,
    BreakerRules,
    BreakerState,
    Permit,
)
from proxy.policy.breaker import (
    BUCKETS,
    FIRST_HOLD_MS,
    LONGEST_HOLD_MS,
    LONGEST_HOLD_WAIT_MS,
    LONGEST_LEASE_MS,
    MAX_DOUBLINGS,
    Breaker,
    Refusal,
)

START_MS = 1_790_000_000_000
RULES = BreakerRules(open_ms=10_000)
LEASE_MS = 65_000
HOUR_MS = 3_600_000
OK: BreakerResult = "ok"
SLOW: BreakerResult = "slow"
FAIL: BreakerResult = "fail"
BROKE: BreakerResult = "broke"


class Run:
    """A machine, its clock and its rules."""

    def __init__(self, rules: BreakerRules = RULES, now_ms: int = START_MS) -> None:
        self.rules = rules
        self.now_ms = now_ms
        self.machine = Breaker.begin(now_ms)
        self.asked = 0

    @property
    def state(self) -> BreakerState:
        """How it stands."""
        return self.machine.state

    @property
    def wait_ms(self) -> int:
        """How long it is to be left alone."""
        return self.machine.wait_ms(self.now_ms, self.rules)

    @property
    def window(self) -> tuple[int, int, int]:
        """Calls, failed ones, slow ones."""
        return self.machine.sum_window(self.now_ms, self.rules)

    def report(self, *results: BreakerResult) -> bool:
        """Report attempts of the present epoch; return whether the last one counted."""
        counted = False
        for result in results:
            counted = self.machine.report(self.now_ms, self.rules, self.machine.epoch, "", result)
        return counted

    def hold(self, hold_ms: int, epoch: int = 1) -> bool:
        """Report a hold, of an attempt that began whenever it did."""
        return self.machine.report(
            self.now_ms, self.rules, epoch, "", "hold", hold_ms, "rate_limit"
        )

    def ask(self, lease_ms: int = LEASE_MS) -> Permit | Refusal | None:
        """Ask for an attempt."""
        self.asked += 1
        return self.machine.acquire(self.now_ms, self.rules, f"t{self.asked}", lease_ms)

    def take_permit(self) -> Permit:
        """Ask for an attempt, and get a permit."""
        permit = self.ask()
        assert isinstance(permit, Permit)
        return permit

    def give_back(self, permit: Permit, result: BreakerResult) -> bool:
        """Report how the attempt went that holds a permit."""
        return self.machine.report(self.now_ms, self.rules, permit.epoch, permit.token, result)

    def trip(self) -> None:
        """Open it by failures in a row."""
        self.report(*[FAIL] * self.rules.consecutive)
        assert self.state == "open"

    def half_open(self) -> Permit:
        """Open it, wait, and take the first permit."""
        self.trip()
        self.now_ms += self.wait_ms
        return self.take_permit()


# Closed


def test_it_begins_closed_and_lets_everybody_go() -> None:
    """A new one knows nothing, its first epoch is its time of birth, and nobody needs a permit."""
    machine = Breaker.begin(START_MS)
    assert machine == Breaker(epoch=START_MS, born=START_MS)
    assert (machine.state, machine.cause, machine.proven, machine.lost) == ("closed", "", 0, 0)
    assert machine.acquire(START_MS, RULES, "t", LEASE_MS) is None
    assert machine.wait_ms(START_MS, RULES) == 0
    assert machine.is_idle(START_MS, RULES)


@pytest.mark.parametrize("consecutive", [1, 2, 5, 17])
def test_so_many_failures_in_a_row_open_it(consecutive: int) -> None:
    """One fewer leaves it closed; the last one opens it and clears the window."""
    run = Run(BreakerRules(consecutive=consecutive, min_calls=1000))
    for number in range(1, consecutive):
        assert run.report("fail")
        assert (run.state, run.machine.failures) == ("closed", number)
    assert run.report("fail")
    machine = run.machine
    assert (machine.state, machine.cause, machine.trips) == ("open", "failures", 1)
    assert machine.failures == consecutive
    assert machine.epoch == START_MS + 1
    assert machine.opened_ms == machine.last_failure_ms == START_MS
    assert run.window == (0, 0, 0)


@pytest.mark.parametrize("result", ["ok", "slow"])
def test_an_answer_ends_the_row(result: BreakerResult) -> None:
    """Four failures, an answer, four failures: closed, with four in a row."""
    run = Run()
    run.report(*[FAIL] * 4, result, *[FAIL] * 4)
    assert (run.state, run.machine.failures) == ("closed", 4)


def test_neutral_counts_nowhere() -> None:
    """What proves nothing changes nothing, but it is taken note of."""
    run = Run()
    run.report("fail", "ok", "fail", "fail")
    before = (run.machine.failures, run.window)
    assert run.report("neutral")
    assert (run.machine.failures, run.window) == before == (2, (4, 3, 0))


def test_half_of_twenty_calls_open_it() -> None:
    """At 19 calls no share opens it; at 20 half of them do, and only a failure can be the one."""
    run = Run()
    run.report(*[FAIL, OK] * 9)
    assert run.window == (18, 9, 0)
    run.report("ok")
    assert run.state == "closed"
    run.report("fail")
    assert (run.state, run.machine.cause, run.machine.trips) == ("open", "failures", 1)


def test_less_than_half_do_not() -> None:
    """Nine failures of twenty calls leave it closed, the tenth of twenty-one too."""
    run = Run()
    run.report(*[OK, FAIL] * 9, "ok", "ok", "ok")
    run.report("fail")
    assert (run.state, run.window) == ("closed", (22, 10, 0))


def test_u39_four_fifths_slow_open_it() -> None:
    """Of twenty answers sixteen may not be slow; the cause is told as slowness."""
    run = Run()
    run.report(*[OK] * 4, *[SLOW] * 15)
    assert (run.state, run.window) == ("closed", (19, 0, 15))
    run.report("slow")
    assert (run.state, run.machine.cause, run.machine.trips) == ("open", "slow", 1)
    assert run.machine.failures == 0
    assert run.machine.last_failure_ms == 0


def test_shares_are_reckoned_to_the_last_call() -> None:
    """199 of 399 failures, and 319 of 399 slow ones, are less than half and four fifths."""
    rules = BreakerRules(consecutive=1000, min_calls=399)
    run = Run(rules)
    run.report(*[OK] * 200, *[FAIL] * 199)
    assert (run.state, run.window) == ("closed", (399, 199, 0))
    run = Run(rules)
    run.report(*[OK] * 80, *[SLOW] * 319)
    assert (run.state, run.window) == ("closed", (399, 0, 319))


def test_u39_few_slow_ones_do_not() -> None:
    """Fifteen of twenty slow ones leave it closed."""
    run = Run()
    run.report(*[OK] * 5, *[SLOW] * 15)
    assert (run.state, run.window) == ("closed", (20, 0, 15))


def test_a_good_attempt_never_opens_it() -> None:
    """Rules that were edited to be stricter wait for the next bad attempt."""
    run = Run()
    run.report(*[FAIL, OK] * 9, "ok")
    run.rules = BreakerRules(failure_percent=1, min_calls=1, slow_percent=1)
    run.report("ok")
    assert run.state == "closed"


def test_the_window_moves_on() -> None:
    """Each tenth of the window is forgotten when it is a whole window old, not before."""
    run = Run(now_ms=START_MS - START_MS % 3000)
    run.report("fail", "ok")
    run.now_ms += 3000
    run.report("fail", "slow", "slow")
    run.now_ms += 3000
    run.report("slow")
    run.now_ms += 8 * 3000 - 1
    assert run.window == (6, 2, 3)
    run.now_ms += 1
    assert run.window == (4, 1, 3)
    run.now_ms += 3000
    assert run.window == (1, 0, 1)
    run.now_ms += 3000
    assert run.window == (0, 0, 0)


def test_no_more_than_ten_buckets_are_kept() -> None:
    """Whatever passes, a machine holds ten buckets, and the window's sums stay right."""
    run = Run(now_ms=START_MS - START_MS % 3000)
    for _ in range(50):
        run.report("ok")
        run.now_ms += 3000
    run.report("ok")
    assert len(run.machine.buckets) == BUCKETS
    assert run.window == (10, 0, 0)


def test_many_in_one_bucket() -> None:
    """Calls within a tenth of the window share one bucket."""
    run = Run(now_ms=START_MS - START_MS % 3000)
    run.report("ok", "ok")
    run.now_ms += 2999
    run.report("ok")
    assert len(run.machine.buckets) == 1
    assert run.machine.buckets[0].calls == 3


# Broken after content


def test_broken_answers_in_a_row_open_it() -> None:
    """Each was counted as a good one at its first content, and is none: five of them open it."""
    run = Run()
    for number in range(1, 5):
        run.report("ok", "broke")
        assert (run.state, run.machine.failures) == ("closed", number)
    run.report("ok", "broke")
    assert (run.state, run.machine.cause, run.machine.failures) == ("open", "failures", 5)


def test_a_broken_answer_is_one_call() -> None:
    """It was counted as a call when it began to answer; it adds a failure, no second call."""
    run = Run()
    run.report("ok", "broke")
    assert run.window == (1, 1, 0)
    assert run.machine.last_failure_ms == START_MS


def test_a_broken_answer_does_not_shorten_a_row() -> None:
    """Of the row before its beginning and the one since, the longer goes on."""
    run = Run()
    run.report("fail", "ok", "fail", "fail", "broke")
    assert run.machine.failures == 3
    run = Run()
    run.report("fail", "fail", "fail", "ok", "broke")
    assert run.machine.failures == 4
    assert run.machine.failures_before == 0


def test_a_proven_answer_ends_a_row_for_good() -> None:
    """After two good answers one that breaks begins a new row."""
    run = Run()
    run.report("fail", "fail", "fail", "ok", "ok", "broke")
    assert run.machine.failures == 1


def test_half_of_the_calls_broken_open_it() -> None:
    """Answers that break count for the window's share as well."""
    run = Run(BreakerRules(consecutive=100))
    run.report(*[OK] * 20, *[BROKE] * 9)
    assert (run.state, run.window) == ("closed", (20, 9, 0))
    run.report("broke")
    assert run.state == "open"


# Open


def test_open_it_is_left_alone_for_its_time() -> None:
    """Up to a tenth shorter than the rule; refused until then, with the rest of it."""
    run = Run()
    run.trip()
    wait_ms = run.wait_ms
    assert 9000 < wait_ms <= 10_000
    assert run.ask() == Refusal("open", wait_ms)
    run.now_ms += wait_ms - 1
    assert run.ask() == Refusal("open", 1)
    run.now_ms += 1
    assert run.wait_ms == 0
    assert run.ask() == Permit(START_MS + 2, "t3")
    assert run.state == "half_open"


def test_each_opening_in_a_row_doubles_the_wait() -> None:
    """10, 20, 40 ... seconds, up to the cap, whatever the number of trips."""
    run = Run(BreakerRules(open_ms=10_000, open_max_ms=300_000))
    run.trip()
    for trips, longest_ms in enumerate([10_000, 20_000, 40_000, 80_000, 160_000], start=1):
        assert run.machine.trips == trips
        assert longest_ms * 0.9 <= run.wait_ms <= longest_ms
        run.now_ms += run.wait_ms
        run.give_back(run.take_permit(), "fail")
    for _ in range(20):
        assert 270_000 <= run.wait_ms <= 300_000
        run.now_ms += run.wait_ms
        run.give_back(run.take_permit(), "fail")


def test_a_first_wait_above_the_cap_is_kept() -> None:
    """An operator's wait is not cut by the cap, and does not double."""
    run = Run(BreakerRules(open_ms=500_000, open_max_ms=300_000))
    run.trip()
    assert 450_000 <= run.wait_ms <= 500_000
    run.now_ms += run.wait_ms
    run.give_back(run.take_permit(), "fail")
    assert 450_000 <= run.wait_ms <= 500_000


def test_no_number_of_trips_is_too_high() -> None:
    """After a thousand trips the wait is the rule's, doubled ten times at most."""
    run = Run(BreakerRules(open_ms=1, open_max_ms=10**9))
    run.machine.trips = 1000
    run.report(*[FAIL] * 5)
    assert 900 <= run.wait_ms <= 1 << MAX_DOUBLINGS


def test_waits_differ() -> None:
    """Breakers that open at the same time in other epochs, or at other times, do not wait alike."""
    waits = set()
    for offset_ms in range(50):
        run = Run(BreakerRules(open_ms=100_000), now_ms=START_MS + offset_ms)
        run.trip()
        waits.add(run.wait_ms)
    assert len(waits) > 40
    assert 90_000 < min(waits) < 92_000 and 98_000 < max(waits) <= 100_000


def test_the_draw_is_the_one_that_redis_makes() -> None:
    """The chance in a wait is a plain function of time and epoch, the same for ever."""
    run = Run(BreakerRules(open_ms=100_000), now_ms=1_790_000_012_345)
    run.trip()
    draw = (12_345 * 7919 + 12_345 * 104_729) % 1000
    assert run.wait_ms == 100_000 - 10 * draw


def test_open_nothing_is_counted() -> None:
    """Attempts that end while it is open change nothing."""
    run = Run()
    run.trip()
    before = (run.machine.epoch, run.wait_ms, run.machine.failures)
    for result in ("ok", "slow", "fail", "broke", "neutral"):
        assert not run.report(result)
    assert (run.machine.epoch, run.wait_ms, run.machine.failures) == before


@pytest.mark.parametrize("cause", ["failures", "slow", "auth", "misconfigured"])
def test_a_sign_of_life_ends_a_wait_of_our_own(cause: BreakerCause) -> None:
    """What went well although it was open lets the next attempts prove it, and proves nothing."""
    run = Run()
    run.trip()
    run.machine.cause = cause
    epoch, trips = run.machine.epoch, run.machine.trips
    assert run.report("alive")
    assert (run.state, run.machine.epoch, run.machine.trips) == ("half_open", epoch + 1, trips)
    assert (run.machine.proven, run.machine.leases) == (0, [])
    assert not run.report("alive")
    assert run.give_back(run.take_permit(), "fail")
    assert (run.state, run.machine.trips) == ("open", trips + 1)


@pytest.mark.parametrize("cause", ["rate_limit", "quota", "overloaded"])
def test_a_sign_of_life_ends_no_wait_that_a_provider_has_set(cause: BreakerCause) -> None:
    """Who has said until when it wants to be left alone is believed."""
    run = Run()
    run.hold(20_000)
    run.machine.cause = cause
    assert not run.report("alive")
    assert run.state == "open"


def test_a_sign_of_life_is_nothing_new_to_a_closed_one() -> None:
    """Closed it counts nowhere, and an operator's word it does not change."""
    run = Run()
    assert not run.report("alive")
    assert (run.state, run.window) == ("closed", (0, 0, 0))
    for command in ("open", "close"):
        run.machine.command(command)
        state = run.state
        assert not run.report("alive")
        assert run.state == state


# Half-open


def test_it_lends_so_many_permits_at_a_time() -> None:
    """Three at a time; who comes after is told when the first lease ends."""
    run = Run()
    run.half_open()
    run.now_ms += 5
    run.take_permit()
    run.take_permit()
    assert run.ask() == Refusal("half_open", LEASE_MS - 5)
    assert len(run.machine.leases) == 3


def test_what_is_proven_takes_a_permit_of_its_own() -> None:
    """Two good ones and one under way: a fourth has nothing to prove."""
    run = Run()
    first, second, _ = run.half_open(), run.take_permit(), run.take_permit()
    run.give_back(first, "ok")
    run.give_back(second, "ok")
    assert run.machine.proven == 2
    assert isinstance(run.ask(), Refusal)


def test_good_attempts_close_it() -> None:
    """After three everything of before is forgotten."""
    run = Run()
    permit = run.half_open()
    epoch = run.machine.epoch
    assert run.give_back(permit, "ok")
    assert run.give_back(run.take_permit(), "ok")
    assert run.state == "half_open"
    assert run.give_back(run.take_permit(), "ok")
    expected = Breaker(epoch=epoch + 1, born=START_MS, last_failure_ms=START_MS)
    assert run.machine == expected
    assert run.ask() is None


@pytest.mark.parametrize(("result", "cause"), [("fail", "failures"), ("slow", "slow")])
def test_one_bad_attempt_opens_it(result: BreakerResult, cause: str) -> None:
    """A trip more, all permits void, and a wait that is doubled."""
    run = Run()
    first, second = run.half_open(), run.take_permit()
    failures = run.machine.failures
    assert run.give_back(first, result)
    assert (run.state, run.machine.cause, run.machine.trips) == ("open", cause, 2)
    assert run.machine.failures == failures + (result == "fail")
    assert run.machine.last_failure_ms == (run.now_ms if result == "fail" else START_MS)
    assert run.machine.leases == []
    assert 18_000 <= run.wait_ms <= 20_000
    assert not run.give_back(second, "ok")


def test_a_neutral_attempt_gives_its_permit_back() -> None:
    """Nothing is proven, and the next may try."""
    run = Run()
    permits = [run.half_open(), run.take_permit(), run.take_permit()]
    assert run.give_back(permits[1], "neutral")
    assert (run.state, run.machine.proven) == ("half_open", 0)
    assert [lease.token for lease in run.machine.leases] == [permits[0].token, permits[2].token]
    run.take_permit()


def test_a_permit_counts_once() -> None:
    """A second report with the same permit proves nothing."""
    run = Run()
    permit = run.half_open()
    assert run.give_back(permit, "ok")
    assert not run.give_back(permit, "ok")
    assert not run.give_back(permit, "fail")
    assert run.machine.proven == 1


def test_without_a_permit_nothing_is_proven() -> None:
    """Half-open, strangers and attempts without a permit are not heard."""
    run = Run()
    permit = run.half_open()
    for result in ("ok", "fail", "broke", "slow", "neutral"):
        assert not run.report(result)
        assert not run.give_back(Permit(permit.epoch, "stranger"), result)
        assert not run.give_back(Permit(permit.epoch - 1, permit.token), result)
    assert (run.state, len(run.machine.leases)) == ("half_open", 1)


def test_a_proven_answer_that_breaks_opens_it() -> None:
    """It gave its permit back as a good one: when it breaks, one bad attempt is enough."""
    run = Run()
    permit = run.half_open()
    failures = run.machine.failures
    assert run.give_back(permit, "ok")
    assert run.give_back(permit, "broke")
    assert (run.state, run.machine.cause, run.machine.trips) == ("open", "failures", 2)
    assert run.machine.failures == failures + 1
    assert run.machine.last_failure_ms == run.now_ms


def test_what_breaks_without_a_permit_opens_nothing() -> None:
    """Somebody has proven something, but not who reports without any permit."""
    run = Run()
    assert run.give_back(run.half_open(), "ok")
    assert not run.report("broke")
    assert run.state == "half_open"


def test_permits_come_back_when_their_lease_is_over() -> None:
    """One that is lost is lent anew; its holder's late report is worth nothing."""
    run = Run(BreakerRules(open_ms=10_000, permits=1))
    lost = run.half_open()
    run.now_ms += LEASE_MS - 1
    assert run.ask() == Refusal("half_open", 1)
    run.now_ms += 1
    run.take_permit()
    assert (run.state, run.machine.lost) == ("half_open", 1)
    assert not run.give_back(lost, "ok")


def test_two_lost_permits_in_a_row_are_a_failure() -> None:
    """Holders that never come back mean that something is wrong there."""
    run = Run(BreakerRules(open_ms=10_000, permits=1))
    run.half_open()
    failures = run.machine.failures
    run.now_ms += LEASE_MS
    run.take_permit()
    run.now_ms += LEASE_MS
    refusal = run.ask()
    assert isinstance(refusal, Refusal)
    assert refusal == Refusal("open", run.wait_ms)
    assert (run.machine.trips, run.machine.failures) == (2, failures + 1)
    assert (run.machine.lost, run.machine.cause) == (0, "failures")
    assert run.machine.last_failure_ms == run.now_ms


def test_a_holder_that_comes_back_ends_the_row_of_lost_ones() -> None:
    """Lost, back, lost: still half-open."""
    run = Run(BreakerRules(open_ms=10_000, permits=1))
    run.half_open()
    run.now_ms += LEASE_MS
    assert run.give_back(run.take_permit(), "neutral")
    assert run.machine.lost == 0
    run.take_permit()
    run.now_ms += LEASE_MS
    run.take_permit()
    assert (run.state, run.machine.lost) == ("half_open", 1)


def test_a_report_finds_lost_permits_too() -> None:
    """Whoever reports when two others are lost finds it open, and proves nothing more."""
    run = Run()
    run.half_open()
    run.take_permit()
    run.now_ms += 10
    late = run.take_permit()
    run.now_ms += LEASE_MS - 10
    assert not run.give_back(late, "ok")
    assert (run.state, run.machine.trips) == ("open", 2)


def test_fewer_permits_than_are_proven_close_no_door() -> None:
    """After an edit from three permits to one, two proven attempts do not lock it for ever."""
    run = Run()
    run.give_back(run.half_open(), "ok")
    run.give_back(run.take_permit(), "ok")
    run.rules = BreakerRules(open_ms=10_000, permits=1)
    run.give_back(run.take_permit(), "ok")
    assert run.state == "closed"


# Holds


def test_a_hold_opens_it_without_a_trip() -> None:
    """Left alone for as long as asked or up to a tenth longer, never shorter."""
    run = Run()
    run.report("fail", "fail")
    assert run.hold(30_000)
    machine = run.machine
    assert (machine.state, machine.cause, machine.trips) == ("open", "rate_limit", 0)
    assert (machine.failures, machine.holds, machine.opened_ms) == (2, 0, START_MS)
    assert 30_000 <= run.wait_ms < 33_000
    assert run.window == (0, 0, 0)


def test_a_hold_of_a_millisecond_is_one() -> None:
    """The shortest hold that says how long is kept as it is, and is none of those that do not."""
    run = Run()
    run.hold(1)
    assert (run.wait_ms, run.machine.holds) == (1, 0)


def test_all_times_are_whole_milliseconds() -> None:
    """Waits of odd lengths are rounded down to what Redis keeps: whole numbers."""
    run = Run(BreakerRules(open_ms=7777))
    run.trip()
    assert isinstance(run.machine.until_ms, int)
    run = Run(now_ms=START_MS + 7)
    run.hold(7777)
    assert isinstance(run.machine.until_ms, int)


def test_a_hold_of_which_nothing_is_told_is_the_machines_own() -> None:
    """Without a time and a cause it is a second, for no cause."""
    run = Run()
    run.machine.report(run.now_ms, run.rules, 0, "", "hold")
    assert (run.machine.holds, run.machine.cause) == (1, "")


def test_holds_come_back_at_different_times() -> None:
    """The tenth that is added is spread, so that not all of those who wait come at once."""
    waits = set()
    for offset_ms in range(50):
        run = Run(now_ms=START_MS + offset_ms)
        run.hold(100_000)
        waits.add(run.wait_ms)
    assert len(waits) > 40
    assert 100_000 <= min(waits) < 102_000 and 108_000 < max(waits) < 110_000


def test_no_hold_is_longer_than_five_minutes() -> None:
    """Whatever a provider asks for, and a tenth more."""
    run = Run()
    run.hold(10**12)
    assert LONGEST_HOLD_MS <= run.wait_ms <= LONGEST_HOLD_WAIT_MS


def test_holds_that_say_nothing_double() -> None:
    """1, 2, 4 ... seconds for holds in a row, up to five minutes."""
    run = Run()
    for number in range(12):
        run.hold(0)
        expected_ms = min(FIRST_HOLD_MS << number, LONGEST_HOLD_MS)
        assert expected_ms <= run.wait_ms <= expected_ms * 1.1
        assert run.machine.holds == number + 1
        run.now_ms += run.wait_ms
        run.take_permit()
    assert run.machine.trips == 0


def test_holds_of_those_under_way_tell_nothing_new() -> None:
    """Fifty answers "too many requests" to what was sent at once are one hold."""
    run = Run()
    for _ in range(50):
        run.hold(0)
    assert run.machine.holds == 1
    assert run.wait_ms <= FIRST_HOLD_MS * 1.1


def test_a_hold_that_says_nothing_counts_once_after_failures() -> None:
    """Open by failures, a hold without a time is the first one."""
    run = Run()
    run.trip()
    run.hold(-5)
    run.hold(0)
    assert run.machine.holds == 1


def test_open_a_longer_hold_wins() -> None:
    """A shorter one changes nothing; a longer one moves the end in the same epoch."""
    run = Run()
    run.trip()
    until_ms, epoch = run.machine.until_ms, run.machine.epoch
    assert run.hold(1000)
    assert (run.machine.until_ms, run.machine.cause) == (until_ms, "failures")
    assert run.hold(50_000)
    assert 50_000 <= run.wait_ms <= 55_000
    assert (run.machine.cause, run.machine.epoch) == ("rate_limit", epoch)
    assert run.machine.trips == 1


def test_open_a_hold_that_ends_at_the_same_time_changes_nothing() -> None:
    """Only what is later is news."""
    run = Run()
    run.hold(50_000)
    run.machine.until_ms = START_MS + 50_000 + 50_000 * run.machine._draw(START_MS) // 10_000
    run.machine.report(START_MS, RULES, 0, "", "hold", 50_000, "quota")
    assert run.machine.cause == "rate_limit"


def test_half_open_the_longer_of_hold_and_back_off_wins() -> None:
    """A hold of one second does not cut the back-off short; one of minutes is kept whole."""
    run = Run()
    run.half_open()
    run.hold(1000)
    assert (run.state, run.machine.cause, run.machine.trips) == ("open", "rate_limit", 1)
    assert 9000 <= run.wait_ms <= 10_000
    run = Run()
    run.half_open()
    run.hold(200_000)
    assert 200_000 <= run.wait_ms <= 220_000


def test_half_open_after_a_hold_there_is_no_back_off() -> None:
    """Without a trip only the hold itself counts."""
    run = Run()
    run.hold(2000)
    run.now_ms += run.wait_ms
    run.take_permit()
    run.hold(1000)
    assert 1000 <= run.wait_ms <= 1100


def test_a_hold_counts_whenever_its_attempt_began() -> None:
    """It does not matter in which epoch somebody was told to stay away."""
    for epoch in (0, 1, START_MS, START_MS + 99):
        run = Run()
        assert run.hold(5000, epoch)
        assert run.state == "open"


def test_closing_ends_a_row_of_holds() -> None:
    """Once it has closed the first hold is a second again."""
    run = Run(BreakerRules(permits=1))
    for _ in range(3):
        run.hold(0)
        run.now_ms += run.wait_ms
        run.give_back(run.take_permit(), "ok")
        assert (run.state, run.machine.holds) == ("closed", 0)
    run.hold(0)
    assert run.wait_ms <= 1100


# Epochs


def test_what_began_in_another_epoch_counts_nowhere() -> None:
    """Closed, reports with an older or newer epoch, or with a permit, are stale."""
    run = Run()
    for epoch, token in ((1, ""), (START_MS - 1, ""), (START_MS + 1, ""), (START_MS, "t1")):
        assert not run.machine.report(run.now_ms, run.rules, epoch, token, "fail")
    assert run.machine == Breaker.begin(START_MS)


def test_who_does_not_know_the_epoch_counts_in_the_first() -> None:
    """Epoch 0 is good as long as nothing has ever changed."""
    run = Run(BreakerRules(permits=1))
    assert run.machine.report(run.now_ms, run.rules, 0, "", "fail")
    run.give_back(run.half_open(), "ok")
    assert run.state == "closed"
    assert not run.machine.report(run.now_ms, run.rules, 0, "", "fail")


# Operators


@pytest.mark.parametrize(
    ("command", "state"), [("open", "forced_open"), ("close", "disabled"), ("reset", "closed")]
)
def test_an_operators_word_forgets_everything(command: BreakerCommand, state: BreakerState) -> None:
    """Whatever was known is gone, and a new epoch begins."""
    run = Run()
    run.hold(0)
    run.now_ms += run.wait_ms
    run.give_back(run.take_permit(), "fail")
    run.now_ms += run.wait_ms
    run.take_permit()
    epoch = run.machine.epoch
    run.machine.command(command)
    assert run.machine == Breaker(epoch=epoch + 1, born=START_MS, state=state)


def test_a_reset_forgets_the_window() -> None:
    """Closed before and after, with nothing counted."""
    run = Run()
    run.report("fail", "ok", "slow", "fail")
    run.machine.command("reset")
    assert run.machine == Breaker(epoch=START_MS + 1, born=START_MS)


@pytest.mark.parametrize("command", ["open", "close"])
def test_only_an_operator_ends_what_an_operator_began(command: BreakerCommand) -> None:
    """Neither reports, holds, time nor other processes move it."""
    run = Run()
    run.machine.command(command)
    before = run.machine.epoch
    for result in ("ok", "slow", "fail", "broke", "neutral", "hold"):
        assert not run.report(result)
    run.now_ms += 100 * HOUR_MS
    run.machine.adopt(run.now_ms, 10_000, 3, "failures")
    assert run.ask() == (Refusal("forced_open", 0) if command == "open" else None)
    assert (run.machine.epoch, run.wait_ms, run.machine.trips) == (before, 0, 0)


# Two halves that were apart


def test_an_opening_elsewhere_is_taken_over() -> None:
    """Closed here and open there: open for the rest of the time, with that number of trips."""
    run = Run()
    run.report("fail", "ok")
    run.machine.adopt(run.now_ms, 7000, 4, "slow")
    machine = run.machine
    assert (machine.state, machine.cause, machine.trips) == ("open", "slow", 4)
    assert (run.wait_ms, machine.opened_ms, machine.epoch) == (7000, START_MS, START_MS + 1)
    assert run.window == (0, 0, 0)


@pytest.mark.parametrize(("wait_ms", "until_ms"), [(5000, 9000), (9000, 9000), (20_000, 20_000)])
def test_i9_of_two_ends_the_later_is_kept(wait_ms: int, until_ms: int) -> None:
    """Open on both sides it is one opening, with the later end and the higher number of trips."""
    run = Run()
    run.machine.adopt(START_MS, 9000, 2, "failures")
    epoch, run.now_ms = run.machine.epoch, START_MS
    run.machine.adopt(START_MS, wait_ms, 1, "slow")
    assert (run.machine.until_ms, run.machine.epoch) == (START_MS + until_ms, epoch)
    assert run.machine.trips == 2
    assert run.machine.cause == ("slow" if wait_ms > 9000 else "failures")


@pytest.mark.parametrize("state", ["closed", "half_open"])
def test_a_last_millisecond_elsewhere_is_taken_over(state: BreakerState) -> None:
    """Open there for one more millisecond is open here for one."""
    run = Run()
    if state == "half_open":
        run.half_open()
    run.machine.adopt(run.now_ms, 1, 1, "failures")
    assert (run.state, run.wait_ms) == ("open", 1)


def test_half_open_here_and_open_there_is_open() -> None:
    """Nobody goes on probing what another process was told to leave alone."""
    run = Run()
    run.half_open()
    run.machine.adopt(run.now_ms, 3000, 1, "rate_limit")
    assert (run.state, run.wait_ms, run.machine.leases) == ("open", 3000, [])
    assert run.machine.opened_ms == run.now_ms


def test_half_open_only_the_trips_of_an_old_opening_are_taken() -> None:
    """There it is over: here it stays half-open, and waits longer if it fails again."""
    run = Run()
    permit = run.half_open()
    run.machine.adopt(run.now_ms, 0, 3, "failures")
    assert (run.state, run.machine.trips) == ("half_open", 3)
    run.give_back(permit, "fail")
    assert 72_000 <= run.wait_ms <= 80_000


def test_closed_an_old_opening_changes_nothing() -> None:
    """What is over there tells nothing to one that is closed here."""
    run = Run()
    run.machine.adopt(run.now_ms, 0, 3, "failures")
    assert run.machine == Breaker.begin(START_MS)


# Clocks


@pytest.mark.parametrize("back_ms", [1, 20_000, HOUR_MS, START_MS - 1])
def test_i17_set_back_it_is_open_no_longer_than_any_wait(back_ms: int) -> None:
    """Whoever asks is refused for 330 s at most, and is then let in."""
    run = Run()
    run.trip()
    run.now_ms -= back_ms
    waited_ms = 0
    while isinstance(refusal := run.ask(), Refusal):
        assert 0 < refusal.retry_in_ms <= LONGEST_HOLD_WAIT_MS
        run.now_ms += refusal.retry_in_ms
        waited_ms += refusal.retry_in_ms
    assert waited_ms <= min(LONGEST_HOLD_WAIT_MS, 10_000 + back_ms)


def test_i17_set_back_a_wait_counts_down_from_there() -> None:
    """Who asks again and again is not told the same for an hour."""
    run = Run()
    run.trip()
    run.now_ms -= HOUR_MS
    assert run.ask() == Refusal("open", LONGEST_HOLD_WAIT_MS)
    run.now_ms += 100_000
    assert run.ask() == Refusal("open", LONGEST_HOLD_WAIT_MS - 100_000)


def test_i17_a_longer_wait_of_the_rules_is_the_limit() -> None:
    """Where the rules wait for longer than any hold, that is what a wait is cut to."""
    rules = BreakerRules(open_ms=400_000, open_max_ms=500_000)
    run = Run(rules)
    run.trip()
    run.now_ms -= HOUR_MS
    assert run.wait_ms == 500_000
    run.rules = BreakerRules(open_ms=600_000, open_max_ms=1)
    assert run.wait_ms == 600_000


def test_i17_set_forward_it_is_tried_earlier() -> None:
    """An hour later by the clock the next who asks gets a permit, and nobody goes without."""
    run = Run()
    run.trip()
    run.now_ms += HOUR_MS
    assert isinstance(run.ask(), Permit)


def test_i17_set_back_no_permit_is_lent_for_hours() -> None:
    """Leases that would end in an hour are over."""
    run = Run(BreakerRules(open_ms=10_000, permits=1))
    run.half_open()
    run.now_ms -= HOUR_MS
    run.take_permit()
    assert run.machine.lost == 1


def test_no_lease_is_longer_than_a_quarter_of_an_hour() -> None:
    """Whatever an attempt may take, its permit comes back after 15 minutes."""
    run = Run(BreakerRules(open_ms=10_000, permits=1))
    run.trip()
    run.now_ms += run.wait_ms
    assert isinstance(run.ask(lease_ms=10**9), Permit)
    assert run.ask() == Refusal("half_open", LONGEST_LEASE_MS)
    run.now_ms += LONGEST_LEASE_MS
    assert isinstance(run.ask(), Permit)


def test_i17_set_back_a_little_it_counts_on() -> None:
    """Within a window of the newest bucket nothing is lost and nothing counted twice."""
    run = Run(now_ms=START_MS - START_MS % 3000)
    run.report("fail", "ok")
    run.now_ms -= 30_000
    run.report("fail", "ok")
    assert (len(run.machine.buckets), run.window) == (1, (4, 2, 0))


def test_i17_set_back_far_it_counts_anew() -> None:
    """What lies more than a window ahead is not of this window."""
    run = Run(now_ms=START_MS - START_MS % 3000)
    run.report("fail", "ok", "fail")
    run.now_ms -= 33_000
    assert run.window == (0, 0, 0)
    run.report("ok")
    assert (len(run.machine.buckets), run.window) == (1, (1, 0, 0))


def test_a_shorter_window_does_not_freeze_the_count() -> None:
    """After an edit of the window's length old buckets mean nothing, and new ones do."""
    run = Run(BreakerRules(window_ms=10_000))
    run.report("ok", "fail", "ok")
    run.rules = BreakerRules(window_ms=30_000)
    run.report("ok", "fail")
    assert run.window == (2, 1, 0)


def test_in_1970_it_works() -> None:
    """A machine without a clock that is set opens, waits and closes all the same."""
    run = Run(BreakerRules(permits=1), now_ms=5000)
    run.give_back(run.half_open(), "ok")
    assert run.state == "closed"


# Forgetting


def test_what_says_something_is_not_idle() -> None:
    """Calls within the window, a row of failures as old as it, and waits are not to be lost."""
    run = Run()
    run.report("ok")
    assert not run.machine.is_idle(run.now_ms, run.rules)
    run.now_ms += 31_000
    assert run.machine.is_idle(run.now_ms, run.rules)
    for results in (["fail"], ["fail", "ok"]):
        run.report(*results)  # type: ignore[arg-type]
        run.machine.buckets.clear()
        run.now_ms += 30_000
        assert not run.machine.is_idle(run.now_ms, run.rules)
        run.now_ms += 1
        assert run.machine.is_idle(run.now_ms, run.rules)


@pytest.mark.parametrize("rules", [RULES, BreakerRules(open_ms=400_000, window_ms=500_000)])
def test_an_open_one_that_nobody_asks_for_is_idle(rules: BreakerRules) -> None:
    """Its wait must be over for as long as the longest wait, and as the window."""
    run = Run(rules)
    run.trip()
    run.now_ms = run.machine.until_ms + max(330_000, rules.window_ms)
    assert not run.machine.is_idle(run.now_ms, run.rules)
    run.now_ms += 1
    assert run.machine.is_idle(run.now_ms, run.rules)
    permit = run.take_permit()
    assert not run.machine.is_idle(run.now_ms, run.rules)
    run.now_ms = run.machine.leases[0].expires_ms + max(330_000, rules.window_ms) + 1
    assert (run.state, run.machine.is_idle(run.now_ms, run.rules)) == ("half_open", True)
    assert permit.epoch == run.machine.epoch


def test_an_operators_word_is_never_idle() -> None:
    """Forced open and disabled are kept, however long nobody asks."""
    for command in ("open", "close"):
        run = Run()
        run.machine.command(command)
        assert not run.machine.is_idle(run.now_ms + 100 * HOUR_MS, run.rules)


# Lives


def test_random_failures_never_open_it() -> None:
    """Fifty thousand requests of which one in a hundred fails: closed at the end, and all along."""
    run, chance = Run(), random.Random(4)
    for _ in range(50_000):
        run.now_ms += chance.randrange(40)
        run.report("fail" if chance.random() < 0.01 else "ok")
        assert run.state == "closed"


def test_u38_flapping_costs_few_requests() -> None:
    """
    A provider that is up for 20 s and down for 20 s, asked 10 times a second for 20 minutes:
    each time it is down it costs no more than five failures and one probe for each wait.
    """
    run = Run()
    failed = changes = 0
    before = run.state
    for tick in range(12_000):
        run.now_ms += 100
        result: BreakerResult = "ok" if tick // 200 % 2 == 0 else "fail"
        answer = run.ask()
        if answer is None:
            run.report(result)
        elif isinstance(answer, Permit):
            run.give_back(answer, result)
        failed += result == "fail" and not isinstance(answer, Refusal)
        changes += run.state != before
        before = run.state
    assert failed <= 30 * 7
    assert changes <= 30 * 6


def test_a_dead_provider_costs_ever_fewer_requests() -> None:
    """Five failures, then one for each wait: a dozen in the first half hour."""
    run = Run(BreakerRules(open_ms=10_000))
    failed = 0
    for _ in range(1800):
        answer = run.ask()
        if answer is None:
            failed += 1
            run.report("fail")
        elif isinstance(answer, Permit):
            failed += 1
            run.give_back(answer, "fail")
        run.now_ms += 1000
    assert failed <= 16
