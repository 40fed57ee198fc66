"""
The words of `VerdictStore` in `proxy/stores/base.py` as tests, the same for every store.

A test class for one implementation inherits from VerdictContract and has a fixture `ground`: a
store that has heard nothing, with a clock that stands still until it is moved.
"""

from abc import ABC, abstractmethod
from typing import Any

from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthNews, HealthState, HealthVerdict
from proxy.stores.memory_verdicts import LONGEST_LIVES_S, MemoryVerdicts

ADDRESS = "https://api.acme.example/v1"
LIVES_S = 180.0
"""Of a verdict."""
WORKER_LIVES_S = 30.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.looks = 0

    def read_s(self) -> float:
        """Return the time."""
        self.looks += 1
        return self.now_s


def build_verdict(
    provider: str = "acme", state: HealthState = "healthy", **changes: Any
) -> HealthVerdict:
    """Return a verdict of a provider at `ADDRESS`."""
    verdict = HealthVerdict(
        provider=provider,
        address=ADDRESS,
        state=state,
        reason="it answers",
        since_at=1_790_000_000.0,
        checked_at=1_790_000_060.0,
        lives_s=LIVES_S,
        response_time_s=0.25,
        models=("acme-1", "größer-2"),
    )
    return replace(verdict, **changes)


class VerdictGround(ABC):
    """A store, its clock, what it has told of changes, and a health worker that speaks to it."""

    def __init__(self, store: MemoryVerdicts, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.changes: list[list[str]] = []
        store.on_change = lambda names: self.changes.append(list(names))

    @abstractmethod
    async def tell(self, *verdicts: HealthVerdict, **more: Any) -> HealthNews:
        """Have the health worker tell something, and return it once the store has heard it."""

    @abstractmethod
    async def tell_again(self, news: HealthNews) -> None:
        """Have something reach the store once more, as it was told before."""

    @abstractmethod
    async def replace_worker(self) -> None:
        """Have another health worker speak from now on."""

    def find(self, name: str = "acme", address: str = ADDRESS) -> HealthVerdict | None:
        """Return what is believed of a provider."""
        return self.store.find(Provider(name, "openai", address))

    def find_state(self, name: str = "acme") -> HealthState | None:
        """Return the state that a provider is believed to be in."""
        verdict = self.find(name)
        return verdict.state if verdict is not None else None


class VerdictContract:
    """What every store of verdicts promises."""

    async def test_nothing_is_believed_of_what_was_never_told(self, ground: VerdictGround) -> None:
        """A store that has heard nothing knows of no provider and of no health worker."""
        assert ground.find() is None
        assert not ground.store.is_alive and not ground.store.is_suspect
        assert len(ground.store) == 0

    async def test_what_is_told_is_believed(self, ground: VerdictGround) -> None:
        """A verdict is found whole, the health worker is alive, and one change is told."""
        verdict = build_verdict()
        await ground.tell(verdict, build_verdict("other", "unhealthy"))
        found = ground.find()
        assert found == replace(verdict, lives_s=found.lives_s if found else 0)
        assert ground.find_state("other") == "unhealthy"
        assert ground.store.is_alive and not ground.store.is_suspect
        assert ground.changes == [["acme", "other"]]
        assert len(ground.store) == 2

    async def test_of_another_address_nothing_is_believed(self, ground: VerdictGround) -> None:
        """A provider by the same name elsewhere is unknown."""
        await ground.tell(build_verdict())
        assert ground.find(address="https://elsewhere.example/v1") is None

    async def test_a_later_verdict_takes_the_place_of_an_earlier(
        self, ground: VerdictGround
    ) -> None:
        """Of two verdicts the one that was told last is believed; others are left alone."""
        await ground.tell(build_verdict(), build_verdict("other"))
        await ground.tell(build_verdict(state="degraded"))
        assert (ground.find_state(), ground.find_state("other")) == ("degraded", "healthy")
        assert ground.changes == [["acme", "other"], ["acme"]]

    async def test_a_verdict_is_over_when_its_time_is(self, ground: VerdictGround) -> None:
        """A moment before `lives_s` it is believed, after it not; each end is told once."""
        await ground.tell(build_verdict(), build_verdict("other", lives_s=2 * LIVES_S))
        ground.clock.now_s += LIVES_S - 1
        ground.store.sweep()
        assert ground.find_state() == "healthy"
        ground.clock.now_s += 1
        assert ground.find() is None
        ground.store.sweep()
        ground.store.sweep()
        assert ground.find_state("other") == "healthy"
        assert ground.changes[1:] == [["acme"]]
        assert len(ground.store) == 1

    async def test_no_verdict_lives_for_ever(self, ground: VerdictGround) -> None:
        """Whatever is said of how long it lives, an hour later it is over."""
        await ground.tell(build_verdict(lives_s=1e12), lives_s=1e12)
        ground.clock.now_s += LONGEST_LIVES_S
        assert ground.find() is None
        assert not ground.store.is_alive

    async def test_a_health_worker_is_alive_as_long_as_it_says(self, ground: VerdictGround) -> None:
        """Each piece of news, also an empty one, says anew for how long; verdicts outlive it."""
        await ground.tell(build_verdict())
        ground.clock.now_s += WORKER_LIVES_S - 1
        await ground.tell()
        ground.clock.now_s += WORKER_LIVES_S - 1
        assert ground.store.is_alive
        ground.clock.now_s += 1
        assert not ground.store.is_alive
        assert ground.find_state() == "healthy"
        assert ground.changes == [["acme"]]

    async def test_a_suspect_worker_takes_nothing_back(self, ground: VerdictGround) -> None:
        """One that doubts itself is known to, until it does not; what it said before holds."""
        await ground.tell(build_verdict())
        await ground.tell(is_suspect=True)
        assert ground.store.is_suspect
        assert ground.find_state() == "healthy"
        await ground.tell()
        assert not ground.store.is_suspect

    async def test_clearing_forgets_what_was_told_before(self, ground: VerdictGround) -> None:
        """After it only what came with it, or later, is believed."""
        await ground.tell(build_verdict(), build_verdict("other"))
        await ground.tell(build_verdict("other", "warming"), is_cleared=True)
        assert (ground.find_state(), ground.find_state("other")) == (None, "warming")
        assert ground.changes[1:] == [["acme", "other"]]

    async def test_forgotten_providers_are_unknown_until_something_new_comes(
        self, ground: VerdictGround
    ) -> None:
        """What was told of a provider before it changed is not believed again."""
        await ground.tell(build_verdict(state="key_rejected"), build_verdict("other"))
        ground.store.forget(["acme", "never-heard-of"])
        assert ground.changes[1:] == [["acme"]]
        await ground.tell()
        assert (ground.find(), ground.find_state("other")) == (None, "healthy")
        await ground.tell(build_verdict())
        assert ground.find_state() == "healthy"

    async def test_what_comes_late_counts_for_nothing(self, ground: VerdictGround) -> None:
        """Told again after something newer, or twice, it changes nothing."""
        old = await ground.tell(build_verdict(state="unhealthy"), build_verdict("other"))
        new = await ground.tell(build_verdict())
        for news in (old, new):
            await ground.tell_again(news)
        assert ground.find_state() == "healthy"
        assert len(ground.changes) == 2

    async def test_a_worker_that_was_replaced_counts_for_nothing(
        self, ground: VerdictGround
    ) -> None:
        """What one says that has lost its lease is passed over, however many it has said."""
        old = await ground.tell(build_verdict(state="unhealthy"))
        await ground.replace_worker()
        new = await ground.tell(build_verdict())
        assert new.fence > old.fence
        await ground.tell_again(replace(old, number=old.number + 100))
        assert ground.find_state() == "healthy"

    async def test_when_nothing_is_believed_any_more_whoever_speaks_is(
        self, ground: VerdictGround
    ) -> None:
        """A worker whose clock was set back is heard once all that was told before is over."""
        news = await ground.tell(build_verdict())
        earlier = replace(news, fence=news.fence // 2)
        ground.clock.now_s += LIVES_S - 1
        await ground.tell_again(earlier)
        assert not ground.store.is_alive
        ground.clock.now_s += 1
        await ground.tell_again(earlier)
        assert ground.store.is_alive and ground.find_state() == "healthy"
