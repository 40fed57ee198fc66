"""What the campaign of the health worker has found, as a page."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from campaigns.base import PASSED, Result
from campaigns.ground.caller import find_percentile
from campaigns.ground.health_chaos.judge import (
    KNOWN_WITHIN_S,
    LEADS_WITHIN_S,
    SLOW_TWINS_S,
    check_cooldown,
    check_late_words,
    compare_routing,
    find_fair,
    find_lateness,
    find_quantile,
)
from campaigns.ground.health_chaos.load import BUSY_PER_S, QUIET_PER_S, Phase, TwinLoad, Twins
from campaigns.ground.health_chaos.plan import ALONE, COOLDOWN_S, INTERVAL_S, LEASE_S, WATCHED
from campaigns.ground.health_chaos.sightings import Watch
from campaigns.ground.health_chaos.workers import Term

CHECK_WITHIN_S = 2.0
STATUS_WITHIN_S = 0.005
RELEASED_WITHIN_S = 4.0
"""Another worker asks for the lease each 3 s."""
TELLING = (
    "calm",
    "slow probes",
    "probes refused, requests answered",
    "providers dead",
    "recovery",
)
"""Phases in which a leader lives and Redis is there all the time, so that each check is told."""
MS = 1000


class Found(Struct):
    """What was seen besides requests and `/status`; lists hold what was wrong."""

    periods: list[str] = field(default_factory=list)
    probes: list[int] = field(default_factory=list)
    """Of each provider, in the calm phase."""
    period_s: float = 0.0
    """Between two probes of a provider that was well, over all phases."""
    status_s: float = 0.0
    checks_s: dict[str, float] = field(default_factory=dict)
    """By who was asked."""
    stale_checks: list[str] = field(default_factory=list)
    takeovers_s: list[float] = field(default_factory=list)
    takeovers: list[str] = field(default_factory=list)
    taken_over_at_s: list[float] = field(default_factory=list)
    taken_over: list[str] = field(default_factory=list)
    released_s: float = 0.0
    doubled: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    suspicion: list[str] = field(default_factory=list)
    begun_anew_at: list[float] = field(default_factory=list)
    """When the leader had reason to believe nothing any more."""
    shares: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    asked_dead: dict[str, dict[str, int]] = field(default_factory=dict)
    recovered_s: float = 0.0
    recovery: list[str] = field(default_factory=list)
    expiry: list[str] = field(default_factory=list)
    ending: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    """What was to be brought about and was not: without it a check shows nothing."""
    leaks: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)


def build_result(load: TwinLoad, watch: Watch, found: Found) -> Result:
    """Return the page."""
    spans_at = [(p.begun_at, p.ended_at) for p in load.phases if p.name in TELLING]
    late_s = find_lateness(watch.sightings, spans_at)
    fresh_at = [term.at for term in found.terms if term.leads] + found.begun_anew_at
    slow = [f"{who} {s:.2f} s" for who, s in found.checks_s.items() if s > CHECK_WITHIN_S]
    late = [f"{s:.2f} s" for s in late_s if s > KNOWN_WITHIN_S] if late_s else ["none was seen"]
    slow_takeovers = [f"{s:.1f} s" for s in found.takeovers_s if s > LEADS_WITHIN_S]
    late_release = [f"{found.released_s:.1f} s"] * (found.released_s > RELEASED_WITHIN_S)
    status = [f"{found.status_s * MS:.1f} ms"] * (found.status_s >= STATUS_WITHIN_S)
    routing = [each for phase in load.phases for each in compare_routing(phase)]
    cooldown = check_cooldown(watch.sightings, fresh_at)
    checks: Mapping[str, Sequence[str]] = {
        "in no phase routing is worse than without a health worker": routing,
        "what only probes say moves no requests away from who answers them": found.shares,
        "dead providers are asked less than without": found.dead,
        "each provider is probed once per period by the whole fleet": found.periods,
        "at most twice as often in a leader's first lease": found.taken_over,
        "at most twice as often while the lease is contested": found.doubled,
        f"every proxy knows of a check within {KNOWN_WITHIN_S:g} s": late,
        f"another one leads within {LEADS_WITHIN_S:g} s of a leader's death": [
            *found.takeovers,
            *slow_takeovers,
        ],
        f"and within {RELEASED_WITHIN_S:g} s of its end": late_release,
        "no proxy goes back to an older check, nor to the word of a leader that was frozen": [
            *found.woken,
            *check_late_words(watch.sightings),
        ],
        "one that is cut off says so, and nothing bad of anybody": found.suspicion,
        f"no state changes twice within {COOLDOWN_S:g} s": cooldown,
        "when all is well again it is told so": found.recovery,
        "when all health workers are dead nothing is told by their word": found.expiry,
        f"POST /check has all checked anew within {CHECK_WITHIN_S:g} s": [
            *slow,
            *found.stale_checks,
        ],
        f"the median of /status is below {STATUS_WITHIN_S * MS:g} ms at rest": status,
        "nothing is left over": found.leaks,
        "every process ends in good order": found.ending,
        "no key is logged": found.secrets,
        "no fault of our own is logged": found.loud,
        "what was to go wrong went wrong": found.untold,
        "the campaign itself has no fault": [*load.faults, *watch.faults],
    }
    rows = {name: [_say(complaints)] for name, complaints in checks.items()}
    title = "Health workers killed, doubled, frozen, cut off and lied to"
    return Result("health-chaos", title, ["fleet"], rows, _describe(load, found, late_s))


def _describe(load: TwinLoad, found: Found, late_s: Sequence[float]) -> list[str]:
    asked = sum(phase.fleets[WATCHED].asked for phase in load.phases)
    unfair = sum(len(phase.twins) - len(find_fair(phase.twins)) for phase in load.phases)
    probes = found.probes or [0]
    dead = "; ".join(
        f"{what} {counts[WATCHED]} and {counts[ALONE]}" for what, counts in found.asked_dead.items()
    )
    checks = ", ".join(f"{who} {s * MS:.0f} ms" for who, s in found.checks_s.items())
    takeovers = ", ".join(f"{s:.1f} s" for s in found.takeovers_s)
    return [
        f"Two fleets of four proxies got the same {asked:,} requests at the same moments, "
        f"{BUSY_PER_S + QUIET_PER_S:g} a second each. They have the same 50 providers, and a Redis "
        "each to which the same happens; one of them has three health workers. Providers are "
        f"checked each {INTERVAL_S:g} s, the lease is one of {LEASE_S:g} s.",
        "Good answers, p50 and p99, with health workers / without: "
        + "; ".join(_tell_phase(phase) for phase in load.phases)
        + f". Of the times {unfair:,} pairs are left out in which both fleets took longer than "
        f"{SLOW_TWINS_S * MS:g} ms to answer the same request: that is the machine.",
        f"Probes of a provider in the 20 calm seconds: {min(probes)} to {max(probes)}; over all "
        f"phases one that nothing was done to was probed each {found.period_s:.1f} s. A proxy "
        f"tells of a check after p50 {_tell_ms(late_s, 50)}, p99 {_tell_ms(late_s, 99)} at most, "
        f"in {len(late_s):,} that were seen, each 0.2 s and in all phases. Another one led "
        f"{takeovers} after a leader was killed or frozen, {found.released_s:.1f} s after one had "
        f"ended. POST /check of all 50: {checks}. /status: {found.status_s * MS:.2f} ms.",
        f"Requests that dead providers got, with and without: {dead}. All 50 were told to be "
        f"healthy {found.recovered_s:.1f} s after the last fault.",
    ]


def _tell_phase(phase: Phase) -> str:
    fair = find_fair(phase.twins)
    sides = " / ".join(_tell_fleet(phase, fair, fleet) for fleet in (WATCHED, ALONE))
    return f"{phase.name} {sides}"


def _tell_fleet(phase: Phase, fair: Sequence[Twins], fleet: str) -> str:
    tally = phase.fleets[fleet]
    p50_ms, p99_ms = (find_quantile(fair, fleet, percent) * MS for percent in (50, 99))
    return f"{tally.good:,} of {tally.asked:,} {p50_ms:.1f} {p99_ms:.1f} ms"


def _tell_ms(times_s: Sequence[float], percent: float) -> str:
    return f"{find_percentile(times_s, percent) * MS:.0f} ms" if times_s else "never"


def _say(complaints: Sequence[str]) -> str:
    if not complaints:
        return PASSED
    return f"{len(complaints)}: {'; '.join(list(dict.fromkeys(complaints))[:5])}"
