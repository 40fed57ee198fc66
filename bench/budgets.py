"""
What the proxy's figures should be, per core, with everything switched on.

The limits are absolute. They were set on one machine, whose pass-through figures are kept here as
well, so that a limit can be carried over to a faster or slower machine.
"""

from collections.abc import Mapping

from msgspec import Struct

from bench.figures import FIGURES, Figure

STAGES = ("ship limit", "must", "with own client", "aim")

REFERENCE_BARE: Mapping[str, float] = {
    "requests_per_s": 7_900,
    "cpu_us_per_request": 126,
    "cpu_us_per_chunk": 31,
    "chunks_per_s": 64_000,
    "p50_ms": 0.13,
    "ttft_ms": 0.48,
}
"""
The bare pass-through on the machine that the limits were set on (2 cores, AMD EPYC, KVM); the
latencies are what it added there, as in the limits.
"""


class Budget(Struct, frozen=True):
    """
    One figure and its limits, one per stage; a stage without a limit is absent.

    `over` names the system whose figure is taken off first: the limit is on what is added.
    """

    figure: str
    limits: Mapping[str, float]
    over: str | None = None


def _limits(ship: float | None, must: float, own: float | None, aim: float) -> dict[str, float]:
    pairs = zip(STAGES, (ship, must, own, aim), strict=True)
    return {stage: limit for stage, limit in pairs if limit is not None}


BUDGETS: tuple[Budget, ...] = (
    Budget("requests_per_s", _limits(5_000, 6_000, 12_000, 15_000)),
    Budget("cpu_us_per_request", _limits(180, 150, 80, 60)),
    Budget("cpu_us_per_chunk", _limits(35, 30, 20, 12.5)),
    Budget("chunks_per_s", _limits(55_000, 60_000, 85_000, 95_000)),
    Budget("p50_ms", _limits(None, 0.16, 0.08, 0.05), over="nginx"),
    Budget("ttft_ms", _limits(None, 0.5, None, 0.3), over="direct"),
    Budget("rss_idle_mb", _limits(None, 60, None, 50)),
    Budget("rss_busy_mb", _limits(None, 85, None, 75)),
    Budget("start_s", _limits(1.0, 1.0, None, 0.5)),
    Budget("reload_added_ms", _limits(None, 20, None, 5)),
    Budget("reload_growth_mb", _limits(None, 30, None, 30)),
)


REDIS_ADDS_AT_MOST = 0.10
"""What the figures of `proxy-redis` may be worse by than those of `proxy` in the same run."""
WITH_REDIS = (
    "requests_per_s",
    "cpu_us_per_request",
    "p50_ms",
    "cpu_us_per_chunk",
    "chunks_per_s",
    "ttft_ms",
)
"""The figures for which that holds."""


def find_figure(name: str) -> Figure:
    """Return the figure of that name."""
    return next(figure for figure in FIGURES if figure.name == name)


def is_met(figure: Figure, value: float, limit: float) -> bool:
    """Say whether `value` keeps to `limit`; the limit itself is allowed."""
    return value <= limit if figure.better == "less" else value >= limit


def is_close(figure: Figure, value: float, base: float) -> bool:
    """Say whether `value` is not worse than `base` by more than Redis may cost."""
    if figure.better == "less":
        return value <= base * (1 + REDIS_ADDS_AT_MOST)
    return value >= base * (1 - REDIS_ADDS_AT_MOST)


def scale_limit(figure_name: str, limit: float, bare_here: float | None) -> float | None:
    """
    Return `limit` carried over to a machine where the pass-through makes `bare_here`.

    For a limit on what is added, `bare_here` is what the pass-through adds. None for figures that
    do not follow the speed of the machine, or without a pass-through.
    """
    reference = REFERENCE_BARE.get(figure_name)
    if reference is None or bare_here is None:
        return None
    return limit * bare_here / reference
