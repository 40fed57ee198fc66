"""What is believed of providers, and that requests know better."""

from collections.abc import Iterable, Sequence

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import UpstreamServerError
from proxy.domain.health import HealthNews, HealthState, HealthVerdict, ProbeSettings
from proxy.pipeline.board import Board, Ticket
from proxy.pipeline.provider_health import ProviderHealth
from proxy.policy.routing import HEALTH_RANKS
from tests.fakes.proxy_server import build_board

A = Provider("a", "openai", "http://a", models=("m",))
B = Provider("b", "openai", "http://b", models=("m",))
OFF = Provider("off", "openai", "http://off", models=("m",), probe=ProbeSettings("off"))
PROVIDERS = {"a": A, "b": B, "off": OFF}


class SetVerdicts:
    """A VerdictStore in which a test sets what is believed."""

    is_alive = True
    is_suspect = False

    def __init__(self) -> None:
        self.states: dict[str, HealthState] = {}
        self.on_change = lambda names: None

    def __len__(self) -> int:
        """Return how many are set."""
        return len(self.states)

    def find(self, provider: Provider) -> HealthVerdict | None:
        """Return a verdict with the state that was set."""
        state = self.states.get(provider.name)
        if state is None:
            return None
        return HealthVerdict(provider.name, provider.base_url, state, "", 0.0, 0.0, 60.0)

    def take(self, news: HealthNews) -> None:
        """Do nothing."""

    def forget(self, names: Iterable[str]) -> None:
        """Forget what was set."""
        for name in names:
            self.states.pop(name, None)

    async def close(self) -> None:
        """Do nothing."""


def set_states(health: ProviderHealth, **states: HealthState) -> None:
    """Have these be all that is believed."""
    assert isinstance(health.verdicts, SetVerdicts)
    health.verdicts.states = states
    health.refresh(list(PROVIDERS), PROVIDERS)


def rank(board: Board, provider: Provider) -> int:
    """Return the rank that routing gets."""
    return board.health_rank(Deployment(provider, "m"))


def build() -> Board:
    """Return a board with verdicts that a test sets, on a clock that stands still."""
    return Board(build_board().breakers, lambda: 100.0, verdicts=SetVerdicts())


def succeed(board: Board, provider: Provider, times: int) -> None:
    """Have attempts at a provider succeed."""
    for _ in range(times):
        place = board.find_place(Deployment(provider, "m"))
        board.begin(place)
        board.note_content(place, Ticket(), 0.1, streams=True)
        board.end(place, Ticket(), None, ttft_s=0.1)


def test_nothing_is_asked_while_all_stand_alike() -> None:
    """Without verdicts, and with all of them healthy; one that is never checked disturbs nobody."""
    board = build()
    assert board.is_health_even
    set_states(board.health, a="healthy", b="healthy")
    assert board.is_health_even
    set_states(board.health, a="healthy")
    assert not board.is_health_even
    assert (rank(board, A), rank(board, B), rank(board, OFF)) == (0, 1, 0)
    set_states(board.health)
    assert board.is_health_even


def test_i33_requests_that_succeed_outweigh_a_bad_verdict() -> None:
    """Five in half a minute make a provider healthy again, whatever the health worker says."""
    board = build()
    set_states(board.health, a="unhealthy", b="key_rejected")
    assert not board.is_health_even
    succeed(board, A, 4)
    assert rank(board, A) == HEALTH_RANKS["unhealthy"]
    succeed(board, A, 1)
    assert (rank(board, A), rank(board, B)) == (0, HEALTH_RANKS["key_rejected"])
    assert board.health.is_vouched_for("a")
    assert not board.health.is_vouched_for("b")


def test_one_that_dies_is_vouched_for_no_longer() -> None:
    """Two failures in a row, at two of its models, and the bad verdict counts at once."""
    board = build()
    set_states(board.health, a="unhealthy")
    succeed(board, A, 5)
    for model, expected in (("m", 0), ("n", HEALTH_RANKS["unhealthy"])):
        place = board.find_place(Deployment(A, model))
        board.begin(place)
        board.end(place, Ticket(), UpstreamServerError(), ttft_s=None)
        assert rank(board, A) == expected


def test_a_verdict_touches_no_breaker() -> None:
    """However bad it is, whether an attempt may go is what it was."""
    board = build()
    set_states(board.health, a="unhealthy")
    place = board.find_place(Deployment(A, "m"))
    views = [board.breakers.look(each) for each in (place.id, place.host_id, place.key_id)]
    assert {view.state for view in views} == {"closed"}


async def test_a_provider_that_has_changed_begins_anew() -> None:
    """Neither verdict nor requests say anything of another address by the same name."""
    board = build()
    set_states(board.health, a="unhealthy", b="healthy")
    succeed(board, A, 5)
    moved = Provider("a", "openai", "http://elsewhere", models=("m",))
    await board.apply(PROVIDERS, {**PROVIDERS, "a": moved})
    assert (rank(board, moved), rank(board, B)) == (1, 0)
    assert not board.health.is_vouched_for("a")


def test_without_a_store_all_are_unknown() -> None:
    """A process that hears of no health worker ranks everybody alike."""
    board = build_board()
    names: Sequence[str] = list(PROVIDERS)
    board.health.refresh(names, PROVIDERS)
    assert board.health.find_verdict(A) is None
    assert board.is_health_even
