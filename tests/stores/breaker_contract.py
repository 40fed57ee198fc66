"""
The words of `BreakerStore` in `proxy/stores/base.py` as tests, the same for every store.

A test class for one implementation inherits from BreakerContract and has a fixture `ground`: a
store whose clock stands still until it is moved.
"""

from proxy.domain.breaker import (
    BreakerCause,
    BreakerChange,
    BreakerReport,
    BreakerResult,
    BreakerRules,
    Permit,
)
from proxy.stores.base import BreakerStore

ID = "acme/acme-1"
RULES = BreakerRules(window_ms=30_000, open_ms=10_000, open_max_ms=300_000)
LEASE_S = 65.0
FAIL: BreakerResult = "fail"


class Clock:
    """A clock that stands still until it is moved; all that go by it agree."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def read_s(self) -> float:
        """Return the time, as any clock here."""
        return self.now_s

    def read_now(self) -> str:
        """Return the time as Redis is told it."""
        return str(round(self.now_s * 1000))


class Ground:
    """A store, its clock, and what it has told of changes."""

    def __init__(self, store: BreakerStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.changes: list[BreakerChange] = []
        store.on_change = self.changes.append

    @property
    def told(self) -> list[tuple[str, str]]:
        """The states that were told of: before, after."""
        return [(change.before, change.after) for change in self.changes]

    async def settle(self) -> None:
        """Wait until what was reported is known to the store; where that is at once, no time."""

    async def report(
        self, *results: BreakerResult, hold_s: float = 0.0, cause: BreakerCause = ""
    ) -> None:
        """Report attempts that begin now and end now, one by one."""
        for result in results:
            epoch = self.store.look(ID).epoch
            self.store.report(ID, result, epoch=epoch, hold_s=hold_s, cause=cause)
            await self.settle()

    async def give_back(self, permit: Permit, result: BreakerResult) -> None:
        """Report how the attempt that holds a permit went."""
        self.store.report(ID, result, epoch=permit.epoch, token=permit.token)
        await self.settle()

    async def take_permit(self) -> Permit:
        """Ask for a permit, and get one."""
        answer = await self.store.acquire(ID, LEASE_S)
        assert isinstance(answer, Permit)
        return answer

    async def open(self) -> None:
        """Have it opened by failures."""
        await self.report(*[FAIL] * 5)
        assert self.store.look(ID).state == "open"

    async def read(self) -> BreakerReport:
        """Return all that is known."""
        (report,) = await self.store.read([ID])
        return report


class BreakerContract:
    """What every store of breakers promises."""

    async def test_what_was_never_heard_of_is_closed(self, ground: Ground) -> None:
        """An unknown id looks closed, may be called, and reads as closed with nothing counted."""
        assert ground.store.look(ID).state == "closed"
        answer = await ground.store.acquire(ID, LEASE_S)
        assert not isinstance(answer, Permit) and answer.state == "closed"
        assert await ground.read() == BreakerReport(ID, "closed", "", 0, None, 0.0, 0, 0, 0, 0, 0)

    async def test_failures_in_a_row_open_it(self, ground: Ground) -> None:
        """Four failures leave it closed, the fifth opens it for about its wait, and says so."""
        await ground.report(*[FAIL] * 4)
        assert (ground.store.look(ID).state, ground.store.look(ID).failures) == ("closed", 4)
        await ground.report("fail")
        view = ground.store.look(ID)
        assert (view.state, view.cause) == ("open", "failures")
        assert 9.0 <= view.retry_at_s - ground.clock.now_s <= 10.0
        assert ground.told == [("closed", "open")]
        assert ground.changes[0].id == ID
        assert 9.0 <= ground.changes[0].retry_in_s <= 10.0

    async def test_a_good_attempt_ends_the_row(self, ground: Ground) -> None:
        """Failures count in a row only: a good one between them begins it anew."""
        await ground.report(*[FAIL] * 4, "ok", *[FAIL] * 4)
        assert ground.store.look(ID).state == "closed"
        await ground.report("fail")
        assert ground.store.look(ID).state == "open"

    async def test_open_it_refuses_until_its_time_is_over(self, ground: Ground) -> None:
        """A moment before `retry_at_s` nobody gets a permit; after it the first asker does."""
        await ground.open()
        wait_s = ground.store.look(ID).retry_at_s - ground.clock.now_s
        ground.clock.now_s += wait_s - 0.01
        answer = await ground.store.acquire(ID, LEASE_S)
        assert not isinstance(answer, Permit) and answer.state == "open"
        ground.clock.now_s += 0.02
        assert ground.store.look(ID).state == "open"
        await ground.take_permit()
        assert ground.store.look(ID).state == "half_open"
        assert ground.told == [("closed", "open"), ("open", "half_open")]

    async def test_half_open_it_lends_three_permits(self, ground: Ground) -> None:
        """The fourth asker is refused until one of the three has come back."""
        await ground.open()
        ground.clock.now_s += 11
        permits = [await ground.take_permit() for _ in range(3)]
        assert len({permit.token for permit in permits}) == 3
        assert not isinstance(await ground.store.acquire(ID, LEASE_S), Permit)
        assert (await ground.read()).permits_in_use == 3
        await ground.give_back(permits[0], "neutral")
        await ground.take_permit()

    async def test_three_good_attempts_close_it(self, ground: Ground) -> None:
        """Closed again it has forgotten its trips and its failures."""
        await ground.open()
        ground.clock.now_s += 11
        for _ in range(3):
            await ground.give_back(await ground.take_permit(), "ok")
        view = ground.store.look(ID)
        assert (view.state, view.cause, view.failures) == ("closed", "", 0)
        assert ground.told[-1] == ("half_open", "closed")
        report = await ground.read()
        assert (report.trips, report.failure_count, report.retry_in_s) == (0, 0, 0)

    async def test_one_bad_attempt_opens_it_for_twice_as_long(self, ground: Ground) -> None:
        """A probe that fails doubles the wait, and the other permits are worth nothing more."""
        await ground.open()
        ground.clock.now_s += 11
        first, second = await ground.take_permit(), await ground.take_permit()
        await ground.give_back(first, "fail")
        assert ground.store.look(ID).state == "open"
        assert 18.0 <= ground.store.look(ID).retry_at_s - ground.clock.now_s <= 20.0
        await ground.give_back(second, "ok")
        assert ground.store.look(ID).state == "open"
        assert (await ground.read()).trips == 2

    async def test_without_its_permit_nothing_is_proven(self, ground: Ground) -> None:
        """Half-open, what nobody was permitted to try neither closes nor opens it."""
        await ground.open()
        ground.clock.now_s += 11
        permit = await ground.take_permit()
        results: list[BreakerResult] = ["ok", "ok", "ok", "fail"]
        for result in results:
            await ground.give_back(Permit(permit.epoch, "stranger"), result)
            await ground.report(result)
        assert ground.store.look(ID).state == "half_open"

    async def test_permits_of_holders_who_died_come_back(self, ground: Ground) -> None:
        """After their lease two lost permits are a failure: it opens, and may be tried again."""
        await ground.open()
        ground.clock.now_s += 11
        for _ in range(3):
            await ground.take_permit()
        ground.clock.now_s += LEASE_S + 0.001
        answer = await ground.store.acquire(ID, LEASE_S)
        assert not isinstance(answer, Permit) and answer.state == "open"
        ground.clock.now_s += 21
        await ground.take_permit()

    async def test_a_hold_is_no_failure(self, ground: Ground) -> None:
        """Asked to be left alone for 30 s it is, or a little longer; no trip is counted."""
        await ground.report("hold", hold_s=30, cause="rate_limit")
        view = ground.store.look(ID)
        assert (view.state, view.cause, view.failures) == ("open", "rate_limit", 0)
        assert 30.0 <= view.retry_at_s - ground.clock.now_s <= 33.0
        assert (await ground.read()).trips == 0

    async def test_the_longer_of_two_holds_wins(self, ground: Ground) -> None:
        """A shorter hold changes nothing, a longer one moves the end; both are one opening."""
        await ground.report("hold", hold_s=30, cause="rate_limit")
        until_s = ground.store.look(ID).retry_at_s
        await ground.report("hold", hold_s=5, cause="auth")
        assert ground.store.look(ID).retry_at_s == until_s
        await ground.report("hold", hold_s=100, cause="quota")
        assert 100.0 <= ground.store.look(ID).retry_at_s - ground.clock.now_s <= 110.0
        assert ground.store.look(ID).cause == "quota"
        assert ground.told == [("closed", "open")]

    async def test_what_began_in_another_epoch_does_not_count(self, ground: Ground) -> None:
        """Failures of attempts that began before it opened change nothing once it is closed."""
        await ground.open()
        ground.clock.now_s += 11
        for _ in range(3):
            await ground.give_back(await ground.take_permit(), "ok")
        for _ in range(9):
            ground.store.report(ID, "fail", epoch=1)
            await ground.settle()
        assert ground.store.look(ID).state == "closed"
        assert (await ground.read()).calls == 0

    async def test_an_operator_forces_disables_and_resets(self, ground: Ground) -> None:
        """Forced open nobody gets in, disabled nothing counts, reset it is like new."""
        shared = ground.store.is_shared
        assert await ground.store.command(ID, "open") is shared
        answer = await ground.store.acquire(ID, LEASE_S)
        assert not isinstance(answer, Permit) and answer.state == "forced_open"
        assert await ground.store.command(ID, "close") is shared
        answer = await ground.store.acquire(ID, LEASE_S)
        assert not isinstance(answer, Permit) and answer.state == "disabled"
        await ground.report(*[FAIL] * 9)
        assert ground.store.look(ID).state == "disabled"
        assert await ground.store.command(ID, "reset") is shared
        assert ground.store.look(ID).state == "closed"
        assert [after for _, after in ground.told] == ["forced_open", "disabled", "closed"]
        await ground.open()

    async def test_everything_can_be_read(self, ground: Ground) -> None:
        """Calls, failures, slow ones and the last failure's time are told, in the asked order."""
        await ground.report("ok", "slow", "fail", "fail", "broke")
        other, report = await ground.store.read(["acme/other", ID])
        assert (other.id, other.calls) == ("acme/other", 0)
        assert report.id == ID
        assert (report.calls, report.failed_calls, report.slow_calls) == (4, 3, 1)
        assert report.failure_count == 3
        assert report.last_failure_time == ground.clock.now_s

    async def test_the_window_forgets(self, ground: Ground) -> None:
        """Ten failures of twenty calls would open it, but not those of a window ago."""
        for _ in range(9):
            await ground.report("fail", "ok")
        ground.clock.now_s += 31
        await ground.report("ok", "fail", "ok", "fail")
        report = await ground.read()
        assert (report.state, report.calls, report.failed_calls) == ("closed", 4, 2)

    async def test_new_rules_hold_at_once(self, ground: Ground) -> None:
        """After an edit the next report is judged by the new rules."""
        await ground.report("fail", "fail")
        ground.store.rules = BreakerRules(consecutive=3, open_ms=1000)
        await ground.report("fail")
        assert ground.store.look(ID).state == "open"
        assert ground.store.look(ID).retry_at_s - ground.clock.now_s <= 1.0
        assert ground.store.rules_in_force == ground.store.rules
