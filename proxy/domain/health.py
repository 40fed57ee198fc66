"""What the health worker believes of providers, and for how long that may be believed."""

from typing import Literal

from msgspec import Struct

HealthState = Literal[
    "healthy", "degraded", "unhealthy", "unknown", "key_rejected", "rate_limited", "warming"
]
"""
`healthy`: it answers. `degraded`: it answers, slowly. `unhealthy`: it does not, or with errors.
`key_rejected`: it answers, and refuses our key. `rate_limited`: it answers that we ask too often.
`warming`: a local server that loads its model. `unknown`: nobody has asked lately.
"""
HealthOrder = Literal["check", "discover", "clear"]
"""What can be asked of a health worker: probe now, search for providers now, forget verdicts."""


class HealthVerdict(Struct, frozen=True):
    """
    What the health worker believes of one provider.

    Times are epoch seconds of the health worker's clock, fit to be shown and not to decide by.
    `lives_s` is how long it may be believed from the moment that it is told: after that the
    provider is `unknown` again. `address` is the provider's `base_url` that was asked: of a
    provider by the same name elsewhere it says nothing. `since_at` is when `state` began.
    """

    provider: str
    address: str
    state: HealthState
    reason: str
    since_at: float
    checked_at: float
    lives_s: float
    response_time_s: float | None = None
    """From the request to the end of the answer; None: there was none."""
    models: tuple[str, ...] = ()
    """Those that it listed, in its order."""


class ProbeReading(Struct, frozen=True):
    """What one answer to a probe says, by itself: the state that it speaks for, and why."""

    state: HealthState
    reason: str
    models: tuple[str, ...] = ()


class WatchedEndpoint(Struct, frozen=True):
    """
    One entry of `health_worker_providers.json`.

    `providers` are the names of the configuration's that it speaks for; with none of them it is
    watched and never routed to.
    """

    name: str
    base_url: str
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


class HealthNews(Struct, frozen=True):
    """
    What a health worker tells: verdicts that are new, and that it lives.

    `(fence, number)` grows with everything that is told: what comes with a smaller one than was
    heard before is from a worker that has lost its lease, and counts for nothing.
    """

    fence: int
    number: int
    verdicts: tuple[HealthVerdict, ...] = ()
    lives_s: float = 0.0
    """So long the health worker counts as alive from the moment that this is told."""
    is_suspect: bool = False
    """It sees most providers fail at once, doubts itself, and tells no verdicts meanwhile."""
    is_cleared: bool = False
    """Whatever was told before is forgotten."""
    answered: tuple[str, ...] = ()
    """The ids of orders that were carried out before this."""


class HealthSettings(Struct, frozen=True):
    """How providers are checked; in seconds, unless a name says otherwise."""

    interval_s: float = 60.0
    """Between two checks of a provider that runs elsewhere."""
    local_interval_s: float = 10.0
    """The same of a server on a machine of one's own; never more than `interval_s`."""
    transition_interval_s: float = 2.0
    """Between two checks while it is not clear yet how a provider stands."""
    cache_ttl_s: float = 30.0
    """How old what `/status` says may be before a check is due at once."""
    timeout_s: float = 5.0
    """For one check, from the first packet to the end of the answer."""


ProbeKind = Literal["free", "completion", "off"]


class ProbeSettings(Struct, frozen=True, gc=False):
    """How one provider is checked."""

    kind: ProbeKind = "free"
    """`free` costs no tokens; `completion` asks a model for one token; `off` is never asked."""
    path: str | None = None
    """Asked instead of its type's own path; with a leading slash, behind `base_url`."""
    max_usd_micros_per_day: int = 0
    """What checks by completions may cost in 24 hours, at the prices of `model_info`."""
