"""
What the proxy's figures should be, per core, with everything switched on.

The limits are absolute. They were set on one machine, whose pass-through figures are kept here as
well, so that a limit can be carried over to a faster or slower machine.
"""

from collections.abc import Mapping

from msgspec import Struct

from bench.figures import FIGURES, Figure

MUST, AIM, WITH_AIOHTTP = "must", "aim", "must, with aiohttp's client"
STAGES = (MUST, AIM)
"""The limits of the proxy as it comes; the third is for providers with `transport: aiohttp`."""

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
    One figure and its limits: what it must be, and should be, and must be with aiohttp's client.

    `over` names the system whose figure is taken off first: the limit is on what is added.
    """

    figure: str
    limits: Mapping[str, float]
    over: str | None = None


def _limits(must: float, aim: float, with_aiohttp: float | None = None) -> dict[str, float]:
    limits = {MUST: must, AIM: aim}
    return limits if with_aiohttp is None else {**limits, WITH_AIOHTTP: with_aiohttp}


BUDGETS: tuple[Budget, ...] = (
    Budget("requests_per_s", _limits(12_000, 15_000, 6_000)),
    Budget("cpu_us_per_request", _limits(80, 60, 150)),
    Budget("cpu_us_per_chunk", _limits(20, 12.5, 30)),
    Budget("chunks_per_s", _limits(85_000, 95_000, 60_000)),
    Budget("p50_ms", _limits(0.08, 0.05, 0.16), over="nginx"),
    Budget("ttft_ms", _limits(0.5, 0.3, 0.5), over="direct"),
    Budget("chat_anthropic_cpu_us_per_chunk", {MUST: 60}),
    Budget("messages_openai_cpu_us_per_chunk", {MUST: 60}),
    Budget("chat_gemini_cpu_us_per_chunk", {MUST: 60}),
    Budget("rss_idle_mb", _limits(60, 50, 60)),
    Budget("rss_busy_mb", _limits(85, 75, 85)),
    Budget("start_s", _limits(1.0, 0.5, 1.0)),
    Budget("reload_added_ms", _limits(20, 5)),
    Budget("reload_growth_mb", _limits(30, 30)),
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
