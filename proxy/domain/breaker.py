"""What a circuit breaker is to the rest of the house: its rules, how it stands, how it changes."""

from typing import Literal

from msgspec import Struct

BreakerState = Literal["closed", "open", "half_open", "forced_open", "disabled"]
"""`forced_open` and `disabled` are an operator's: nothing but the operator ends them."""
BreakerResult = Literal["ok", "slow", "fail", "broke", "alive", "neutral", "hold"]
"""
How an attempt went, for its breaker.

`ok` and `slow` are told at the first content, `broke` when what was told `ok` fails after that.
`alive` is an attempt that went well where none should have gone, for lack of anybody better.
`neutral` proves nothing; `hold` asks to be left alone for a while, and is no failure.
"""
BreakerCause = Literal[
    "", "failures", "slow", "overloaded", "rate_limit", "quota", "auth", "misconfigured"
]
"""Why a breaker is not closed."""
BreakerCommand = Literal["reset", "open", "close"]
"""`open` forces it open, `close` disables it, `reset` closes it and forgets everything."""

HOST = "host"
KEY = "key"


class BreakerRules(Struct, frozen=True):
    """
    When a breaker opens, and for how long; percentages are whole numbers.

    It opens after `consecutive` failures in a row, or once `min_calls` of the last `window_ms`
    have failed by `failure_percent` or were slow by `slow_percent`. The first time it stays open
    for `open_ms`, then for twice as long each time, up to `open_max_ms`. Then `permits` attempts
    may prove at a time that it may close again.
    """

    consecutive: int = 5
    min_calls: int = 20
    failure_percent: int = 50
    slow_percent: int = 80
    window_ms: int = 30_000
    open_ms: int = 60_000
    open_max_ms: int = 300_000
    permits: int = 3


class BreakerView(Struct, frozen=True):
    """
    How a breaker stands as far as this process knows, good enough to route by.

    `retry_at_s` is of the monotonic clock: from then on an open one may be tried.
    """

    state: BreakerState = "closed"
    epoch: int = 0
    """Grows with every change of state; 0: none is known yet."""
    retry_at_s: float = 0.0
    cause: BreakerCause = ""
    failures: int = 0
    """In a row."""


CLOSED = BreakerView()


class Permit(Struct, frozen=True):
    """The right to one attempt at a deployment whose breaker is half-open."""

    epoch: int
    token: str


class BreakerReport(Struct, frozen=True):
    """Everything that is told about one breaker to those who ask; times are epoch seconds."""

    id: str
    state: BreakerState
    cause: BreakerCause
    failure_count: int
    """In a row."""
    last_failure_time: float | None
    retry_in_s: float
    """Until it may be tried again; 0 where it may be now."""
    trips: int
    """How often in a row it has opened; each doubles the wait."""
    calls: int
    """Within the window."""
    failed_calls: int
    slow_calls: int
    permits_in_use: int


class BreakerChange(Struct, frozen=True):
    """A breaker has changed its state."""

    id: str
    before: BreakerState
    after: BreakerState
    cause: BreakerCause
    retry_in_s: float


def name_key_breaker(provider: str) -> str:
    """Return the id of what holds a provider's key."""
    return f"{KEY}:{provider}"


def name_host_breaker(provider: str) -> str:
    """Return the id of the breaker of a provider's host, which all its deployments share."""
    return f"{HOST}:{provider}"
