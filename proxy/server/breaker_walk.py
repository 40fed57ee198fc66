"""
All breakers that there are, one after the other, without holding other requests up.

`breaker_endpoints.py` lists them and `provider_endpoints.py` sums them up; what an operator orders
is done to them here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from proxy.domain.breaker import BreakerCommand, BreakerReport, name_host_breaker, name_key_breaker
from proxy.domain.catalog import WILDCARD, Provider, Snapshot
from proxy.pipeline.board import Board
from proxy.policy.breaker_targets import EVERYTHING
from proxy.telemetry.breaker_watch import BreakerWatch

PER_TURN = 500
"""Looking at so many takes about half a millisecond."""
PER_READ = 200
"""So many are asked of a store, or told to it, at once."""


class BreakerWalk:
    """The breakers of the catalog and of what was seen besides it, as one store has them."""

    def __init__(self, board: Board, watch: BreakerWatch) -> None:
        self._board = board
        self._breakers = board.breakers
        self._watch = watch

    async def list_ids(self, snapshot: Snapshot, target: str = EVERYTHING) -> AsyncIterator[str]:
        """
        Yield the id of each breaker that a target names (see `policy/breaker_targets.py`).

        A provider's are those of its host and its key, of the models that it lists, and where it
        takes any model, of those that routes name or that were asked for lately.
        """
        if target != EVERYTHING and target not in snapshot.providers:
            yield target
            return
        unlisted = await self._find_unlisted(snapshot, target)
        found = 0
        meant = snapshot.providers if target == EVERYTHING else (target,)
        for provider in map(snapshot.providers.__getitem__, meant):
            for breaker_id in (*_list_whole(provider), *unlisted.get(provider.name, ())):
                found += 1
                if found % PER_TURN == 0:
                    await asyncio.sleep(0)
                yield breaker_id
            for model in provider.models:
                found += 1
                if found % PER_TURN == 0:
                    await asyncio.sleep(0)
                yield f"{provider.name}/{model}"

    async def list_notable(
        self, snapshot: Snapshot, target: str = EVERYTHING
    ) -> AsyncIterator[str]:
        """Yield those that are not closed, or whose last attempt has failed."""
        async for breaker_id in self.list_ids(snapshot, target):
            view = self._breakers.look(breaker_id)
            if view.state != "closed" or view.failures:
                yield breaker_id

    async def read(self, ids: list[str]) -> list[BreakerReport]:
        """Return all that is known about these."""
        reports: list[BreakerReport] = []
        for some in _split(ids):
            reports += await self._breakers.read(some)
            await asyncio.sleep(0)
        return reports

    async def carry_out(self, snapshot: Snapshot, target: str, command: BreakerCommand) -> bool:
        """
        Do what an operator says to all that a target names.

        Returns:
            Whether every process that shares the store will know; False: only this one does.
        """
        # Of many only those that there is something to reset of.
        is_many = target == EVERYTHING or target in snapshot.providers
        listing = self.list_notable if command == "reset" and is_many else self.list_ids
        ids = [breaker_id async for breaker_id in listing(snapshot, target)]
        is_known = self._breakers.is_shared
        for some in _split(ids):
            told = [self._breakers.command(each, command) for each in some]
            is_known = all(await asyncio.gather(*told)) and is_known
            await asyncio.sleep(0)
        return is_known

    async def _find_unlisted(self, snapshot: Snapshot, target: str) -> dict[str, list[str]]:
        """Return the deployments of providers that take any model, as far as they are known."""
        meant = snapshot.providers if target == EVERYTHING else (target,)
        takers = {
            p.name: {f"{p.name}/{model}": False for model in p.models}
            for p in map(snapshot.providers.__getitem__, meant)
            if WILDCARD in p.models
        }
        if not takers:
            return {}
        for index, group in enumerate(snapshot.groups.values()):
            if index % PER_TURN == PER_TURN - 1:
                await asyncio.sleep(0)
            for deployment in group.deployments:
                known = takers.get(deployment.provider.name)
                if known is not None:
                    known.setdefault(deployment.id, True)
        for name, known in takers.items():
            for breaker_id in (*self._board.list_seen(name), *self._watch.list_states(name)):
                if breaker_id.startswith(f"{name}/"):
                    known.setdefault(breaker_id, True)
        return {n: [e for e, is_extra in k.items() if is_extra] for n, k in takers.items()}


def _list_whole(provider: Provider) -> tuple[str, str]:
    return name_host_breaker(provider.name), name_key_breaker(provider.name)


def _split(ids: list[str]) -> Iterable[list[str]]:
    return (ids[begin : begin + PER_READ] for begin in range(0, len(ids), PER_READ))
