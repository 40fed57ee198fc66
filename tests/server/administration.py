"""A server with providers whose breakers a test sets, asked with an admin's or a user's key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from proxy.domain.breaker import BreakerCause, BreakerResult
from proxy.domain.catalog import Deployment, Group, Provider, Snapshot
from proxy.domain.identity import Caller
from proxy.server.state import Desk, ServerState
from proxy.stores.base import BreakerStore, VerdictStore
from tests.fakes.proxy_server import (
    ADMIN_KEY,
    HASHER,
    ProxyServer,
    build_board,
    build_provider,
    build_snapshot,
    serving,
)


def build_catalog(*providers: Provider) -> Snapshot:
    """
    Return a snapshot with an admin key.

    `up` lists two models, one with a slash; `any` takes all, and a route names one of them.
    """
    if not providers:
        providers = (
            build_provider("http://127.0.0.1:1/v1", models=("m", "org/m:free")),
            build_provider("http://127.0.0.1:1/v1", name="any", models=("*",)),
        )
    snapshot = build_snapshot(*providers)
    groups = dict(snapshot.groups)
    if "any" in snapshot.providers:
        groups["chat"] = Group("chat", (Deployment(snapshot.providers["any"], "routed"),))
    admin = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    callers = {**snapshot.callers, **admin}
    return msgspec.structs.replace(snapshot, groups=groups, callers=callers)


class Administered:
    """A running server and who administrates it."""

    def __init__(self, server: ProxyServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    @property
    def state(self) -> ServerState:
        """What its endpoints look at."""
        return self.server.state

    def report(
        self,
        breaker_id: str,
        result: BreakerResult = "fail",
        *,
        times: int = 1,
        hold_s: float = 0.0,
        cause: BreakerCause = "",
    ) -> None:
        """Tell a breaker how attempts have gone."""
        breakers = self.server.runtime.board.breakers
        for _ in range(times):
            epoch = breakers.look(breaker_id).epoch
            breakers.report(breaker_id, result, epoch=epoch, hold_s=hold_s, cause=cause)

    def look(self, breaker_id: str) -> str:
        """Return the state of a breaker."""
        return self.server.runtime.board.breakers.look(breaker_id).state

    async def ask(self, method: str, path: str, key: str = ADMIN_KEY) -> tuple[int, Any]:
        """Return status and JSON; the path goes out as it is."""
        headers = {"Authorization": f"Bearer {key}"}
        url = URL(f"http://127.0.0.1:{self.server.port}{path}", encoded=True)
        async with self.session.request(method, url, headers=headers) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def administrating(
    snapshot: Snapshot | None = None,
    desk: Desk | None = None,
    breakers: BreakerStore | None = None,
    verdicts: VerdictStore | None = None,
) -> AsyncIterator[Administered]:
    """Serve a snapshot; unless others are given, its breakers open after 5 failures in a row."""
    board = build_board(breakers=breakers, verdicts=verdicts)
    async with (
        serving(snapshot or build_catalog(), {}, desk, board) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Administered(server, session)
