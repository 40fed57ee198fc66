"""What a worker makes of many targets at once: one that is silent, and all that are."""

import random
from itertools import pairwise

from health_worker.beliefs import Beliefs
from health_worker.schedule import Schedule
from health_worker.targets import Target
from health_worker.verdict import COOLDOWN_S, FALL, ProbeResult
from proxy.domain.catalog import Provider
from proxy.domain.health import HealthSettings, ProbeReading

GOOD = ProbeResult(ProbeReading("healthy", "200"), 0.1)
SILENT = ProbeResult(ProbeReading("unhealthy", "no answer within 5 s"), None, has_answered=False)
ERROR = ProbeResult(ProbeReading("unhealthy", "500"), 0.1)


def build_target(name: str, *, is_here: bool = False) -> Target:
    """Return a target elsewhere, or on this machine."""
    provider = Provider(name, "openai_compatible", f"https://{name}.example/v1")
    return Target(name, provider, is_on_this_machine=is_here)


class Looker:
    """Beliefs of four targets, and a time that goes on with each look."""

    def __init__(self) -> None:
        self.beliefs = Beliefs()
        self.targets = {name: build_target(name) for name in "abcd"}
        self.targets["here"] = build_target("here", is_here=True)
        self.now_s = 1000.0

    def look(self, result: ProbeResult, *names: str, times: int = 1) -> set[str]:
        """Have each of these looked at so many times; return whom else to look at then."""
        witnesses: set[str] = set()
        for _ in range(times):
            for name in names:
                self.now_s += 1.0
                change = self.beliefs.note(self.targets[name], result, self.now_s, self.now_s)
                if change is not None:
                    distant = {n for n, t in self.targets.items() if not t.is_on_this_machine}
                    witnesses |= self.beliefs.find_witnesses(change, distant)
        return witnesses

    def states(self) -> dict[str, str]:
        """Return what is believed, by name."""
        return {name: verdict.state for name, verdict in self.beliefs.verdicts.items()}

    def told(self) -> dict[str, str]:
        """Return what there is to tell now, by name."""
        return {
            target.name: machine.state for target, machine in self.beliefs.take_news(self.now_s)
        }


def test_what_was_seen_is_told_once() -> None:
    """Each look is told, also one that changes nothing, and then not again until the next."""
    looker = Looker()
    looker.look(GOOD, "a", "b")
    assert looker.told() == {"a": "healthy", "b": "healthy"}
    assert looker.told() == {}
    looker.look(GOOD, "a")
    assert looker.told() == {"a": "healthy"}


def test_a_look_that_says_nothing_lets_nobody_be_believed_for_longer() -> None:
    """A probe that could not be made has nothing told anew: what was believed expires."""
    looker = Looker()
    looker.look(GOOD, "a")
    looker.told()
    nothing = ProbeResult(ProbeReading("unknown", "it could not be checked"))
    assert looker.look(nothing, "a", "b") == set()
    assert looker.told() == {}
    assert looker.states() == {"a": "healthy"}


def test_silence_is_told_once_the_others_have_been_looked_at() -> None:
    """One target that falls silent is told as unhealthy after all others have answered."""
    looker = Looker()
    looker.look(GOOD, "a", "b", "c", "d")
    looker.told()
    witnesses = looker.look(SILENT, "a", times=FALL)
    assert witnesses == {"b", "c", "d"}
    assert looker.told() == {}
    looker.look(GOOD, "b", "c")
    assert looker.told() == {"b": "healthy", "c": "healthy"}
    looker.look(GOOD, "d")
    assert looker.told() == {"a": "unhealthy", "d": "healthy"}


def test_an_answer_with_an_error_needs_no_witness() -> None:
    """A target that answers with errors is told as unhealthy at once."""
    looker = Looker()
    looker.look(GOOD, "a", "b")
    looker.told()
    assert looker.look(ERROR, "a", times=FALL) == set()
    assert looker.told() == {"a": "unhealthy"}


def test_a_worker_that_is_cut_off_takes_back_what_it_made_of_silence() -> None:
    """When most are silent nothing is told, nobody is believed to be down, and it passes."""
    looker = Looker()
    looker.look(GOOD, "a", "b", "c", "d", "here")
    looker.told()
    looker.look(SILENT, "a", times=FALL)
    looker.look(SILENT, "b", "c", "d")
    assert looker.beliefs.is_suspect
    assert looker.told() == {}
    assert "unhealthy" not in looker.states().values()
    looker.look(SILENT, "a", "b", "c", "d", times=10)
    assert "unhealthy" not in looker.states().values()
    looker.look(GOOD, "a", "b")
    assert not looker.beliefs.is_suspect
    assert looker.told() == {"a": "healthy", "b": "healthy"}
    assert looker.beliefs.pace("c") == "transition"


def test_a_server_on_this_machine_is_believed_while_all_others_are_silent() -> None:
    """What does not go over the network is judged as ever, and needs no witness."""
    looker = Looker()
    looker.look(GOOD, "here")
    looker.look(SILENT, "a", "b")
    looker.now_s += COOLDOWN_S
    assert looker.look(SILENT, "here", times=FALL) == set()
    assert looker.states() == {"here": "unhealthy"}


def test_what_is_gone_is_awaited_no_longer() -> None:
    """A witness that is forgotten does not keep the silence of another one from being told."""
    looker = Looker()
    looker.look(GOOD, "a", "b", "c", "d")
    looker.look(SILENT, "a", times=FALL)
    looker.look(GOOD, "b", "c")
    looker.beliefs.forget(["d"])
    assert looker.told()["a"] == "unhealthy"
    assert "d" not in looker.states()


def test_nothing_is_left_of_what_was_cleared() -> None:
    """After a clearance nobody is believed anything, and there is nothing to tell."""
    looker = Looker()
    looker.look(GOOD, "a", "b")
    looker.look(SILENT, "c")
    looker.beliefs.clear()
    assert (looker.states(), looker.told(), looker.beliefs.is_asking_others) == ({}, {}, False)


def test_who_was_looked_at_a_moment_ago_is_not_asked_again_as_a_witness() -> None:
    """Many that fall silent do not have all others asked once for each of them."""
    looker = Looker()
    looker.look(GOOD, "a", "b", "c", "d")
    looker.look(SILENT, "a", times=FALL - 1)
    looker.look(GOOD, "b")
    assert looker.look(SILENT, "a") == {"c", "d"}


def test_whoever_answers_is_asked_no_more_often_while_the_worker_doubts_itself() -> None:
    """One that answers keeps its interval beside two that never will; those are looked at soon."""
    looker = Looker()
    looker.look(SILENT, "a", "b")
    looker.look(GOOD, "c", "here")
    assert looker.beliefs.is_suspect
    paces = {name: looker.beliefs.pace(name) for name in ("a", "b", "c", "here")}
    assert paces == {"a": "transition", "b": "transition", "c": "steady", "here": "steady"}


def test_a_silence_that_was_told_is_not_taken_back_by_doubt() -> None:
    """What others have heard stands until readings change it, and counts no reading of before."""
    looker = Looker()
    looker.look(GOOD, "b", "c", "d")
    looker.look(SILENT, "a")
    looker.look(GOOD, "b", "c", "d")
    assert looker.told()["a"] == "unhealthy"
    looker.look(SILENT, "b", "c", "d")
    assert looker.beliefs.is_suspect
    assert looker.states() == {"a": "unhealthy", **dict.fromkeys("bcd", "healthy")}
    looker.look(GOOD, "c", "d")
    looker.look(SILENT, "b", times=FALL - 1)
    assert looker.states()["b"] == "healthy"


def test_a_network_that_comes_and_goes_makes_nobody_flap() -> None:
    """Of a target that was told once, at most one change is told within each cooldown."""
    for seed in range(40):
        changes = _tell_changes(random.Random(seed))
        for times_s in changes.values():
            waits_s = [after - before for before, after in pairwise(times_s)]
            assert all(wait_s >= COOLDOWN_S for wait_s in waits_s), seed


def _tell_changes(chance: random.Random) -> dict[str, list[float]]:
    """Return when a change of each was told, in half an hour of a bad network."""
    looker, schedule, now_s = Looker(), Schedule(chance.random), 1000.0
    names = set("abcd")
    distant = {name: looker.targets[name] for name in names}
    schedule.update(distant, HealthSettings(), now_s)
    heard: dict[str, str] = {}
    changes: dict[str, list[float]] = {name: [] for name in names}
    has_network, is_up = True, dict.fromkeys(names, True)
    for _ in range(3600):
        now_s += 0.5
        has_network ^= chance.random() < 0.05
        for name in sorted(names):
            is_up[name] ^= chance.random() < 0.03
        for target in schedule.take_due(now_s):
            result = GOOD if has_network and is_up[target.name] else SILENT
            change = looker.beliefs.note(target, result, now_s, now_s)
            if change is not None:
                schedule.due_now(looker.beliefs.find_witnesses(change, names), now_s)
            schedule.finish(target, looker.beliefs.pace(target.name), now_s)
        for target, machine in looker.beliefs.take_news(now_s):
            if heard.setdefault(target.name, machine.state) != machine.state:
                heard[target.name] = machine.state
                changes[target.name].append(now_s)
    return changes
