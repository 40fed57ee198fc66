"""What the campaign of the health worker asks of what it has seen. Pure: no clock, no process."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, inf

from campaigns.ground.caller import find_percentile
from campaigns.ground.health_chaos.load import Phase, Tally, Twins
from campaigns.ground.health_chaos.plan import (
    ALONE,
    COOLDOWN_S,
    FLEETS,
    INTERVAL_S,
    JITTER,
    LEASE_S,
    WATCHED,
)
from campaigns.ground.health_chaos.sightings import FROM_PROBES, Item, Sighting

LEAST_ASKED = 300
"""Fewer requests than these in a phase say nothing of its slowest hundredth."""
LESS_GOOD = 0.002
P50_FACTOR, P50_MORE_S = 1.15, 0.001
P99_FACTOR, P99_MORE_S = 1.5, 0.015
"""How much worse the watched fleet may be: by so much the same differs on a busy machine."""
SLOW_TWINS_S = 0.05
"""No answer takes so long that nothing has held up; four times what one takes."""
MOST_UNFAIR = 0.05
KNOWN_WITHIN_S = 1.0
SLACK_S = 0.3
"""For a probe's way, and for a machine that does other things besides."""
LEADS_WITHIN_S = LEASE_S + 2.0
TAKEOVER_FACTOR = 2.0


def compare_routing(phase: Phase) -> list[str]:
    """Return in what the watched fleet was worse than the other one, in one phase."""
    watched, alone = phase.fleets[WATCHED], phase.fleets[ALONE]
    if min(watched.asked, alone.asked) < LEAST_ASKED:
        return [f"{phase.name}: only {watched.asked} and {alone.asked} requests"]
    fair = find_fair(phase.twins)
    complaints = []
    if len(phase.twins) - len(fair) > MOST_UNFAIR * len(phase.twins):
        complaints.append(f"{len(phase.twins) - len(fair)} requests when the machine was busy")
    if _share(watched) < _share(alone) - LESS_GOOD:
        complaints.append(f"{_share(watched):.2%} good instead of {_share(alone):.2%}")
    for percent, factor, more_s in ((50, P50_FACTOR, P50_MORE_S), (99, P99_FACTOR, P99_MORE_S)):
        here_s, there_s = (find_quantile(fair, fleet, percent) for fleet in (WATCHED, ALONE))
        if here_s > there_s * factor + more_s:
            here_ms, there_ms = here_s * 1000, there_s * 1000
            complaints.append(f"p{percent} {here_ms:.1f} ms instead of {there_ms:.1f}")
    return [f"{phase.name}: {each}" for each in complaints]


def find_fair(twins: Iterable[Twins]) -> list[Twins]:
    """Return those that were not both slow: what hits both at one moment is the machine."""
    return [each for each in twins if min(each.get(f, 0.0) for f in FLEETS) <= SLOW_TWINS_S]


def find_quantile(twins: Iterable[Twins], fleet: str, percent: float) -> float:
    """Return the seconds that so many percent of a fleet's good answers did not pass."""
    times_s = [each[fleet] for each in twins if fleet in each]
    return find_percentile(times_s, percent) if times_s else inf


def check_periods(
    probes: Mapping[str, Sequence[float]], from_s: float, to_s: float, *, names: Iterable[str]
) -> list[str]:
    """Return who was not probed once per period by the whole fleet, of those that were well."""
    shortest_s = INTERVAL_S * (1 - JITTER) - SLACK_S
    longest_s = INTERVAL_S * (1 + JITTER) + SLACK_S
    complaints = []
    for name in names:
        within = [at_s for at_s in probes[name] if from_s <= at_s <= to_s]
        for earlier_s, later_s in pairwise((from_s, *within, to_s)):
            gap_s = later_s - earlier_s
            # The first and the last are of a period that was cut off.
            is_cut = earlier_s == from_s or later_s == to_s
            if gap_s > longest_s or (gap_s < shortest_s and not is_cut):
                complaints.append(f"{name} {gap_s:.2f} s after the last probe")
    return complaints


def find_mean_period_s(
    probes: Mapping[str, Sequence[float]], from_s: float, to_s: float, *, names: Sequence[str]
) -> float:
    """Return the mean seconds between two probes of a provider, over all of some; never: inf."""
    count = sum(from_s <= at_s <= to_s for name in names for at_s in probes[name])
    return (to_s - from_s) * len(names) / count if count else inf


def check_takeover(
    probes: Mapping[str, Sequence[float]], from_s: float, *, names: Iterable[str]
) -> list[str]:
    """Return who was probed more than twice as often as usual within a lease after `from_s`."""
    usual = ceil(LEASE_S / (INTERVAL_S * (1 - JITTER)))
    counts = {
        name: sum(from_s <= at_s <= from_s + LEASE_S for at_s in probes[name]) for name in names
    }
    return [
        f"{name} {count} times within a lease"
        for name, count in counts.items()
        if count > TAKEOVER_FACTOR * usual
    ]


def find_lateness(
    sightings: Iterable[Sighting], spans_at: Sequence[tuple[float, float]]
) -> list[float]:
    """
    Return for each new check how long after it a proxy told of it, at most, in seconds.

    Args:
        sightings: what was seen, in order.
        spans_at: within which times checks count: those in which somebody could tell of them.
    """
    late, last = [], dict[tuple[int, str], Item]()
    for sighting in sightings:
        item, key = sighting.item, (sighting.proxy, sighting.item.name)
        before = last.get(key)
        last[key] = item
        # What was there when somebody first looked, or behind what requests show, may be old.
        if before is None or before.source != FROM_PROBES or item.source != FROM_PROBES:
            continue
        checked_at = item.last_check or 0.0
        is_counted = any(from_at <= checked_at <= to_at for from_at, to_at in spans_at)
        if is_counted and checked_at > (before.last_check or 0.0):
            late.append(sighting.at - checked_at)
    return late


def check_late_words(sightings: Iterable[Sighting]) -> list[str]:
    """Return where a proxy has gone back to an older check than it had told of before."""
    complaints, known = [], dict[tuple[int, str], float]()
    for sighting in sightings:
        item, key = sighting.item, (sighting.proxy, sighting.item.name)
        if item.source != FROM_PROBES or not item.last_check:
            continue
        if item.last_check < known.get(key, 0.0):
            back_s = known[key] - item.last_check
            complaints.append(f"proxy {sighting.proxy}, {item.name}: {back_s:.1f} s back")
        known[key] = max(item.last_check, known.get(key, 0.0))
    return complaints


def check_cooldown(sightings: Iterable[Sighting], leads_at: Iterable[float]) -> list[str]:
    """
    Return which provider has changed its state twice within a cooldown, by one leader's word.

    Args:
        sightings: what was seen, in order.
        leads_at: when the leader was another one, or believed nothing any more: who begins anew
            has no change behind it.
    """
    changes: dict[str, dict[float, str]] = {}
    for sighting in sightings:
        item = sighting.item
        if item.source == FROM_PROBES and item.since is not None and item.status != "unknown":
            changes.setdefault(item.name, {}).setdefault(item.since, item.status)
    fresh_at = sorted(leads_at)
    complaints = []
    for name, known in changes.items():
        for earlier_at, later_at in pairwise(sorted(known)):
            is_excused = any(earlier_at <= at <= later_at for at in fresh_at)
            gap_s = later_at - earlier_at
            if known[earlier_at] == known[later_at] or gap_s >= COOLDOWN_S - SLACK_S:
                continue
            if not is_excused and _has_predecessor(known, earlier_at, fresh_at):
                words = f"{known[earlier_at]} for {gap_s:.1f} s, then {known[later_at]}"
                complaints.append(f"{name} {words}")
    return complaints


def check_dead(asked: Mapping[str, int], asked_late: Mapping[str, int]) -> list[str]:
    """
    Return in what health checks did not spare dead providers requests.

    Args:
        asked: by fleet, how many requests dead providers got in all.
        asked_late: the same of the time when the health worker had to know of it.
    """
    complaints = []
    if asked[WATCHED] >= asked[ALONE]:
        complaints.append(f"{asked[WATCHED]} requests, {asked[ALONE]} without health checks")
    if asked_late[WATCHED] > asked_late[ALONE]:
        late = f"{asked_late[WATCHED]} late ones, {asked_late[ALONE]} without health checks"
        complaints.append(late)
    return complaints


def check_shares(watched: Mapping[str, int], alone: Mapping[str, int]) -> list[str]:
    """
    Return which provider's share of requests was another one because of what probes said of it.

    Args:
        watched: requests by provider, in the fleet that was told.
        alone: the same, in the other one.
    """
    complaints = []
    for name, count in watched.items():
        # Draws are drawn: four standard deviations, and a little for what is rare.
        most_off = 4 * (count + alone[name]) ** 0.5 + 10
        if abs(count - alone[name]) > most_off:
            complaints.append(f"{name} {count} times instead of {alone[name]}")
    return complaints


def check_told(
    sightings: Sequence[Sighting], names: Iterable[str], states: Sequence[str]
) -> list[str]:
    """Return of whom no health worker has said what it was made to say, one of some states."""
    told = {
        each.item.name
        for each in sightings
        # One that requests have outweighed is told as the reason.
        if any(state in f"{each.item.status} {each.item.reason}" for state in states)
    }
    words = " or ".join(states)
    return [f"{name} was never told to be {words}" for name in names if name not in told]


def find_bad_words(sightings: Iterable[Sighting], *, besides: str) -> list[str]:
    """Return what a health worker has said against anybody, but for one of whom it may."""
    return [
        f"{each.item.name} is {each.item.status}: {each.item.reason}"
        for each in sightings
        if each.item.source == FROM_PROBES
        and each.item.status not in ("healthy", "unknown")
        and each.item.name != besides
    ]


def check_expiry(items: Iterable[Item]) -> list[str]:
    """Return what is still told by the word of health workers that are all dead."""
    return [f"{item.name} is {item.status}" for item in items if item.source == FROM_PROBES]


def _share(tally: Tally) -> float:
    return tally.good / tally.asked


def _has_predecessor(
    known: Mapping[float, str], since_at: float, fresh_at: Sequence[float]
) -> bool:
    """Return whether a state was a change: the first one of a leader is none."""
    begun_at = max((at for at in fresh_at if at <= since_at), default=-inf)
    return any(begun_at <= each < since_at for each in known)
