"""What attempts prove: breakers, holds, hosts, the way out, and what routing is told."""

import logging
from typing import Any

import pytest

from proxy.domain.breaker import BreakerReport, BreakerRules
from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import (
    DeadlineExceeded,
    ProxyError,
    UpstreamAuthError,
    UpstreamDisconnected,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamUnreachable,
)
from proxy.domain.secret import Secret
from proxy.pipeline.board import Board, Place, Ticket
from proxy.stores.memory_breakers import MemoryBreakers
from tests.fakes.proxy_server import build_provider

RULES = BreakerRules(consecutive=3, open_ms=10_000)
FAR = build_provider("http://far.test/v1", name="far", models=("m", "n", "o"))
OTHER = build_provider("http://other.test/v1", name="other")
NO_NETWORK = UpstreamUnreachable(code="upstream_network_down")


class Desk:
    """A board on a clock of the test's own."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.breakers = MemoryBreakers(RULES, lambda: self.now_s, lambda: 1_700_000_000.0)
        self.egress: list[bool] = []
        self.board = Board(self.breakers, lambda: self.now_s, self.egress.append)

    def place(self, model: str = "m", provider: Provider = FAR) -> Place:
        """Return the place of a deployment."""
        return self.board.find_place(Deployment(provider, model))

    def try_once(
        self,
        error: ProxyError | None,
        *,
        model: str = "m",
        provider: Provider = FAR,
        ttft_s: float | None = None,
        ticket: Ticket | None = None,
    ) -> None:
        """Have an attempt begin and end: with an error before content, or behind it, or well."""
        place = self.place(model, provider)
        if ticket is None:
            ticket = Ticket(epoch=self.breakers.look(place.id).epoch)
        self.board.begin(place)
        if error is None:
            ttft_s = ttft_s or 0.1
        if ttft_s is not None:
            self.board.note_content(place, ticket, ttft_s, streams=True)
        self.board.end(place, ticket, error, ttft_s=ttft_s)

    def made_up(self, model: str) -> Place:
        """Return the place of a model that only a client says there is."""
        taker = build_provider("http://any.test/v1", name="any", models=("*",))
        return self.board.find_place(Deployment(taker, model, is_listed=False))

    def end(self, place: Place, error: ProxyError) -> None:
        """Have an attempt begin and fail."""
        self.board.begin(place)
        self.board.end(place, Ticket(epoch=self.breakers.look(place.id).epoch), error)

    async def read(self, breaker_id: str) -> BreakerReport:
        """Return all that is known of a breaker."""
        (report,) = await self.breakers.read([breaker_id])
        return report

    async def probe(self, *breaker_ids: str) -> Ticket:
        """Return a ticket with a permit of each of these breakers."""
        permits = []
        for each in breaker_ids:
            answer = await self.breakers.acquire(each, 60.0)
            permits.append((each, answer))
        return Ticket("probe", 0, tuple(permits))  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    """A board of which nothing is known yet."""
    return Desk()


async def test_failures_in_a_row_open_the_deployments_breaker(desk: Desk) -> None:
    """As many failures as the rules say open it, and nothing else of its provider."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    assert (await desk.read("far/m")).state == "open"
    for other in ("far/n", "host:far", "key:far"):
        assert (await desk.read(other)).state == "closed"


async def test_a_good_answer_is_told_at_its_first_content(desk: Desk) -> None:
    """A success ends the row of failures before its stream has ended."""
    desk.try_once(UpstreamServerError())
    desk.try_once(UpstreamServerError())
    place = desk.place()
    desk.board.begin(place)
    desk.board.note_content(
        place, Ticket(epoch=desk.breakers.look(place.id).epoch), 0.1, streams=True
    )
    assert (await desk.read("far/m")).failure_count == 0


async def test_streams_that_break_behind_their_content_are_a_row_too(desk: Desk) -> None:
    """A provider that breaks off each of its streams is found out, although each began well."""
    for _ in range(3):
        desk.try_once(UpstreamDisconnected(), ttft_s=0.1)
    assert (await desk.read("far/m")).state == "open"


@pytest.mark.parametrize(
    ("error", "breaker_id", "cause", "retry_in_s"),
    [
        (UpstreamRateLimited(retry_after_s=30.0), "far/m", "rate_limit", 30.0),
        (UpstreamRateLimited(), "far/m", "rate_limit", 1.0),
        (UpstreamAuthError(), "key:far", "auth", 60.0),
        (UpstreamQuotaExhausted(), "key:far", "quota", 300.0),
        (UpstreamModelNotFound(), "far/m", "misconfigured", 300.0),
        (UpstreamOverloaded(retry_after_s=20.0), "far/m", "overloaded", 20.0),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_hold_is_of_who_has_asked_for_it(
    desk: Desk, error: ProxyError, breaker_id: str, cause: str, retry_in_s: float
) -> None:
    """A 429 holds its deployment, a refused key all that is asked with it, for as long as said."""
    desk.try_once(error)
    report = await desk.read(breaker_id)
    assert (report.state, report.cause) == ("open", cause)
    assert retry_in_s <= report.retry_in_s <= retry_in_s * 1.1
    assert (await desk.read("far/n")).state == "closed"


@pytest.mark.parametrize(
    "error", [UpstreamRejected(400), DeadlineExceeded()], ids=lambda error: type(error).__name__
)
async def test_what_is_nobodys_fault_counts_nowhere(desk: Desk, error: ProxyError) -> None:
    """A client's mistake, and an attempt that the deadline cut short, leave no mark."""
    place = desk.place()
    for _ in range(10):
        desk.board.begin(place)
        desk.board.end(place, Ticket(), error, was_cut_short=True)
    report = await desk.read("far/m")
    assert (report.state, report.failure_count, report.calls) == ("closed", 0, 0)
    assert place.success.share == 1.0


async def test_three_deployments_out_of_reach_are_their_host(desk: Desk) -> None:
    """When three deployments cannot be reached the host is left alone, with all it has."""
    for model in ("m", "n"):
        desk.try_once(UpstreamUnreachable(), model=model)
    assert (await desk.read("host:far")).state == "closed"
    desk.try_once(UpstreamUnreachable(), model="o")
    report = await desk.read("host:far")
    assert (report.state, report.cause) == ("open", "failures")
    assert 10.0 <= report.retry_in_s <= 11.0


async def test_an_answer_speaks_for_the_host(desk: Desk) -> None:
    """An error that was an answer is a sign of life: what failed before is not counted on."""
    for model in ("m", "n"):
        desk.try_once(UpstreamUnreachable(), model=model)
    desk.try_once(UpstreamServerError(), model="m")
    desk.try_once(UpstreamUnreachable(), model="o")
    assert (await desk.read("host:far")).state == "closed"


async def test_a_permit_is_given_back_with_what_was_proven(desk: Desk) -> None:
    """Good attempts with permits close the breakers that gave them."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.now_s += 11.0
    for _ in range(3):
        desk.try_once(None, ticket=await desk.probe("far/m"))
    assert (await desk.read("far/m")).state == "closed"


async def test_a_failed_probe_opens_again_for_longer(desk: Desk) -> None:
    """One bad attempt with a permit is enough."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.now_s += 11.0
    desk.try_once(UpstreamServerError(), ticket=await desk.probe("far/m"))
    report = await desk.read("far/m")
    assert (report.state, report.trips) == ("open", 2)
    assert 18.0 <= report.retry_in_s <= 20.0


async def test_who_was_tried_in_need_and_answered_need_not_wait(desk: Desk) -> None:
    """An attempt that only the lack of a better one spoke for ends the wait if it goes well."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.try_once(UpstreamServerError(), ticket=Ticket("panic"))
    report = await desk.read("far/m")
    assert (report.state, report.trips) == ("open", 1)
    desk.try_once(None, ticket=Ticket("panic"))
    assert (await desk.read("far/m")).state == "half_open"


async def test_a_probe_that_breaks_after_its_first_content_has_proven_nothing(desk: Desk) -> None:
    """It gave its permit back at its first content: when it breaks the breaker opens again."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.now_s += 11.0
    ticket = await desk.probe("far/m")
    desk.try_once(UpstreamDisconnected(), ttft_s=0.1, ticket=ticket)
    assert (await desk.read("far/m")).state == "open"


async def test_a_permit_of_the_key_is_answered_by_what_the_key_did(desk: Desk) -> None:
    """A server error says nothing about the key, a good answer closes it, a refusal holds it."""
    desk.try_once(UpstreamAuthError())
    desk.now_s += 70.0
    desk.try_once(UpstreamServerError(), ticket=await desk.probe("key:far"))
    report = await desk.read("key:far")
    assert (report.state, report.permits_in_use) == ("half_open", 0)
    desk.try_once(UpstreamAuthError(), ticket=await desk.probe("key:far"))
    assert (await desk.read("key:far")).state == "open"
    desk.now_s += 70.0
    for _ in range(3):
        desk.try_once(None, ticket=await desk.probe("key:far"))
    assert (await desk.read("key:far")).state == "closed"


async def test_a_permit_of_the_host_is_answered_by_any_answer(desk: Desk) -> None:
    """An error that was an answer proves the host; no connection does not."""
    for model in ("m", "n", "o"):
        desk.try_once(UpstreamUnreachable(), model=model)
    desk.now_s += 12.0
    desk.try_once(UpstreamUnreachable(), ticket=await desk.probe("host:far"))
    assert (await desk.read("host:far")).state == "open"
    desk.now_s += 12.0
    for _ in range(3):
        desk.try_once(UpstreamServerError(), ticket=await desk.probe("host:far"))
    assert (await desk.read("host:far")).state == "closed"


async def test_a_client_that_leaves_gives_its_permit_back(desk: Desk) -> None:
    """An attempt that proved nothing returns its permit and leaves the breaker half-open."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.now_s += 11.0
    place, ticket = desk.place(), await desk.probe("far/m")
    desk.board.begin(place)
    desk.board.end(place, ticket, None, is_over=False)
    report = await desk.read("far/m")
    assert (report.state, report.permits_in_use) == ("half_open", 0)
    assert place.in_flight == 0


async def test_an_attempt_that_never_began_gives_its_permits_back(desk: Desk) -> None:
    """What was taken for an attempt that could not be made is free again."""
    for _ in range(3):
        desk.try_once(UpstreamServerError())
    desk.now_s += 11.0
    desk.board.give_back(await desk.probe("far/m"))
    assert (await desk.read("far/m")).permits_in_use == 0


async def test_i38_a_machine_that_is_cut_off_blames_nobody(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Once two providers are out of this machine's reach, breakers count that no more."""
    caplog.set_level(logging.INFO, "llm_proxy.egress")
    desk.try_once(NO_NETWORK)
    desk.try_once(NO_NETWORK, provider=OTHER)
    for _ in range(10):
        desk.try_once(NO_NETWORK)
        desk.try_once(NO_NETWORK, provider=OTHER)
    assert (await desk.read("far/m")).failure_count == 1
    assert (await desk.read("other/m")).failure_count == 0
    assert desk.egress == [True]
    desk.try_once(None)
    assert desk.egress == [True, False]
    assert len(caplog.records) == 2


async def test_i38_what_runs_here_proves_no_way_out(desk: Desk) -> None:
    """A local server that answers does not show that the network is up."""
    here = build_provider("http://127.0.0.1:9/v1", name="here")
    desk.try_once(NO_NETWORK)
    desk.try_once(NO_NETWORK, provider=OTHER)
    desk.try_once(None, provider=here)
    assert desk.egress == [True]


def test_failures_are_forgotten_with_time(desk: Desk) -> None:
    """Routing hears of failures for half a minute: who stands back for ever cannot improve."""
    desk.try_once(UpstreamServerError())
    desk.try_once(UpstreamServerError())
    assert desk.board.failures("far/m") == 2
    desk.now_s += 30.5
    assert desk.board.failures("far/m") == 0
    desk.try_once(UpstreamServerError())
    desk.try_once(None)
    assert desk.board.failures("far/m") == 0
    assert desk.board.failures("never/heard") == 0


def test_latency_counts_those_under_way(desk: Desk) -> None:
    """Two attempts under way make a deployment look three times as slow."""
    deployment = Deployment(FAR, "m")
    desk.try_once(None, ttft_s=0.2)
    assert desk.board.latency_s(deployment) == pytest.approx(0.2)
    desk.board.begin(desk.place())
    desk.board.begin(desk.place())
    assert desk.board.latency_s(deployment) == pytest.approx(0.6)


def test_what_was_seen_last_is_known(desk: Desk) -> None:
    """A provider's last answer and failure are told with their time; nothing before the first."""
    assert desk.board.last_seen("far") is None
    desk.try_once(None, ttft_s=0.2)
    seen = desk.board.last_seen("far")
    assert seen is not None
    assert (seen.is_good, seen.response_time_s) == (True, 0.2)
    desk.try_once(UpstreamServerError())
    seen = desk.board.last_seen("far")
    assert seen is not None
    assert not seen.is_good


def test_budgets_are_of_names(desk: Desk) -> None:
    """Each name has a budget of its own, which its answers refill."""
    budget = desk.board.find_budget("alias")
    assert desk.board.find_budget("alias") is budget
    assert desk.board.find_budget("another") is not budget
    assert budget.take(desk.now_s)
    budget.finish()
    for _ in range(10):
        desk.board.note_answered("alias")
    desk.board.note_answered("never asked again")
    assert budget.is_full


async def test_names_that_clients_make_up_are_one(desk: Desk) -> None:
    """At a provider that takes any model all names that only clients know share one memory."""
    places = {id(desk.made_up(f"m{number}")) for number in range(1000)}
    assert len(places) == 1
    assert len(desk.board._places) == 1
    for number in range(3):
        desk.end(desk.made_up(f"m{number}"), UpstreamServerError())
    assert (await desk.read("any/*")).state == "open"


@pytest.mark.parametrize(
    "error", [UpstreamModelNotFound(), UpstreamAuthError()], ids=lambda error: type(error).__name__
)
async def test_a_made_up_name_holds_nobody(desk: Desk, error: ProxyError) -> None:
    """A model that a client has made up is not found, or not allowed: nobody else notices."""
    desk.end(desk.made_up("nonsense"), error)
    for breaker_id in ("any/*", "key:any"):
        assert (await desk.read(breaker_id)).state == "closed"


async def test_a_late_answer_to_an_old_key_is_not_held_against_the_new_one(desk: Desk) -> None:
    """An attempt that began before a key was changed ends without a trace."""
    place = desk.place()
    desk.board.begin(place)
    mended = build_provider("http://far.test/v1", name="far", api_key=Secret("sk-another"))
    await desk.board.apply({"far": FAR}, {"far": mended})
    desk.board.end(place, Ticket(), UpstreamAuthError(), provider=FAR)
    assert (await desk.read("key:far")).state == "closed"
    place = desk.board.find_place(Deployment(mended, "m"))
    desk.board.begin(place)
    desk.board.end(place, Ticket(), UpstreamAuthError(), provider=mended)
    assert (await desk.read("key:far")).state == "open"


async def test_what_comes_back_with_another_key_is_new(desk: Desk) -> None:
    """A provider that was taken out and put in again begins without what was held against it."""
    desk.try_once(UpstreamAuthError())
    await desk.board.apply({"far": FAR, "other": OTHER}, {"other": OTHER})
    await desk.board.apply({"other": OTHER}, {"far": FAR, "other": OTHER})
    assert (await desk.read("key:far")).state == "closed"


async def test_a_place_goes_with_its_provider(desk: Desk) -> None:
    """A provider that has moved is looked at anew: what ran here may be far away now."""
    here = build_provider("http://127.0.0.1:9/v1", name="far")
    assert desk.place("m", here).is_here
    await desk.board.apply({"far": here}, {"far": FAR})
    assert not desk.place("m", FAR).is_here


async def test_a_limit_behind_content_holds_too(desk: Desk) -> None:
    """A stream that breaks off with a limit has its deployment left alone like any other."""
    desk.try_once(UpstreamRateLimited(retry_after_s=30.0), ttft_s=0.1)
    report = await desk.read("far/m")
    assert (report.state, report.cause) == ("open", "rate_limit")


def test_whole_answers_count_as_latency(desk: Desk) -> None:
    """Where nothing is streamed, the time of whole answers is what routing goes by."""
    place = desk.place()
    desk.board.begin(place)
    desk.board.note_content(place, Ticket(), 2.0, streams=False)
    desk.board.end(place, Ticket(), None, ttft_s=2.0)
    assert desk.board.latency_s(Deployment(FAR, "m")) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": Secret("sk-another")},
        {"base_url": "http://moved.test/v1"},
        {"headers": {"X-Key": "another"}},
    ],
    ids=str,
)
async def test_a_provider_that_was_mended_begins_anew(desk: Desk, change: dict[str, Any]) -> None:
    """With another key or address what was held against a provider is forgotten."""
    desk.try_once(UpstreamAuthError())
    desk.try_once(UpstreamRateLimited(retry_after_s=100.0))
    mended = build_provider(**{"base_url": "http://far.test/v1", "name": "far", **change})
    await desk.board.apply({"far": FAR}, {"far": FAR})
    assert (await desk.read("key:far")).state == "open"
    await desk.board.apply({"far": FAR}, {"far": mended, "new": OTHER})
    assert (await desk.read("key:far")).state == "closed"
    assert (await desk.read("far/m")).state == "closed"


async def test_simulated_faults_are_held_against_nobody(desk: Desk) -> None:
    """The simulator fails when a client wants it to: no other client may notice."""
    simulator = build_provider("", name="sim", type="simulator", models=("sim-echo",))
    for error in (UpstreamServerError(), UpstreamAuthError(), UpstreamRateLimited()) * 5:
        desk.try_once(error, model="sim-echo", provider=simulator)
    assert (await desk.read("sim/sim-echo")).state == "closed"
    assert (await desk.read("key:sim")).state == "closed"
    assert desk.board.failures("sim/sim-echo") == 0
    assert desk.place("sim-echo", simulator).in_flight == 0
