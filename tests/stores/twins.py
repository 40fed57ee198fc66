"""
The machine and its twin: `policy/breaker.py` and `breaker.lua`, told the same at the same time.

Each call on `Twins` is one step of both, after which all that they hold must be the same.
"""

from typing import cast

import msgspec
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from proxy.domain.breaker import BreakerCause, BreakerCommand, BreakerResult, BreakerRules, Permit
from proxy.policy.breaker import (
    BUCKETS,
    LONGEST_HOLD_WAIT_MS,
    LONGEST_LEASE_MS,
    Breaker,
    Bucket,
    Lease,
    Refusal,
)
from proxy.stores.breaker_messages import (
    BREAKER_SCRIPT,
    INDEX_KEY,
    ORDER_KEY,
    PREFIX,
    Entry,
    ReportRun,
    Stand,
    build_args,
    build_keys,
    encode_rules,
    name_field,
    read_stand,
)

ID = "acme/acme-1"
KEY = PREFIX + name_field(ID)
RULES = (
    BreakerRules(),
    BreakerRules(consecutive=3, min_calls=5, permits=1),
    BreakerRules(
        consecutive=50,
        min_calls=4,
        failure_percent=34,
        slow_percent=67,
        window_ms=7001,
        open_ms=777,
        open_max_ms=5003,
        permits=2,
    ),
    BreakerRules(consecutive=1, open_ms=400_000, open_max_ms=1, permits=5),
    BreakerRules(consecutive=2, open_ms=100, open_max_ms=10**9),
)
RESULTS: tuple[BreakerResult, ...] = (
    "ok",
    "slow",
    "fail",
    "broke",
    "alive",
    "neutral",
    "hold",
)
HOLD_CAUSES: tuple[BreakerCause, ...] = ("rate_limit", "quota", "auth", "misconfigured")
COMMANDS: tuple[BreakerCommand, ...] = ("reset", "reset", "open", "close")
START_MS = 1_790_000_000_000


class TwinsDiffer(AssertionError):
    """The two hold different things after the same step."""


class Twins:
    """One breaker, held by both; time stands still until it is moved."""

    def __init__(self, client: redis.Redis, now_ms: int, rules: BreakerRules) -> None:
        client.delete(KEY, INDEX_KEY, ORDER_KEY)
        self._client = client
        self.now_ms = now_ms
        self.rules = rules
        self.machine: Breaker | None = None
        self.tokens: list[Permit] = []
        self.steps = 0

    @property
    def held(self) -> Breaker:
        """The machine, or one that begins now."""
        return self.machine or Breaker.begin(self.now_ms)

    def put(self, machine: Breaker) -> None:
        """Put both into some state, wherever they were."""
        self.machine = machine
        self.tokens = [Permit(machine.epoch, lease.token) for lease in machine.leases]
        self._client.delete(INDEX_KEY, ORDER_KEY)
        self._client.set(KEY, msgspec.msgpack.encode(machine))

    def acquire(self, lease_ms: int) -> None:
        """Ask both for a permit; both give one, or say the same why not."""
        token = f"t{self.steps}"
        expected = self._begin().acquire(self.now_ms, self.rules, token, lease_ms)
        stand = self._step("acquire", token, lease_ms)
        match expected:
            case Permit():
                self.tokens.append(expected)
                self._agree((stand.answer, stand.retry_in_ms), (1, 0))
            case Refusal():
                self._agree((stand.answer, stand.retry_in_ms), (0, expected.retry_in_ms))
            case None:
                self._agree((stand.answer, stand.retry_in_ms), (0, 0))

    def report(self, *runs: ReportRun) -> None:
        """Tell both how attempts went; the same number of them counts."""
        machine, counted = self._begin(), 0
        for run in runs:
            for _ in range(run.count):
                counted += machine.report(
                    self.now_ms,
                    self.rules,
                    run.epoch,
                    run.token,
                    run.result,
                    run.hold_ms,
                    run.cause,
                )
        self._agree(self._step("report", *runs).answer, counted)

    def command(self, command: BreakerCommand) -> None:
        """Tell both what an operator says."""
        self._begin().command(command)
        self._step("command", command)

    def adopt(self, wait_ms: int, trips: int, cause: BreakerCause) -> None:
        """Tell both what another process knew."""
        self._begin().adopt(self.now_ms, wait_ms, trips, cause)
        self._step("adopt", wait_ms, trips, cause)

    def _begin(self) -> Breaker:
        self.machine = self.held
        return self.machine

    def _step(self, operation: str, *with_what: object) -> Stand:
        args = build_args(operation, ID, encode_rules(self.rules), *with_what, now=str(self.now_ms))
        keys = build_keys(ID)
        try:
            reply = self._client.evalsha(BREAKER_SCRIPT.sha1, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            reply = self._client.eval(BREAKER_SCRIPT.source, len(keys), *keys, *args)
        self.steps += 1
        stand = read_stand(reply)
        self._compare(stand)
        return stand

    def _compare(self, stand: Stand) -> None:
        machine = self.held
        value = cast(bytes | None, self._client.get(KEY))
        if value is None:
            # Nothing has happened to it yet: Redis keeps none, and begins one each time.
            self._agree(machine, Breaker.begin(machine.born))
            self.machine = None
        else:
            self._agree(msgspec.msgpack.decode(value, type=Breaker), machine)
        is_plain = machine.state == "closed" and machine.epoch == machine.born
        epoch = 0 if is_plain else machine.epoch
        wait_ms = machine.wait_ms(self.now_ms, self.rules)
        told = (machine.cause, machine.failures, machine.trips)
        self._agree(
            (stand.state, stand.epoch, stand.wait_ms, stand.cause, stand.failures, stand.trips),
            (machine.state, epoch, wait_ms, *told),
        )
        entry = cast(bytes | None, self._client.hget(INDEX_KEY, name_field(ID)))
        expected = None if is_plain else Entry(ID, machine.state, epoch, machine.until_ms, *told)
        self._agree(None if entry is None else msgspec.msgpack.decode(entry, type=Entry), expected)

    def _agree(self, twin: object, machine: object) -> None:
        if twin != machine:
            raise TwinsDiffer(f"step {self.steps}: in Redis {twin}, in Python {machine}")


@st.composite
def states(draw: st.DrawFn, now_ms: int, rules: BreakerRules) -> Breaker:
    """Return a machine in any state at all, near to where something happens next."""
    near = st.sampled_from((-1, 0, 1, 1000, 65_000, LONGEST_HOLD_WAIT_MS, LONGEST_HOLD_WAIT_MS + 1))
    lease_end = st.sampled_from((-1, 0, 1, 2, 999, LONGEST_LEASE_MS, LONGEST_LEASE_MS + 1))
    few = st.sampled_from((0, 0, 1, 2, 3, 4, 5, 10, 11, 12))
    newest = now_ms * BUCKETS // rules.window_ms
    buckets = [
        Bucket(
            newest + offset,
            calls=draw(st.sampled_from((0, 1, 2, 3, 5, 19, 20, 50))),
            failed=draw(st.sampled_from((0, 0, 0, 1, 2, 9, 10, 16))),
            slow=draw(st.sampled_from((0, 0, 0, 1, 3, 15, 16, 39))),
        )
        for offset in sorted(
            draw(st.sets(st.sampled_from((-10, -9, -1, 0, 1, 10, 11)), max_size=3))
        )
        if newest + offset >= 0
    ]
    if draw(st.integers(0, 3)) == 0:
        # One more is exactly the share that opens it.
        buckets = [Bucket(newest, calls=19, failed=9, slow=15)]
    leases = [
        Lease(f"p{place}", max(0, now_ms + draw(lease_end)))
        for place in range(draw(st.integers(0, 3)))
    ]
    born = max(1, now_ms - 1000)
    return Breaker(
        epoch=born + draw(few),
        born=born,
        state=draw(st.sampled_from(("closed", "closed", "open", "half_open", "half_open"))),
        cause=draw(st.sampled_from(("", "failures", "slow", "quota"))),
        opened_ms=max(0, now_ms - 500),
        until_ms=max(0, now_ms + draw(near)),
        trips=draw(few),
        holds=draw(few),
        failures=draw(few),
        failures_before=draw(few),
        proven=draw(st.integers(0, 3)),
        lost=draw(st.integers(0, 1)),
        last_failure_ms=draw(st.sampled_from((0, 7))),
        buckets=buckets,
        leases=leases,
    )


def build_state_machine(
    client: redis.Redis, counted: list[int] | None = None
) -> type[RuleBasedStateMachine]:
    """Return the steps that hypothesis may take, in any order; `counted` gets their numbers."""

    class Steps(RuleBasedStateMachine):
        twins: Twins

        @initialize(now_ms=st.sampled_from((START_MS, 1, 86_400_000)), rules=st.sampled_from(RULES))
        def begin(self, now_ms: int, rules: BreakerRules) -> None:
            self.twins = Twins(client, now_ms, rules)

        @rule(data=st.data())
        def begin_anywhere(self, data: st.DataObject) -> None:
            self.twins.put(data.draw(states(self.twins.now_ms, self.twins.rules)))

        @rule(data=st.data())
        def begin_anywhere_and_report(self, data: st.DataObject) -> None:
            self.begin_anywhere(data)
            result = data.draw(st.sampled_from(RESULTS))
            tokens = self.twins.tokens
            has_permit: bool = data.draw(st.booleans())
            if tokens and has_permit:
                permit = data.draw(st.sampled_from(tokens))
                self.twins.report(ReportRun(result, permit.epoch, permit.token, 0, "quota"))
                self.twins.report(ReportRun("broke", permit.epoch, permit.token, 0, "quota"))
            else:
                hold_ms = data.draw(st.sampled_from((0, 1000, 60_000)))
                self.twins.report(ReportRun(result, self.twins.held.epoch, "", hold_ms, "auth"))
                self.twins.report(ReportRun("broke", self.twins.held.epoch, "", 0, ""))

        @rule(data=st.data(), lease_ms=st.sampled_from((1, 65_000, 10_000_000)))
        def begin_anywhere_and_acquire(self, data: st.DataObject, lease_ms: int) -> None:
            self.begin_anywhere(data)
            self.twins.acquire(lease_ms)
            self.twins.acquire(lease_ms)

        @rule(step_ms=st.one_of(st.integers(0, 50), st.integers(0, 400_000)))
        def go_on(self, step_ms: int) -> None:
            self.twins.now_ms += step_ms

        @rule(off_by_ms=st.integers(-1, 1))
        def wait_until_it_may_be_tried(self, off_by_ms: int) -> None:
            twins = self.twins
            wait_ms = twins.held.wait_ms(twins.now_ms, twins.rules)
            twins.now_ms = max(1, twins.now_ms + wait_ms + off_by_ms)

        @rule(off_by_ms=st.integers(-1, 1))
        def wait_until_a_lease_is_over(self, off_by_ms: int) -> None:
            for lease in self.twins.held.leases[:1]:
                self.twins.now_ms = max(1, lease.expires_ms + off_by_ms)

        @rule(back_ms=st.sampled_from((1, 500, 20_000, 3_600_000)))
        def set_the_clock_back(self, back_ms: int) -> None:
            self.twins.now_ms = max(1, self.twins.now_ms - back_ms)

        @rule(rules=st.sampled_from(RULES))
        def edit_the_rules(self, rules: BreakerRules) -> None:
            self.twins.rules = rules

        @rule(lease_ms=st.sampled_from((1, 5000, 65_000, 10_000_000)))
        def acquire(self, lease_ms: int) -> None:
            self.twins.acquire(lease_ms)

        @rule(
            result=st.sampled_from(RESULTS),
            count=st.integers(1, 6),
            hold_ms=st.sampled_from((0, 0, 1, 1500, 60_000, 10**9)),
            cause=st.sampled_from(HOLD_CAUSES),
            epoch=st.sampled_from(("now", "now", "none", "old")),
        )
        def report(
            self, result: BreakerResult, count: int, hold_ms: int, cause: BreakerCause, epoch: str
        ) -> None:
            present = self.twins.held.epoch
            told = {"now": present, "none": 0, "old": present - 1}[epoch]
            self.twins.report(ReportRun(result, told, "", hold_ms, cause, count))

        @rule(result=st.sampled_from(RESULTS), which=st.integers(0, 3), is_kept=st.booleans())
        def report_with_a_permit(self, result: BreakerResult, which: int, is_kept: bool) -> None:
            tokens = self.twins.tokens
            if which < len(tokens):
                permit = tokens[-1 - which] if is_kept else tokens.pop(-1 - which)
                self.twins.report(ReportRun(result, permit.epoch, permit.token, 0, "rate_limit"))

        @rule(data=st.data())
        def report_many(self, data: st.DataObject) -> None:
            epoch = self.twins.held.epoch
            results = data.draw(st.lists(st.sampled_from(RESULTS), min_size=2, max_size=5))
            self.twins.report(*(ReportRun(each, epoch, "", 0, "quota", 2) for each in results))

        @rule(command=st.sampled_from(COMMANDS))
        def command(self, command: BreakerCommand) -> None:
            self.twins.command(command)

        @rule(
            wait_ms=st.sampled_from((0, 1, 9000, 10**9)),
            trips=st.integers(0, 12),
            cause=st.sampled_from(("failures", "slow", "auth")),
        )
        def adopt(self, wait_ms: int, trips: int, cause: BreakerCause) -> None:
            self.twins.adopt(wait_ms, trips, cause)

        def teardown(self) -> None:
            if counted is not None and hasattr(self, "twins"):
                counted.append(self.twins.steps)

    return Steps


def build_settings(examples: int, *, derandomize: bool) -> settings:
    """Return how often and for how long hypothesis walks."""
    return settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
