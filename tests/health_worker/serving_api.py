"""The health worker's own API in this process, over a worker that a test plays."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec.structs import replace

from health_worker.api import HealthApi
from health_worker.api_breakers import ToldBreakers
from health_worker.api_metrics import ProbeMetrics
from health_worker.api_server import ApiServer
from health_worker.targets import Target, build_targets
from proxy.domain.catalog import Snapshot
from proxy.domain.health import HealthOrder, HealthState, HealthVerdict, WatchedEndpoint
from tests.fakes.proxy_server import ADMIN_KEY, HASHER, build_provider
from tests.server.administration import build_catalog
from tests.server.news import build_verdict

LEFT_OUT = WatchedEndpoint("watched", "http://127.0.0.1:2/v1", ("w",))


class PlayedWorker:
    """What an API shows: `up`, `any` and an endpoint that is only watched."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot or build_catalog(
            build_provider("http://127.0.0.1:1/v1", models=("m", "n")),
            build_provider("http://127.0.0.1:1/v1", name="any", models=("*",)),
        )
        self.targets: Mapping[str, Target] = build_targets(self.snapshot, (LEFT_OUT,))
        self.is_leading = True
        self.is_suspect = False
        self.verdicts: dict[str, HealthVerdict] = {}
        self.orders: list[tuple[HealthOrder, tuple[str, ...]]] = []
        self.fault: Exception | None = None
        self.summary: Mapping[str, Any] = {}

    def believe(self, **states: HealthState) -> None:
        """Have these be believed of targets by their names."""
        for name, state in states.items():
            self.verdicts[name] = build_verdict(self.targets[name].provider, state)

    async def order(self, order: HealthOrder, names: Sequence[str] = ()) -> Mapping[str, Any]:
        """Find all that are meant healthy, or forget everything, or fail."""
        self.orders.append((order, tuple(names)))
        if self.fault is not None:
            raise self.fault
        if order == "clear":
            self.verdicts.clear()
        elif order == "check":
            well: HealthState = "healthy"
            self.believe(**dict.fromkeys(names or self.targets, well))
        return self.summary


class Asked:
    """An API that is served, and who asks it."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        assert server.port is not None
        self.port = server.port
        self._session = session

    async def ask(
        self, method: str, path: str, key: str | None = ADMIN_KEY, **options: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, JSON (or text) and headers."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.request(method, url, headers=headers, **options) as answer:
            is_json = answer.content_type == "application/json" and method != "HEAD"
            body = await answer.json() if is_json else await answer.text()
            return answer.status, body, answer.headers


@asynccontextmanager
async def serving_api(
    worker: PlayedWorker,
    breakers: ToldBreakers | None = None,
    metrics: ProbeMetrics | None = None,
    told: Mapping[str, HealthVerdict] | None = None,
    *,
    is_told: bool = True,
) -> AsyncIterator[Asked]:
    """Serve a worker's API on a free port."""
    metrics = metrics or ProbeMetrics()
    api = HealthApi(
        worker,
        HASHER,
        metrics,
        breakers or ToldBreakers(),
        read_told=lambda: told or {},
        is_told=lambda: is_told,
    )
    server = ApiServer(api, metrics)
    await server.open(("127.0.0.1", 0))
    async with aiohttp.ClientSession() as session:
        try:
            yield Asked(server, session)
        finally:
            await server.close()


def restrict(snapshot: Snapshot, caller_models: frozenset[str]) -> Snapshot:
    """Return it with every user's key restricted to these names."""
    callers = {
        digest: caller if caller.role == "admin" else replace(caller, models=caller_models)
        for digest, caller in snapshot.callers.items()
    }
    return replace(snapshot, callers=callers)
