"""
The providers that a key has to do with, and how each stands: what `/providers` and `/status` list.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

from msgspec import Struct

from proxy.domain.breaker import BreakerReport
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.identity import Caller
from proxy.policy.visible_models import VisibleModels, add_visible, sees_all
from proxy.server.state import ServerState
from proxy.telemetry.provider_item import build_provider_item
from proxy.telemetry.worst_breaker import rate_badness

NAMES_PER_TURN = 500
PROVIDERS_PER_TURN = 50


class Worst(Struct):
    """The breaker of a provider that is worst off."""

    id: str
    badness: tuple[int, int] = (-1, -1)


class ProviderList:
    """Lists providers as this process sees them; no probe runs, and nothing waits for one."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def describe(
        self, snapshot: Snapshot, caller: Caller, names: Collection[str] | None = None
    ) -> list[dict[str, object]]:
        """Return the providers of the models that a caller may ask for, or of these by name."""
        models = await list_models(snapshot, caller)
        shown = [
            provider
            for provider in snapshot.providers.values()
            if provider.name in models and (names is None or provider.name in names)
        ]
        reports = await self._read_worst(snapshot, shown)
        now_at, ttl_s = time.time(), snapshot.settings.health.cache_ttl_s
        return [
            build_provider_item(
                provider,
                models[provider.name],
                self._state.watch.judge(provider),
                report,
                now_at=now_at,
                cache_ttl_s=ttl_s,
                tells_reason=sees_all(caller),
            )
            for provider, report in zip(shown, reports, strict=True)
        ]

    async def _read_worst(
        self, snapshot: Snapshot, shown: Sequence[Provider]
    ) -> list[BreakerReport]:
        worst = []
        for index, provider in enumerate(shown):
            if index % PROVIDERS_PER_TURN == PROVIDERS_PER_TURN - 1:
                await asyncio.sleep(0)
            worst.append(await self._find_worst(snapshot, provider))
        return await self._state.breakers.read([each.id for each in worst])

    async def _find_worst(self, snapshot: Snapshot, provider: Provider) -> Worst:
        look = self._state.runtime.board.breakers.look
        worst = Worst("")
        async for breaker_id in self._state.breakers.list_ids(snapshot, provider.name):
            view = look(breaker_id)
            badness = rate_badness(view.state, view.failures)
            if badness > worst.badness:
                worst.id, worst.badness = breaker_id, badness
        return worst


async def list_models(snapshot: Snapshot, caller: Caller) -> dict[str, Collection[str]]:
    """Return for each provider that a key has to do with the models it may be asked for there."""
    if sees_all(caller):
        return {provider.name: provider.models for provider in snapshot.providers.values()}
    found: VisibleModels = {}
    names = sorted(caller.models or ())
    for begin in range(0, len(names), NAMES_PER_TURN):
        add_visible(found, snapshot, names[begin : begin + NAMES_PER_TURN])
        await asyncio.sleep(0)
    return {name: list(models) for name, models in found.items()}
