"""The real server and pipeline in this process, in front of an upstream of a test's choice."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from proxy.domain.breaker import BreakerRules
from proxy.domain.catalog import Deployment, Group, Provider, Snapshot
from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    HandoverReason,
    RequestRecord,
)
from proxy.domain.identity import Caller, KeyHasher
from proxy.domain.secret import Secret
from proxy.domain.service import ConfigStatus, ServiceStatus
from proxy.domain.settings import Clocks, PoolLimits, Settings
from proxy.pipeline.board import Board
from proxy.pipeline.context import Runtime
from proxy.server.app import build_app, build_runner
from proxy.server.runner import ServerRunner
from proxy.server.state import Desk, ServerState, StillDesk
from proxy.stores.base import BreakerStore, VerdictStore
from proxy.stores.memory import MemoryRateStore
from proxy.stores.memory_breakers import MemoryBreakers
from proxy.telemetry.base import Observer
from proxy.telemetry.health import UptimeTracker
from proxy.upstream.base import Transport
from proxy.upstream.factory import open_transport
from tests import canaries

KEY = canaries.CLIENT_KEY
ADMIN_KEY = canaries.ADMIN_KEY
PROVIDER_KEY = canaries.PROVIDER_KEY
AUTH = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
"""What a client of JSON sends with every request."""
HASHER = KeyHasher(b"pepper of the tests")


NEVER_OPEN = BreakerRules(consecutive=1_000_000, min_calls=1_000_000)
"""For tests of single faults, which may not depend on those before them."""


class RecordingObserver:
    """An Observer that keeps everything it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.attempts: list[AttemptRecord] = []
        self.records: list[RequestRecord] = []
        self.connection_faults: list[ConnectionFault] = []
        self.handovers: list[HandoverReason] = []
        self.failovers: list[tuple[str, str, str]] = []
        self.retries: list[str] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def attempt_started(self, provider: str) -> None:
        """Keep it."""
        self.started.append(provider)

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Keep it."""
        self.attempts.append(attempt)

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        """Keep it."""
        self.failovers.append((from_provider, to_provider, reason))

    def retried(self, provider: str) -> None:
        """Keep it."""
        self.retries.append(provider)

    def request_ended(self, record: RequestRecord) -> None:
        """Keep it, and wake who waits for it."""
        self.records.append(record)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connection_failed(self, fault: ConnectionFault) -> None:
        """Keep it."""
        self.connection_faults.append(fault)

    def connection_handed_over(self, reason: HandoverReason) -> None:
        """Keep it."""
        self.handovers.append(reason)

    async def wait_for_records(self, count: int = 1) -> list[RequestRecord]:
        """Return the records as soon as there are `count` of them."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.records) >= count)
        return self.records

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


class ProxyServer:
    """A running proxy: where it is and what its observer has seen."""

    def __init__(
        self, state: ServerState, observer: RecordingObserver, runner: ServerRunner
    ) -> None:
        self.state = state
        self.runtime = state.runtime
        self.runner = runner
        self.observer = observer
        self.port: int = runner.addresses[0][1]

    @property
    def url(self) -> str:
        """The base URL of clients, with `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"


TRANSPORT = "httptools"
"""Of providers for which a test names none; `tests/faults/conftest.py` changes it."""
CONNECTION = "lean"
"""What plain requests are served by where a test does not say; `tests/conftest.py` changes it."""


def build_provider(base_url: str, **fields: Any) -> Provider:
    """Return a provider named `up` of OpenAI's format that lists the model `m`."""
    given: dict[str, Any] = {
        "name": "up",
        "type": "openai",
        "base_url": base_url,
        "api_key": Secret(PROVIDER_KEY),
        "models": ("m",),
        "transport": TRANSPORT,
        # Faults are looked at one by one: whoever wants repetitions says so.
        "max_retries": 0,
        **fields,
    }
    return Provider(**given)


def build_snapshot(*providers: Provider, **settings: Any) -> Snapshot:
    """Return a snapshot in which every model of every enabled provider has a name."""
    groups: dict[str, Group] = {}
    for provider in providers:
        for model in provider.models if provider.enabled else ():
            known = groups[model].deployments if model in groups else ()
            groups[model] = Group(model, (*known, Deployment(provider, model)))
    return Snapshot(
        generation=1,
        created_at=1_700_000_000.0,
        settings=Settings(**{"cors_origins": ("*",), "breaker": NEVER_OPEN, **settings}),
        providers={provider.name: provider for provider in providers},
        groups=groups,
        callers={HASHER.digest(KEY): Caller(HASHER.key_id(KEY))},
    )


def build_board(
    snapshot: Snapshot | None = None,
    breakers: BreakerStore | None = None,
    verdicts: VerdictStore | None = None,
) -> Board:
    """Return a board over breakers in memory that go by the snapshot's rules."""
    rules = BreakerRules() if snapshot is None else snapshot.settings.breaker
    return Board(MemoryBreakers(rules) if breakers is None else breakers, verdicts=verdicts)


def build_runtime(
    snapshot: Snapshot | None = None,
    *,
    transports: Mapping[str, Transport] | None = None,
    observer: Observer | None = None,
    board: Board | None = None,
) -> Runtime:
    """Return what the requests of a server share; nothing of it needs to be given."""
    return Runtime(
        snapshot or build_snapshot(),
        HASHER,
        transports or {},
        observer or RecordingObserver(),
        MemoryRateStore(),
        board or build_board(snapshot),
    )


def build_status(generation: int = 1) -> ServiceStatus:
    """Return how a service stands that has just come up with one worker."""
    now_at = time.time()
    uptime = UptimeTracker(now_at, is_routable=True).record()
    config = ConfigStatus(generation, now_at)
    return ServiceStatus(config, uptime, workers=1, ready_workers=1)


@asynccontextmanager
async def serving(
    snapshot: Snapshot,
    transports: Mapping[str, Transport] | None = None,
    desk: Desk | None = None,
    board: Board | None = None,
    *,
    connection: str = "",
) -> AsyncIterator[ProxyServer]:
    """
    Serve a snapshot on a free port; requests that are open at the end are cancelled.

    Over "aiohttp" every connection is aiohttp's from its beginning, whatever is asked on it.
    """
    if transports is None:
        transports = {p.name: open_transport(p) for p in snapshot.providers.values() if p.enabled}
    observer = RecordingObserver()
    runtime = build_runtime(snapshot, transports=transports, observer=observer, board=board)
    state = ServerState(
        runtime=runtime,
        desk=desk or StillDesk(build_status()),
        render_metrics=lambda: (b"metrics", "text/plain"),
    )
    app = build_app(state)
    is_lean = (connection or CONNECTION) == "lean"
    runner = build_runner(app) if is_lean else ServerRunner(app.dispatcher.answer, runtime)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield ProxyServer(state, observer, runner)
    finally:
        await runner.cleanup()
        for transport in transports.values():
            await transport.close()


@asynccontextmanager
async def proxying(
    base_url: str,
    *,
    clocks: Clocks | None = None,
    type: str = "openai",
    pool: PoolLimits | None = None,
    **settings: Any,
) -> AsyncIterator[ProxyServer]:
    """Serve the model `m` of one upstream."""
    provider = build_provider(
        base_url, clocks=clocks or Clocks(), type=type, pool=pool or PoolLimits()
    )
    async with serving(build_snapshot(provider, **settings)) as server:
        yield server


def build_chat(**fields: Any) -> dict[str, Any]:
    """Return a chat request for the model `m`."""
    return {"model": "m", "messages": [{"role": "user", "content": canaries.PROMPT}], **fields}


def build_chunk(content: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """Return one event of a chat stream, as a provider of OpenAI's format sends it."""
    delta: dict[str, Any] = {} if content is None else {"content": content}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-2026",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **fields,
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-2026",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}
