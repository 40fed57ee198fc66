"""Opens the stores that the settings of an installation ask for."""

from collections.abc import Callable

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import InstallSettings
from proxy.stores.base import BreakerStore, ReasoningStore, ResponseStore, VerdictStore
from proxy.stores.memory_breakers import MemoryBreakers
from proxy.stores.memory_reasoning import MemoryReasoning
from proxy.stores.memory_responses import MemoryResponses
from proxy.stores.memory_verdicts import MemoryVerdicts
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_reasoning import RedisReasoning
from proxy.stores.redis_responses import RedisResponses
from proxy.stores.redis_verdicts import RedisVerdicts


class FastStores:
    """What changes with every request: shared through Redis, or in this process's memory."""

    def __init__(
        self,
        install: InstallSettings,
        rules: BreakerRules,
        on_redis: Callable[[bool], None],
        on_fault: Callable[[], None],
    ) -> None:
        """
        Open the stores inside a running loop; returns at once, also with Redis away.

        Args:
            install: `redis_url` says where Redis is, None: there is none.
            rules: of the breakers.
            on_redis: called when Redis comes or goes, with whether it is there.
            on_fault: called for each operation at Redis that has failed.

        Raises:
            ValueError: `redis_url` is no such URL.
        """
        self._link: RedisLink | None = None
        self.breakers: BreakerStore
        self.verdicts: VerdictStore
        self.reasoning: ReasoningStore
        self.responses: ResponseStore
        room = (install.response_ttl_s, install.max_response_bytes)
        if install.redis_url is None:
            self.breakers = MemoryBreakers(rules)
            self.verdicts = MemoryVerdicts()
            self.reasoning = MemoryReasoning()
            self.responses = MemoryResponses(*room)
            return
        self._link = link = RedisLink(install.redis_url)
        self.breakers = RedisBreakers(link, rules)
        self.verdicts = RedisVerdicts(link)
        self.reasoning = RedisReasoning(link)
        self.responses = RedisResponses(link, *room)
        link.watch(lambda: on_redis(True), lambda: on_redis(False))
        link.on_fault = on_fault
        link.start()

    @property
    def has_redis(self) -> bool:
        """Redis is configured; whether it is there is another question."""
        return self._link is not None

    def find_degraded(self) -> tuple[str, ...]:
        """Return what is away while requests go on without it."""
        return ("redis",) if self._link is not None and not self._link.is_joined else ()

    async def close(self) -> None:
        """Tell what has still to be told, and let go."""
        await self.breakers.close()
        await self.verdicts.close()
        if self._link is not None:
            await self._link.close()
