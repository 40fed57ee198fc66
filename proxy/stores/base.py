"""What the request's path needs of state that outlives a request. Implementations stand beside."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from proxy.domain.breaker import (
    BreakerCause,
    BreakerChange,
    BreakerCommand,
    BreakerReport,
    BreakerResult,
    BreakerRules,
    BreakerView,
    Permit,
)
from proxy.domain.catalog import Provider
from proxy.domain.chat import Maker
from proxy.domain.health import HealthNews, HealthVerdict
from proxy.domain.reasoning import KeptReasoning
from proxy.domain.settings import RateLimit
from proxy.domain.stored_response import StoredResponse
from proxy.policy.limits import RateDecision


class RateStore(Protocol):
    """
    What each key has used of its rate limit.

    Reading, deciding and writing are one step, so that no two requests can take the same
    place, also where several processes share one store.
    """

    async def take(self, key: str, limit: RateLimit) -> RateDecision:
        """
        Count one request of a key, if its limit has room for it.

        Time is the store's own: processes that share a store need not share a clock.

        Args:
            key: who is counted, such as `default:key_0123456789ab`.
            limit: what holds for the key now.

        Returns:
            The decision; a request that is refused has used nothing.

        Raises:
            Nothing.

        Source: `policy/limits.py` is the rule, docs/security.md says what clients see of it.
        """


class BreakerStore(Protocol):
    """
    The circuit breakers, one for each id; an id that was never heard of is closed.

    Ids are `provider/model` for a deployment, `host:provider` and `key:provider`. A request
    that finds its breaker closed never waits: `look` and `report` only touch memory, and a
    store that processes share tells the others behind the request's back.

    Source: `policy/breaker.py` is the machine; docs/routing.md and docs/redis.md say what
    operators see. tests/stores/breaker_contract.py holds every implementation to this.
    """

    rules: BreakerRules
    """Those of the configuration; replaced when a snapshot is published."""
    on_change: Callable[[BreakerChange], None]
    """Called in the event loop for each change of a breaker, wherever it began; must not raise."""

    @property
    def is_shared(self) -> bool:
        """Other processes see the same breakers now."""

    @property
    def rules_in_force(self) -> BreakerRules:
        """What decides now: `rules`, or where a shared store is away, those of a process alone."""

    def look(self, breaker_id: str) -> BreakerView:
        """
        Return how a breaker stands as far as this process knows; no I/O, microseconds.

        An open one whose time is over still says `open`, with `retry_at_s` in the past: whoever
        wants to try asks `acquire`.
        """

    async def acquire(self, breaker_id: str, lease_s: float) -> Permit | BreakerView:
        """
        Ask for one attempt at something that is not closed.

        Args:
            breaker_id: whose breaker.
            lease_s: seconds until the attempt must have told how it went, at the latest.

        Returns:
            A Permit: go on, and report with it. Else how it stands: closed (or disabled)
            meanwhile, so go on; or not, so ask somebody else.

        Raises:
            Nothing: where a shared store is away, this process's own machine decides.
        """

    def report(
        self,
        breaker_id: str,
        result: BreakerResult,
        *,
        epoch: int = 0,
        token: str = "",
        hold_s: float = 0.0,
        cause: BreakerCause = "",
    ) -> None:
        """
        Take note of how an attempt went (see `Breaker.report`); returns at once.

        Args:
            breaker_id: whose breaker.
            result: how it went.
            epoch: of the Permit, else of the view that the attempt began with.
            token: of the Permit.
            hold_s: with `hold`, seconds; 0 leaves it to the machine.
            cause: with `hold`, why.
        """

    async def command(self, breaker_id: str, command: BreakerCommand) -> bool:
        """
        Do what an operator says.

        Returns:
            Whether every process that shares this store will know; False: only this one does.
        """

    async def read(self, breaker_ids: Sequence[str]) -> list[BreakerReport]:
        """Return all that is known about these breakers, in their order."""

    async def close(self) -> None:
        """Let go of what is held; what was reported is told to the others first."""


class VerdictStore(Protocol):
    """
    What the health worker believes of each provider, as far as this process has heard.

    A verdict is advice, and ages: once its time is over, by this process's own clock, the provider
    is unknown. Reading costs no I/O; what is new comes from the supervisor or through Redis.

    Source: docs/health.md. tests/stores/verdict_contract.py holds every implementation to this.
    """

    on_change: Callable[[Sequence[str]], None]
    """Called in the event loop with the names of providers of which something new is believed, be
    it only that it was checked again, or that a verdict is over; must not raise."""

    def __len__(self) -> int:
        """Return how many verdicts are held."""

    @property
    def is_alive(self) -> bool:
        """A health worker has been heard of lately."""

    @property
    def is_suspect(self) -> bool:
        """The health worker that was heard of doubts what it sees, and tells no verdicts."""

    def find(self, provider: Provider) -> HealthVerdict | None:
        """Return what is believed of a provider at its address; None: nothing. Microseconds."""

    def take(self, news: HealthNews) -> None:
        """Learn what a health worker tells; what is not newer than all before is passed over."""

    def forget(self, names: Iterable[str]) -> None:
        """Believe nothing of these providers until something new is told: they have changed."""

    async def close(self) -> None:
        """Let go of what is held."""


class ReasoningStore(Protocol):
    """
    What models have thought before they called tools, by the ids of the calls.

    Clients of OpenAI's format do not send it back, and some providers refuse a conversation
    without it. Best effort: what is too old or too much is gone, and the client is told so.

    Source: docs/dialects.md, "Reasoning". tests/stores/reasoning_contract.py holds every
    implementation to this.
    """

    @property
    def is_shared(self) -> bool:
        """Other processes may have kept something, which `fetch` asks for."""

    def keep(self, owner: str, kept: KeptReasoning) -> None:
        """
        Keep the reasoning of a turn; returns at once, and never raises.

        Args:
            owner: whose it is, an organization's id: nobody else finds it.
            kept: what was thought, under each id of its calls.
        """

    def find(self, owner: str, maker: Maker, call_id: str) -> KeptReasoning | None:
        """Return what this process has kept; None: nothing, or no longer. No I/O."""

    async def fetch(
        self, owner: str, maker: Maker, call_ids: tuple[str, ...]
    ) -> dict[str, KeptReasoning]:
        """
        Return what others have kept under these ids, by id; never raises.

        Only asked where `find` has nothing and a provider wants it.
        """


class ResponseStore(Protocol):
    """
    Answers of the Responses API, by the ids that clients got, each for a limited time.

    Best effort as to time: what is too old or too much is gone. Where processes share a store,
    what one has kept all of them find.

    Source: docs/dialects.md, "Responses". tests/stores/response_contract.py holds every
    implementation to this.
    """

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """
        Keep an answer; returns at once, and never raises.

        Args:
            owner: whose it is, an organization's id: nobody else finds it.
            stored: what is kept.
        """

    async def settle(self) -> None:
        """
        Return once all that was kept is found by every process that shares the store.

        Never raises, and gives up after a short while: then some may not find it yet.
        """

    async def find(self, owner: str, response_id: str) -> StoredResponse | None:
        """
        Return what is kept under an id; None: nothing, or no longer.

        Raises:
            ResponseStoreUnavailable: those who share it cannot be asked, and it is not here.
        """

    async def delete(self, owner: str, response_id: str) -> bool:
        """
        Forget an answer, here and wherever it is shared; return whether there was one.

        Raises:
            ResponseStoreUnavailable: it may still be where it is shared.
        """
