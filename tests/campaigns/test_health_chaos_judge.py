"""The judge of the campaign of the health worker: each of its checks holds, and can fail."""

from collections.abc import Sequence
from math import inf

import pytest

from campaigns.ground.health_chaos.judge import (
    KNOWN_WITHIN_S,
    LEAST_ASKED,
    check_cooldown,
    check_dead,
    check_expiry,
    check_late_words,
    check_periods,
    check_shares,
    check_takeover,
    check_told,
    compare_routing,
    find_bad_words,
    find_lateness,
    find_mean_period_s,
    find_quantile,
)
from campaigns.ground.health_chaos.load import Phase, Tally
from campaigns.ground.health_chaos.plan import ALONE, COOLDOWN_S, INTERVAL_S, LEASE_S, WATCHED
from campaigns.ground.health_chaos.sightings import Item, Sighting

ALWAYS = [(0.0, inf)]


def build_phase(watched: Sequence[float | None], alone: Sequence[float | None]) -> Phase:
    """Return a phase with the seconds that both fleets took; None is no good answer."""
    pairs = [{WATCHED: here, ALONE: there} for here, there in zip(watched, alone, strict=True)]
    fleets = {
        WATCHED: Tally(len(watched), len(watched) - list(watched).count(None)),
        ALONE: Tally(len(alone), len(alone) - list(alone).count(None)),
    }
    twins = [{f: took_s for f, took_s in pair.items() if took_s is not None} for pair in pairs]
    return Phase("calm", 0.0, 1.0, fleets, twins)


def build_times(*, bad: int = 0, slow: int = 0, each_s: float = 0.01) -> list[float | None]:
    """Return those of a thousand requests, of which some were bad and some took a second."""
    return [None] * bad + [1.0] * slow + [each_s] * (1000 - bad - slow)


def see(
    status: str = "healthy",
    *,
    at: float = 0.0,
    last_check: float | None = None,
    since: float = 0.0,
    source: str = "probe",
    proxy: int = 0,
    reason: str | None = None,
) -> Sighting:
    """Return what a proxy told of one provider."""
    item = Item("one", status, last_check, None, since, source, reason)
    return Sighting(proxy, item, at, at - 0.2)


def test_routing_is_worse_if_fewer_are_answered_or_later() -> None:
    """Twins are no complaint, nor is being better; less good, a slower middle, a slower end are."""
    well = build_times()
    assert compare_routing(build_phase(well, well)) == []
    assert compare_routing(build_phase(well, build_times(bad=50))) == []
    assert compare_routing(build_phase(well, build_times(slow=50))) == []
    assert "good" in compare_routing(build_phase(build_times(bad=3), well))[0]
    assert compare_routing(build_phase(build_times(bad=1), well)) == []
    assert "p99" in compare_routing(build_phase(build_times(slow=12), well))[0]
    assert compare_routing(build_phase(build_times(slow=5), well)) == []
    assert "p50" in compare_routing(build_phase(build_times(each_s=0.0126), well))[0]
    assert "p50" in compare_routing(build_phase(build_times(bad=1000), well))[1]


def test_what_holds_up_both_fleets_is_the_machine() -> None:
    """Twins that were both slow count for nothing, as long as they are few."""
    slow = [0.9 if took_s == 1.0 else took_s for took_s in build_times(slow=20)]
    assert compare_routing(build_phase(build_times(slow=20), slow)) == []
    assert compare_routing(build_phase(build_times(slow=20), build_times()))
    busy = build_times(slow=60)
    assert "busy" in compare_routing(build_phase(busy, busy))[0]


def test_a_phase_without_enough_requests_is_no_proof() -> None:
    """Too few are a complaint of their own; of none nothing is known."""
    few = [0.01] * (LEAST_ASKED - 1)
    assert "only" in compare_routing(build_phase(few, few))[0]
    assert find_quantile([], WATCHED, 50) == inf


def test_a_period_holds_one_probe_of_the_whole_fleet() -> None:
    """A second prober, a pause and a provider that nobody probes are told."""
    times = [0.7 + INTERVAL_S * turn for turn in range(10)]
    last_s = times[-1] + 1.0
    assert check_periods({"one": times}, 0.0, last_s, names=["one"]) == []
    doubled = sorted([*times, *(at_s + 1.0 for at_s in times)])
    assert check_periods({"one": doubled}, 0.0, last_s, names=["one"])
    assert check_periods({"one": times[:4] + times[6:]}, 0.0, last_s, names=["one"])
    assert check_periods({"one": times}, 0.0, last_s + 2 * INTERVAL_S, names=["one"])
    assert check_periods({"one": []}, 0.0, last_s, names=["one"])
    # What came before or after does not count, and the first may come at once.
    assert check_periods({"one": [-1.0, 0.1, *times[1:]]}, 0.0, last_s, names=["one"]) == []


def test_a_mean_period_is_that_of_all_providers_together() -> None:
    """What came before or after does not count; who was never probed makes it longer."""
    probes = {"one": [0.0, 1.0, 2.0, 3.0, 99.0], "two": [2.0, 3.0], "three": []}
    assert find_mean_period_s(probes, 1.0, 4.0, names=["one"]) == 1.0
    assert find_mean_period_s(probes, 1.0, 4.0, names=["one", "two", "three"]) == 9.0 / 5.0
    assert find_mean_period_s(probes, 1.0, 4.0, names=["three"]) == inf


def test_a_new_leader_may_probe_twice_as_often_within_its_first_lease() -> None:
    """Two probers at once are allowed there, three are not; later probes are not looked at."""
    once = [4.0 * turn + 0.1 for turn in range(int(LEASE_S // 4) + 1)]
    assert check_takeover({"one": once * 2}, 0.0, names=["one"]) == []
    assert check_takeover({"one": once * 3}, 0.0, names=["one"])
    assert check_takeover({"one": [LEASE_S + 1.0] * 99}, 0.0, names=["one"]) == []


def test_lateness_is_what_a_new_check_took_to_be_told() -> None:
    """It counts from the check to the moment it was seen, for each proxy by itself."""
    seen = [
        see(at=100.0, last_check=50.0),
        see(at=101.2, last_check=101.0),
        see(at=100.0, last_check=50.0, proxy=1),
        see(at=103.5, last_check=101.0, proxy=1),
    ]
    assert find_lateness(seen, ALWAYS) == pytest.approx([0.2, 2.5])
    assert max(find_lateness(seen, ALWAYS)) > KNOWN_WITHIN_S


def test_lateness_is_not_of_what_could_not_be_seen_or_told() -> None:
    """What was there before, behind requests' word or at other times counts for nothing."""
    first = see(at=100.0, last_check=50.0)
    assert find_lateness([first], ALWAYS) == []
    vetoed = see(at=101.0, last_check=60.0, source="traffic")
    assert find_lateness([first, vetoed, see(at=110.0, last_check=70.0)], ALWAYS) == []
    assert find_lateness([first, see(at=110.0, last_check=70.0)], [(0.0, 69.0)]) == []
    assert find_lateness([first, see("unhealthy", at=110.0, last_check=50.0)], ALWAYS) == []


def test_a_late_word_is_one_that_goes_back() -> None:
    """An older check than was told before, at the same proxy; another one may still be behind."""
    assert check_late_words([see(last_check=10.0), see(last_check=20.0)]) == []
    assert check_late_words([see(last_check=20.0), see(last_check=10.0, proxy=1)]) == []
    assert check_late_words([see(last_check=20.0), see(last_check=10.0)])
    assert check_late_words([see(last_check=20.0), see(last_check=5.0, source="traffic")]) == []


def test_two_changes_within_a_cooldown_are_told() -> None:
    """The first state of a leader is no change, and another leader begins anew."""
    soon, late = COOLDOWN_S / 3, COOLDOWN_S + 1.0
    flaps = [see("healthy", since=0.0), see("unhealthy", since=soon), see("healthy", since=late)]
    assert check_cooldown(flaps, []), "the second one came within a cooldown of the first"
    assert check_cooldown(flaps[:2], []) == []
    slow = [flaps[0], flaps[1], see("healthy", since=soon + late)]
    assert check_cooldown(slow, []) == []
    assert check_cooldown(flaps, [soon + 1.0]) == []
    assert check_cooldown([*flaps[:2], see("unhealthy", since=late)], []) == []
    hidden = [flaps[0], flaps[1], see("healthy", since=late, source="traffic")]
    assert check_cooldown(hidden, []) == []


def test_dead_providers_must_be_spared_requests() -> None:
    """As many as without is not fewer; and late ones must not be more."""
    assert check_dead({WATCHED: 20, ALONE: 40}, {WATCHED: 0, ALONE: 9}) == []
    assert check_dead({WATCHED: 40, ALONE: 40}, {WATCHED: 0, ALONE: 9})
    assert check_dead({WATCHED: 20, ALONE: 40}, {WATCHED: 10, ALONE: 9})


def test_shares_may_differ_by_chance_only() -> None:
    """What is drawn is never the same; what is moved away is seen."""
    assert check_shares({"one": 100, "two": 3}, {"one": 120, "two": 0}) == []
    assert check_shares({"one": 10, "two": 3}, {"one": 110, "two": 3})
    assert check_shares({"one": 110, "two": 60}, {"one": 110, "two": 0})


def test_nothing_outlives_the_word_of_the_dead() -> None:
    """What requests show may be told, what probes have shown may not."""
    gone = [Item("one", "unknown"), Item("two", "healthy", 5.0, source="traffic")]
    assert check_expiry(gone) == []
    assert check_expiry([*gone, Item("three", "healthy", 5.0, source="probe")])


def test_a_health_worker_must_have_said_what_it_was_made_to_say() -> None:
    """As the status, or as the reason where requests have outweighed it; else nothing is shown."""
    assert check_told([see("unhealthy")], ["one"], ["unhealthy", "rate_limited"]) == []
    outweighed = see("healthy", source="traffic", reason="its check says: rate_limited, 429")
    assert check_told([outweighed], ["one"], ["unhealthy", "rate_limited"]) == []
    assert check_told([see("healthy")], ["one"], ["unhealthy"])
    assert check_told([see("unhealthy")], ["one", "two"], ["unhealthy"])


def test_bad_words_are_those_of_health_workers() -> None:
    """What requests show, and one of whom something bad may be said, are left out."""
    good = [see("healthy"), see("unknown"), see("unhealthy", source="traffic")]
    assert find_bad_words(good, besides="two") == []
    assert find_bad_words([*good, see("degraded")], besides="two")
    assert find_bad_words([see("unhealthy")], besides="one") == []
