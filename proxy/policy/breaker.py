"""
The circuit breaker: one machine, and time is an argument.

    closed ── failures, slow calls, holds ──> open ── its time is over ──> half-open
      ^                                        ^                            │     │
      └───────── `permits` good attempts ──────┼────────────────────────────┘     │
                                               └──── one bad attempt, a hold ─────┘

`stores/memory_breakers.py` keeps machines in one process. `stores/breaker.lua` is the same
machine inside of Redis; `tests/stores/test_breaker_twins.py` holds the two to each other.
"""

from msgspec import Struct, field

from proxy.domain.breaker import (
    BreakerCause,
    BreakerCommand,
    BreakerResult,
    BreakerRules,
    BreakerState,
    Permit,
)

BUCKETS = 10
LOST_LEASES_MAX = 2
"""So many permits in a row whose holders never came back are a failure."""
FIRST_HOLD_MS = 1000
LONGEST_HOLD_MS = 300_000
LONGEST_HOLD_WAIT_MS = 330_000
"""The longest hold, and what is added to it so that not all come back at once."""
LONGEST_LEASE_MS = 900_000
"""No permit is out for longer; a clock that was set back must not lend one for hours."""
MAX_DOUBLINGS = 10
OUR_OWN_CAUSES = ("failures", "slow", "auth", "misconfigured")
"""What we have concluded; for all else a provider has said how long it wants to be left alone."""


class Lease(Struct, array_like=True):
    """A permit that is out, until its time is over."""

    token: str
    expires_ms: int


class Bucket(Struct, array_like=True):
    """A tenth of the window: how many calls there were, and how many of them were bad."""

    number: int
    """Of the tenth, counted from the clock's zero."""
    calls: int = 0
    failed: int = 0
    slow: int = 0


class Refusal(Struct, frozen=True):
    """No attempt now: why, and in how many milliseconds it is worth asking again."""

    state: BreakerState
    retry_in_ms: int


class Breaker(Struct, array_like=True):
    """
    One breaker; every method takes the time, in milliseconds of a clock that all its users share.

    An attempt asks `acquire`, and tells `report` how it went, with the epoch that it began in.
    What began in an epoch that is over changes nothing, but for a hold: when a provider says
    until when it wants to be left alone, it does not matter when it was asked.

    Encoded it is an array of its fields in their order, which is what Redis keeps.

    Source: reliability.md §4.2, amended by design.md ("Breaker"); docs/routing.md tells it to
    operators. tests/policy/test_breaker.py walks every transition.
    """

    epoch: int
    """Of the present state; the first one is the time at which the machine began."""
    born: int = 0
    """The first epoch."""
    state: BreakerState = "closed"
    cause: BreakerCause = ""
    opened_ms: int = 0
    until_ms: int = 0
    trips: int = 0
    """Openings in a row by failures; each doubles the wait."""
    holds: int = 0
    """Holds in a row that did not say how long; each doubles the wait."""
    failures: int = 0
    """In a row."""
    failures_before: int = 0
    """What `failures` was when the last good attempt ended it: that one may still break."""
    proven: int = 0
    """Good attempts since it is half-open."""
    lost: int = 0
    """Permits in a row whose holder never came back."""
    last_failure_ms: int = 0
    buckets: list[Bucket] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)

    @classmethod
    def begin(cls, now_ms: int) -> "Breaker":
        """Return a closed one that knows nothing."""
        return cls(epoch=now_ms, born=now_ms)

    def acquire(
        self, now_ms: int, rules: BreakerRules, token: str, lease_ms: int
    ) -> Permit | Refusal | None:
        """
        Ask for one attempt.

        Args:
            now_ms: the time.
            rules: those in force now.
            token: names this attempt; no other has the same.
            lease_ms: how long the attempt may take at most until it tells how it went.

        Returns:
            None: closed, go on. A Permit: half-open, go on and report with it. A Refusal: ask
            somebody else.

        Raises:
            Nothing.
        """
        if self.state in ("closed", "disabled"):
            return None
        if self.state == "forced_open":
            return Refusal("forced_open", 0)
        if self.state == "open":
            wait_ms = self.wait_ms(now_ms, rules)
            if wait_ms > 0:
                # The same as before, unless the clock was set back: then it counts down from here.
                self.until_ms = now_ms + wait_ms
                return Refusal("open", wait_ms)
            self._move("half_open")
        self._expire_leases(now_ms, rules)
        if self.state == "open":
            return Refusal("open", self.wait_ms(now_ms, rules))
        # With nobody under way one may always go: fewer permits than are proven by now, after an
        # edit of the rules, must not close the door for good.
        if self.leases and len(self.leases) + self.proven >= rules.permits:
            soonest_ms = min(lease.expires_ms for lease in self.leases)
            return Refusal("half_open", soonest_ms - now_ms)
        self.leases.append(Lease(token, now_ms + min(lease_ms, LONGEST_LEASE_MS)))
        return Permit(self.epoch, token)

    def report(
        self,
        now_ms: int,
        rules: BreakerRules,
        epoch: int,
        token: str,
        result: BreakerResult,
        hold_ms: int = 0,
        cause: BreakerCause = "",
    ) -> bool:
        """
        Take note of how an attempt went.

        Args:
            now_ms: the time.
            rules: those in force now.
            epoch: of the permit, or what the breaker's was when the attempt began; 0 where
                that was not known: it counts as long as the first epoch lasts.
            token: of the permit, "" without one.
            result: how it went.
            hold_ms: with `hold`, how long; 0 leaves it to the machine, which doubles its own.
            cause: with `hold`, why.

        Returns:
            Whether it counted.

        Raises:
            Nothing.
        """
        if self.state in ("forced_open", "disabled"):
            return False
        if result == "hold":
            self._hold(now_ms, rules, hold_ms, cause)
            return True
        if result == "alive":
            # It need not wait for its time any more, unless the provider itself has set that.
            is_ours = self.state == "open" and self.cause in OUR_OWN_CAUSES
            if is_ours:
                self._move("half_open")
            return is_ours
        if self.state == "closed" and not token:
            if epoch != self.epoch and (epoch or self.epoch != self.born):
                return False
            self._count(now_ms, rules, result)
            return True
        if self.state == "half_open" and epoch == self.epoch:
            return self._judge_probe(now_ms, rules, token, result)
        return False

    def command(self, command: BreakerCommand) -> None:
        """Do what an operator says; whatever was known before is forgotten."""
        states: dict[BreakerCommand, BreakerState] = {
            "open": "forced_open",
            "close": "disabled",
            "reset": "closed",
        }
        self._move(states[command])
        self.cause = ""
        self.until_ms = self.opened_ms = self.trips = self.holds = 0
        self.failures = self.failures_before = self.last_failure_ms = 0
        self.buckets.clear()

    def adopt(self, now_ms: int, wait_ms: int, trips: int, cause: BreakerCause) -> None:
        """
        Take over what another process knew while it was on its own.

        It was open there for `wait_ms` more: of two waits the longer is kept, of two numbers of
        trips the higher. What is over there changes nothing for one that is closed here.
        """
        if self.state in ("forced_open", "disabled"):
            return
        if self.state == "closed" and wait_ms <= 0:
            return
        self.trips = max(self.trips, trips)
        if wait_ms <= 0 or (self.state == "open" and self.until_ms >= now_ms + wait_ms):
            return
        if self.state != "open":
            self._move("open")
            self.opened_ms = now_ms
            self.buckets.clear()
        self.until_ms, self.cause = now_ms + wait_ms, cause

    def wait_ms(self, now_ms: int, rules: BreakerRules) -> int:
        """
        Return how long an open breaker is still to be left alone; 0 where it is not.

        Never longer than any wait can be: a clock that was set back does not hold it open.
        """
        if self.state != "open":
            return 0
        longest_ms = max(rules.open_ms, rules.open_max_ms, LONGEST_HOLD_WAIT_MS)
        return min(max(0, self.until_ms - now_ms), longest_ms)

    def sum_window(self, now_ms: int, rules: BreakerRules) -> tuple[int, int, int]:
        """Return calls, failed calls and slow calls of the window that ends now."""
        newest = now_ms * BUCKETS // rules.window_ms
        calls = failed = slow = 0
        for bucket in self.buckets:
            if newest - BUCKETS < bucket.number <= newest + BUCKETS:
                calls += bucket.calls
                failed += bucket.failed
                slow += bucket.slow
        return calls, failed, slow

    def is_idle(self, now_ms: int, rules: BreakerRules) -> bool:
        """
        Return whether nothing that matters is lost with it: at most a row of failures that ended
        a window ago, or the trips of one whose wait is over for as long as any wait can be.
        """
        if self.state == "closed":
            has_row = self.failures or self.failures_before
            is_old = not has_row or now_ms - self.last_failure_ms > rules.window_ms
            return is_old and not any(self.sum_window(now_ms, rules))
        longest_ms = max(rules.window_ms, rules.open_ms, rules.open_max_ms, LONGEST_HOLD_WAIT_MS)
        over_ms = now_ms - max([self.until_ms, *(lease.expires_ms for lease in self.leases)])
        return over_ms > longest_ms and self.state in ("open", "half_open")

    def _count(self, now_ms: int, rules: BreakerRules, result: BreakerResult) -> None:
        """Count an attempt while closed, and open if that was one too many."""
        if result == "neutral":
            return
        bucket = self._find_bucket(now_ms, rules)
        if result == "broke":
            # It was counted as a good one, which had ended the row that it now goes on with.
            bucket.failed += 1
            self._note_failure(now_ms, max(self.failures, self.failures_before) + 1)
        elif result == "fail":
            bucket.calls += 1
            bucket.failed += 1
            self._note_failure(now_ms, self.failures + 1)
        else:
            bucket.calls += 1
            self.failures_before, self.failures = self.failures, 0
            if result == "slow":
                bucket.slow += 1
        if result == "ok":
            return
        calls, failed, slow = self.sum_window(now_ms, rules)
        is_full = calls >= rules.min_calls
        if self.failures >= rules.consecutive or (
            is_full and failed * 100 >= rules.failure_percent * calls
        ):
            self._trip(now_ms, rules, "failures")
        elif is_full and slow * 100 >= rules.slow_percent * calls:
            self._trip(now_ms, rules, "slow")

    def _judge_probe(
        self, now_ms: int, rules: BreakerRules, token: str, result: BreakerResult
    ) -> bool:
        """Take the result of an attempt that holds a permit; without one nothing is proven."""
        self._expire_leases(now_ms, rules)
        held = [lease for lease in self.leases if lease.token == token]
        if self.state != "half_open":
            return False
        if not held:
            if not (result == "broke" and token and self.proven):
                return False
            # It has given its permit back as a good one, and was none.
            self._note_failure(now_ms, self.failures + 1)
            self._trip(now_ms, rules, "failures")
            return True
        self.leases.remove(held[0])
        self.lost = 0
        if result == "ok":
            self.proven += 1
            if self.proven >= rules.permits:
                self._move("closed")
                self.cause = ""
                self.until_ms = self.opened_ms = self.trips = self.holds = 0
                self.failures = self.failures_before = 0
                self.buckets.clear()
        elif result != "neutral":
            if result != "slow":
                self._note_failure(now_ms, self.failures + 1)
            self._trip(now_ms, rules, "slow" if result == "slow" else "failures")
        return True

    def _expire_leases(self, now_ms: int, rules: BreakerRules) -> None:
        longest_ms = now_ms + LONGEST_LEASE_MS
        kept = [lease for lease in self.leases if now_ms < lease.expires_ms <= longest_ms]
        self.lost += len(self.leases) - len(kept)
        self.leases = kept
        if self.lost >= LOST_LEASES_MAX:
            self._note_failure(now_ms, self.failures + 1)
            self._trip(now_ms, rules, "failures")

    def _hold(self, now_ms: int, rules: BreakerRules, hold_ms: int, cause: BreakerCause) -> None:
        """Be left alone for a while; of two waits the longer is kept, none is shortened."""
        is_open = self.state == "open"
        if hold_ms <= 0:
            # Those who were under way when it opened tell nothing new.
            self.holds = max(1, self.holds) if is_open else self.holds + 1
            hold_ms = FIRST_HOLD_MS << min(self.holds - 1, MAX_DOUBLINGS)
        hold_ms = min(hold_ms, LONGEST_HOLD_MS)
        # Later by up to a tenth: not all of those who wait come back at once.
        wait_ms = hold_ms + hold_ms * self._draw(now_ms) // 10_000
        if is_open:
            if now_ms + wait_ms > self.until_ms:
                self.until_ms, self.cause = now_ms + wait_ms, cause
            return
        if self.state == "half_open" and self.trips:
            wait_ms = max(wait_ms, self._back_off_ms(now_ms, rules))
        self._open(now_ms, wait_ms, cause)

    def _trip(self, now_ms: int, rules: BreakerRules, cause: BreakerCause) -> None:
        self.trips += 1
        self._open(now_ms, self._back_off_ms(now_ms, rules), cause)

    def _back_off_ms(self, now_ms: int, rules: BreakerRules) -> int:
        """Return the wait of the present number of trips; up to a tenth shorter, never longer."""
        doublings = min(self.trips - 1, MAX_DOUBLINGS)
        wait_ms = min(max(rules.open_ms, rules.open_max_ms), rules.open_ms << doublings)
        return wait_ms - wait_ms * self._draw(now_ms) // 10_000

    def _open(self, now_ms: int, wait_ms: int, cause: BreakerCause) -> None:
        self._move("open")
        self.cause = cause
        self.opened_ms = now_ms
        self.until_ms = now_ms + wait_ms
        self.buckets.clear()

    def _move(self, state: BreakerState) -> None:
        self.state = state
        self.epoch += 1
        self.proven = self.lost = 0
        self.leases.clear()

    def _note_failure(self, now_ms: int, failures: int) -> None:
        self.failures = failures
        self.failures_before = 0
        self.last_failure_ms = now_ms

    def _draw(self, now_ms: int) -> int:
        """
        Return a number from 0 to 999 that looks random, and is the same in every language.

        A store's clock is the only source of chance that the two machines share.
        """
        return (now_ms % 1_000_000 * 7919 + self.epoch % 1_000_000 * 104_729) % 1000

    def _find_bucket(self, now_ms: int, rules: BreakerRules) -> Bucket:
        number = now_ms * BUCKETS // rules.window_ms
        buckets = self.buckets
        if buckets and buckets[-1].number > number + BUCKETS:
            # The clock was set back by more than the window, or the window is another one now.
            buckets.clear()
        # A clock that was set back by less counts on in the newest one.
        if buckets and buckets[-1].number >= number:
            return buckets[-1]
        bucket = Bucket(number)
        buckets.append(bucket)
        if len(buckets) > BUCKETS:
            del buckets[0]
        return bucket
