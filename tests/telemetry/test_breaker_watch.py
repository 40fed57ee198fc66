"""What becomes of a change of a breaker: gauge, counters, events, the status of its provider."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from proxy.domain.breaker import BreakerChange, BreakerState
from proxy.domain.catalog import Provider
from proxy.domain.event import Event
from proxy.telemetry.breaker_watch import BreakerWatch
from proxy.telemetry.event_hub import EventHub
from proxy.telemetry.metrics import Metrics
from tests.canaries import CLIENT_KEY
from tests.telemetry.records import build_snapshot, build_verdict
from tests.telemetry.test_provider_status import NOW_AT, Seen

SNAPSHOT = build_snapshot()
"""alpha lists small and large, beta takes any model."""
ALPHA, BETA = SNAPSHOT.providers["alpha"], SNAPSHOT.providers["beta"]


class Watched:
    """A watch with real metrics, and what it told."""

    def __init__(self, directory: Path) -> None:
        self.metrics = Metrics(directory)
        self.metrics.apply_snapshot(SNAPSHOT)
        events = EventHub()
        self.shared: list[Event] = []
        events.on_own = self.shared.append
        self._own = events.subscribe()
        self.watch = BreakerWatch(
            SNAPSHOT, events, self.metrics, worker=3, read_wall_s=lambda: NOW_AT
        )

    def change(self, breaker_id: str, after: BreakerState, before: BreakerState = "closed") -> None:
        """Have a breaker change."""
        self.watch.take(BreakerChange(breaker_id, before, after, "failures", 2.5))

    def read(self, name: str) -> dict[str, float]:
        """Return the samples of a metric, by provider (and state)."""
        lines = self.metrics.render()[0].decode().splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith(name + "{")]
        return {labels.removeprefix(name): float(value) for labels, _, value in found}

    def level(self, provider: str) -> float:
        """Return the gauge of a provider."""
        return self.read("llm_proxy_circuit_breaker_state")[f'{{provider="{provider}"}}']

    async def read_events(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Return the next events as (name, data)."""
        assert self._own is not None
        found: list[tuple[str, dict[str, Any]]] = []
        for _ in range(count):
            numbered = await self._own.read()
            assert numbered is not None
            found.append((numbered.event.name, msgspec.json.decode(numbered.event.data)))
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A watch over alpha and beta."""
    watched = Watched(tmp_path)
    yield watched
    watched.metrics.close()


def test_the_gauge_follows_the_worst_breaker(watched: Watched) -> None:
    """It rises with the first that opens, and falls when the last has closed."""
    watched.change("alpha/small", "open")
    watched.change("alpha/large", "half_open")
    assert (watched.level("alpha"), watched.level("beta")) == (1, 0)
    watched.change("alpha/small", "closed", "open")
    assert watched.level("alpha") == 2
    watched.change("alpha/large", "closed", "half_open")
    assert watched.level("alpha") == 0


def test_the_host_and_the_key_count_too(watched: Watched) -> None:
    """A host or a key that is held bars all deployments; both must be free again."""
    watched.change("host:alpha", "open")
    watched.change("key:alpha", "open")
    watched.change("host:alpha", "closed", "open")
    assert watched.level("alpha") == 1
    watched.change("key:alpha", "half_open", "open")
    assert watched.level("alpha") == 2
    watched.change("key:alpha", "closed", "half_open")
    assert watched.level("alpha") == 0


def test_a_breaker_that_is_switched_off_counts_as_closed(watched: Watched) -> None:
    """It is listed as not closed, and raises no alarm."""
    watched.change("alpha/small", "open")
    watched.change("alpha/small", "disabled", "open")
    assert watched.level("alpha") == 0
    assert watched.watch.list_states("alpha") == {"alpha/small": "disabled"}
    assert watched.watch.judge_status(ALPHA) == "unknown"


def test_changes_are_counted(watched: Watched) -> None:
    """Each change counts at its provider under the new state."""
    watched.change("alpha/small", "open")
    watched.change("alpha/small", "half_open", "open")
    watched.change("gone/x", "open")
    assert watched.read("llm_proxy_breaker_changes_total") == {
        '{provider="alpha",state="open"}': 1,
        '{provider="alpha",state="half_open"}': 1,
        '{provider="other",state="open"}': 1,
    }


async def test_each_change_is_an_event(watched: Watched) -> None:
    """It names the breaker, both states, the cause, and the worker whose breaker it is."""
    watched.change("beta/org/model", "open")
    watched.change("host:beta", "open")
    (name, data), _, (_, host) = await watched.read_events(3)
    assert name == "breaker"
    assert data.pop("timestamp") > 0
    assert data == {
        "id": "beta/org/model",
        "provider": "beta",
        "model": "org/model",
        "kind": "deployment",
        "before": "closed",
        "after": "open",
        "cause": "failures",
        "retry_in_s": 2.5,
        "worker": 3,
    }
    assert (host["kind"], host["model"]) == ("host", None)


async def test_a_provider_that_changes_its_status_is_an_event(watched: Watched) -> None:
    """Degraded with the first that opens, unhealthy with the last, and back again; once each."""
    watched.change("alpha/small", "open")
    watched.change("alpha/large", "open")
    watched.change("host:alpha", "open")
    watched.watch.find_seen = lambda provider: Seen()
    for breaker_id in ("host:alpha", "alpha/small", "alpha/large"):
        watched.change(breaker_id, "closed", "open")
    events = await watched.read_events(10)
    told = [(d["before"], d["status"]) for name, d in events if name == "provider"]
    assert told == [
        ("healthy", "degraded"),
        ("degraded", "unhealthy"),
        ("unhealthy", "degraded"),
        ("degraded", "healthy"),
    ]


def test_others_are_told_only_of_breakers_that_they_do_not_share(watched: Watched) -> None:
    """With one store for all, each worker hears of a change by itself."""
    watched.change("alpha/small", "open")
    assert [event.name for event in watched.shared] == ["breaker", "provider"]
    watched.watch.is_shared = lambda: True
    watched.change("alpha/large", "open")
    assert len(watched.shared) == 2


def test_one_bad_model_does_not_speak_for_all_others(watched: Watched) -> None:
    """A provider that takes any model and has just answered is degraded, not unhealthy."""
    watched.change("beta/rare", "open")
    assert watched.watch.judge_status(BETA) == "unhealthy"
    watched.watch.find_seen = lambda provider: Seen()
    assert watched.watch.judge_status(BETA) == "degraded"


def test_each_change_is_a_line_without_what_looks_like_a_key(watched: Watched) -> None:
    """An opening is a warning; a client's name for a model is written as far as it is harmless."""
    with capture_logs() as lines:
        watched.change("alpha/small", "open")
        watched.change("alpha/small", "half_open", "open")
        watched.change(f"beta/{CLIENT_KEY}", "open")
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "a circuit breaker is open"),
        ("info", "a circuit breaker is half open"),
        ("warning", "a circuit breaker is open"),
    ]
    assert lines[0]["breaker"] == "alpha/small"
    assert CLIENT_KEY not in str(lines)


def test_what_leaves_the_catalog_is_forgotten(watched: Watched) -> None:
    """A model that is no longer listed and a provider that is gone hold no gauge up."""
    watched.change("alpha/small", "open")
    watched.change("key:alpha", "half_open")
    watched.change("beta/any", "open")
    shrunk = Provider("alpha", "openai", "https://alpha.example", models=("large",))
    watched.watch.apply(build_snapshot(shrunk))
    assert (watched.level("alpha"), watched.level("beta")) == (2, 0)
    assert watched.watch.list_states("alpha") == {"key:alpha": "half_open"}
    assert watched.watch.list_states("beta") == {}


async def test_a_verdict_that_changes_its_status_is_an_event(watched: Watched) -> None:
    """Once, with its reason, to listeners of this process only: each hears of verdicts itself."""
    watched.watch.find_verdict = lambda provider: build_verdict(provider.name, "rate_limited")
    for _ in range(3):
        watched.watch.take_verdicts(["alpha", "gone"])
    watched.watch.find_verdict = lambda provider: None
    watched.watch.take_verdicts(["alpha"])
    (_, worse), (name, better) = await watched.read_events(2)
    assert (name, watched.shared) == ("provider", [])
    assert worse.pop("timestamp") <= better.pop("timestamp")
    assert worse == {
        "name": "alpha",
        "before": "healthy",
        "status": "rate_limited",
        "reason": "it looks rate_limited",
        "worker": None,
    }
    assert (better["before"], better["status"]) == ("rate_limited", "unknown")


def test_requests_that_succeed_are_asked_about_a_bad_verdict(watched: Watched) -> None:
    """A provider that requests vouch for is healthy, whatever is believed of it."""
    watched.watch.find_verdict = lambda provider: build_verdict(provider.name, "unhealthy")
    assert watched.watch.judge_status(ALPHA) == "unhealthy"
    watched.watch.is_vouched_for = lambda name: name == "alpha"
    assert watched.watch.judge_status(ALPHA) == "healthy"
    assert watched.watch.judge_status(BETA) == "unhealthy"
