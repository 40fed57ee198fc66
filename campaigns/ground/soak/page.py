"""The page of the campaign of soak: what must hold, and the figures."""

from collections.abc import Callable, Sequence

from campaigns.base import PASSED, Result
from campaigns.ground.soak.accounts import (
    check_attempts,
    check_failures,
    check_lines,
    check_stale,
)
from campaigns.ground.soak.found import Found
from campaigns.ground.soak.load import Load
from campaigns.ground.soak.plan import PROVIDERS
from campaigns.ground.soak.verdict import EARLY, LATE, MOST_CHANGE, Trend, find_trend
from campaigns.ground.soak.watch import Sample

MIB = 2**20
MS = 1000
HALF_SHARE = (0.4, 0.6)
"""How busy the worker is at half load: what its requests cost moves with the machine."""
FAIR_SHARE = (0.45, 0.55)
LEAST_OF_RATE = 0.95
_PROCESSES: dict[str, Callable[[Sample], float]] = {
    "worker": lambda sample: sample.worker.resident_bytes,
    "supervisor": lambda sample: sample.supervisor.resident_bytes,
}


def build_result(
    found: Found, load: Load, transports: Sequence[str], trial: str | None = None
) -> Result:
    """
    Return the page.

    Args:
        found: what the campaign has seen.
        load: what its clients have.
        transports: of the first and of the second providers.
        trial: the command, if it was only a trial.
    """
    trends = {
        name: find_trend([(each.at_s, read(each)) for each in found.samples], found.lasts_s)
        for name, read in _PROCESSES.items()
    }
    checks = {
        "every client that stays gets its own whole answer": (
            PASSED if not load.errors else f"{load.errors} errors: {say(load.complaints)}"
        ),
        **{
            f"RSS of the {name} stays within {MOST_CHANGE:.0%} all the time": _say_trend(trend)
            for name, trend in trends.items()
        },
        "no descriptor, task, connection or attempt is left": say(found.left),
        "every slot of the pools can be had, and none beyond": say(found.slots),
        "both transports carry half of the load": _say_transports(found, transports),
        "the load was what it should be": _say_load(found),
        "what failed before its content was asked again": _say_repeats(found, load),
        "no attempt fails but those that a provider has failed": say(
            check_failures(found.counts, found.numbers)
        ),
        "providers have seen each attempt once, and again only what met a stale connection": say(
            check_attempts(found.counts, found.log_counts, found.numbers)
        ),
        "both transports have met stale connections": say(check_stale(found.counts)),
        "no number tells of a fault": say(found.faults),
        "each request has one log line, in the service's numbers too": say(
            check_lines(load.asked_by_alias, load.left, found.log_counts, found.numbers.requests)
        ),
        "no line of the log tells of a fault of ours": say(found.log),
        "the service ends in good order": say(found.ending),
    }
    rows = {name: [cell] for name, cell in checks.items()}
    notes = [*_describe(found, load, transports), *_describe_trends(found, trends)]
    title = "Hours at half load" if trial is None else "A trial of soak"
    return Result("soak", title, ["serve"], rows, notes, trial)


def say(complaints: Sequence[str]) -> str:
    """Return the cell of a check that holds if there is no complaint."""
    if not complaints:
        return PASSED
    return f"{len(complaints)}: {'; '.join(list(dict.fromkeys(complaints))[:5])}"


def _say_trend(trend: Trend | None) -> str:
    if trend is None:
        return "too little was measured"
    return PASSED if trend.is_flat else f"{trend.most_change:+.1%}"


def _say_transports(found: Found, transports: Sequence[str]) -> str:
    if len(set(transports)) < 2:
        return f"there is only {transports[0]}"
    share = sum_attempts(found, 0) / max(1, sum(found.numbers.attempts.values()))
    return PASSED if FAIR_SHARE[0] <= share <= FAIR_SHARE[1] else f"{transports[0]} {share:.0%}"


def _say_load(found: Found) -> str:
    if found.took_s < found.lasts_s or not found.per_s:
        return f"{found.took_s:.0f} s instead of {found.lasts_s:.0f}"
    if found.per_s < LEAST_OF_RATE * found.wanted_per_s:
        return f"{found.per_s:,.0f} requests a second instead of {found.wanted_per_s:,.0f}"
    is_half = HALF_SHARE[0] <= found.busy_share <= HALF_SHARE[1]
    return PASSED if is_half or not found.is_half else f"{found.busy_share:.0%} of a core"


def _say_repeats(found: Found, load: Load) -> str:
    counts = found.counts
    told = (counts.failed, counts.repeated)
    if load.failing and told == (load.failing, load.failing):
        return PASSED
    return f"{load.failing} were to fail; {told[0]} did, {told[1]} were asked again"


def sum_attempts(found: Found, number: int) -> int:
    """Return the attempts by the first transport (0) or the second (1)."""
    return sum(found.numbers.attempts.get(name, 0) for name in PROVIDERS[number::2])


def _describe(found: Found, load: Load, transports: Sequence[str]) -> list[str]:
    kinds = ", ".join(f"{count:,} {name}" for name, count in load.answered.most_common())
    counts = found.counts
    unseen = sum(each.lost_pooled + each.hasty for each in counts.ports)
    failed = ", ".join(f"{count:,} {what}" for what, count in found.log_counts.failed.most_common())
    rate = "as many as keep its worker busy for half of one core" if found.is_half else "as asked"
    by_transport = ", ".join(
        f"{sum_attempts(found, number):,} by {name}" for number, name in enumerate(transports)
    )
    return [
        f"{found.took_s:,.0f} s at {found.per_s:,.0f} requests a second, {rate} "
        f"({found.busy_share:.0%} busy), at random moments; one worker, Redis on, one "
        f"request in five over TLS. Attempts: {by_transport}. Sent at most "
        f"{load.behind_s * MS:.0f} ms late (providers stood still for "
        f"{found.counts.late_s * MS:.0f} ms), {load.most_at_once:,} under way at most, the slowest "
        f"took {load.slowest_s:.1f} s (the longest streams last 5 s).",
        f"With the calibration and the slots {load.asked:,} requests. {load.left:,} clients left "
        f"in the middle; answered whole: {kinds}. {load.errors} errors: an error is anything but a "
        "whole answer with its own tag to a client that stays, whatever providers did.",
        f"Providers reset, cut or refused {counts.failed:,} requests before any content and had "
        f"{counts.repeated:,} of them again; closed {counts.closed_idle:,} connections that were "
        f"idle for a second and {counts.closed_hastily:,} unannounced behind an answer, of "
        f"{counts.accepted:,}. So {unseen:,} whole requests broke on a pooled connection and were "
        "sent once more by the transport. Attempts that failed, and went to the other transport: "
        f"{failed or 'none'}. All other requests (99 of 100) had one provider only, and no second "
        f"attempt. Calls of Redis that failed or took too long: {found.redis_errors}.",
    ]


def _describe_trends(found: Found, trends: dict[str, Trend | None]) -> list[str]:
    notes = [
        f"RSS of the {name}: {trend.early / MIB:.1f} MiB (median of {EARLY[0]:.0%} to "
        f"{EARLY[1]:.0%} of the time), {trend.late / MIB:.1f} MiB (of the last "
        f"{1 - LATE[0]:.0%}): {trend.change:+.1%}, and {trend.most_change:+.1%} in the later part "
        f"between that differs most; {trend.slope_per_s * 3600 / MIB:+.2f} MiB an "
        f"hour over all of it, {trend.most / MIB:.1f} MiB at most."
        for name, trend in trends.items()
        if trend is not None
    ]
    if found.samples and found.before is not None:
        last, before = found.samples[-1], found.before
        most = max(each.worker.descriptors for each in found.samples)
        notes.append(
            f"At the end the worker's PSS is {last.worker.proportional_bytes / MIB:.1f} MiB, "
            f"with {last.worker.threads} threads. At rest it holds {before.worker_descriptors} "
            f"descriptors and {before.tasks} tasks; under load {most} descriptors and "
            f"{max(each.tasks for each in found.samples)} tasks at most."
        )
    return notes
