"""
The health worker's own API: how providers stand, by what it believes, and orders to it.

Paths, bodies and rules are those of the proxy's port (`proxy/server/status_endpoints.py`). What
is bytes and connections is in `api_server.py`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import unquote

import structlog
from msgspec import Struct
from multidict import MultiMapping

from health_worker.api_breakers import Breakers
from health_worker.api_metrics import ProbeMetrics
from health_worker.targets import Target
from proxy.domain.breaker import BreakerReport
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.errors import InvalidApiKey, MethodNotAllowed, RouteNotFound
from proxy.domain.health import HealthOrder, HealthVerdict
from proxy.domain.identity import Caller, KeyHasher
from proxy.domain.service import ConfigStatus, ServiceStatus, UptimeRecord
from proxy.policy.access import Access, check_access
from proxy.policy.breaker_targets import split_breaker_id
from proxy.policy.credentials import find_caller
from proxy.policy.visible_models import VisibleModels, add_visible, sees_all
from proxy.telemetry.health import build_health
from proxy.telemetry.order_words import build_order_body
from proxy.telemetry.provider_item import build_provider_item
from proxy.telemetry.provider_status import (
    BARRED,
    Evidence,
    Standing,
    Trouble,
    judge_provider,
)

ORDER_WITHIN_S = 20.0
"""For an order: more than everything that it waits for may take."""

_log = structlog.get_logger("llm_proxy.health_worker")


class Worker(Protocol):
    """What the API shows and gives orders to."""

    snapshot: Snapshot
    targets: Mapping[str, Target]

    @property
    def is_leading(self) -> bool:
        """It probes, and its word counts."""

    @property
    def is_suspect(self) -> bool:
        """It doubts what it sees."""

    @property
    def verdicts(self) -> Mapping[str, HealthVerdict]:
        """What it believes, by name of the target."""

    async def order(self, order: HealthOrder, names: Sequence[str] = ()) -> Mapping[str, Any]:
        """Carry out an order, or have the worker do it that leads."""


class Reply(Struct, frozen=True):
    """An answer: a value that becomes JSON, or bytes of another type."""

    body: object
    content_type: str = "application/json"


class Call(Struct, frozen=True):
    """One request that may be answered."""

    snapshot: Snapshot
    caller: Caller | None
    name: str
    """What stands for `{name}` in its path; "" in one without."""
    by: str
    """Who asks, fit for a log."""

    @property
    def known_caller(self) -> Caller:
        """Who asks, where somebody had to say."""
        if self.caller is None:
            raise InvalidApiKey()
        return self.caller


Endpoint = Callable[[Call], Awaitable[Reply]]


class Path(Struct, frozen=True):
    """One path: who may ask it, by which methods, and what answers."""

    pattern: str
    access: Access
    methods: tuple[str, ...]
    endpoint: Endpoint


class HealthApi:
    """Answers requests; knows nothing of HTTP but methods, paths and headers."""

    def __init__(
        self,
        worker: Worker,
        hasher: KeyHasher,
        metrics: ProbeMetrics,
        breakers: Breakers,
        *,
        read_told: Callable[[], Mapping[str, HealthVerdict]] = dict,
        is_told: Callable[[], bool] = lambda: True,
        started_at: float | None = None,
    ) -> None:
        """
        Answer by these.

        Args:
            worker: whose API it is.
            hasher: what keys of clients are hashed with.
            metrics: what the worker counts.
            breakers: where the circuit breakers of providers are known.
            read_told: returns what the worker that leads has told; asked while this one does not.
            is_told: whether one that leads was heard of lately; asked at the same time.
            started_at: epoch seconds since which there is a worker; None: now.
        """
        self._worker = worker
        self._hasher = hasher
        self._metrics = metrics
        self._breakers = breakers
        self._read_told = read_told
        self._is_told = is_told
        self._started_at = time.time() if started_at is None else started_at
        get, post = ("GET", "HEAD"), ("POST",)
        self._paths = {
            path.pattern: path
            for path in (
                Path("/health", "open", get, self.show_health),
                Path("/status", "key", get, self.show_all),
                Path("/status/{name}", "key", get, self.show_one),
                Path("/providers", "key", get, self.show_all),
                Path("/metrics", "key", get, self.show_metrics),
                Path("/check", "admin", post, self.check_all),
                Path("/check/{name}", "admin", post, self.check_one),
                Path("/discover", "admin", post, self.discover),
                Path("/cache/clear", "admin", post, self.clear),
            )
        }

    def find_path(self, raw_path: str) -> tuple[Path, str]:
        """
        Return the path of a request as it was sent, and what stands there for `{name}`.

        Raises:
            RouteNotFound: there is none.
        """
        path = self._paths.get(raw_path)
        if path is not None and "{" not in raw_path:
            return path, ""
        prefix, _, name = raw_path.rpartition("/")
        path = self._paths.get(prefix + "/{name}")
        if path is None or not name or "{" in prefix:
            raise RouteNotFound()
        return path, unquote(name)

    async def answer(self, method: str, path: Path, name: str, headers: MultiMapping[str]) -> Reply:
        """
        Answer one request.

        Raises:
            ProxyError: it is refused, or could not be done.
        """
        snapshot = self._worker.snapshot
        caller = None
        if path.access != "open":
            caller = find_caller(headers, snapshot, self._hasher)
            check_access(path.access, caller, snapshot)
        if method not in path.methods:
            raise MethodNotAllowed()
        key_id = "nobody" if caller is None else caller.key_id
        return await path.endpoint(
            Call(snapshot, caller, name, f"{method} {path.pattern} by {key_id}")
        )

    async def show_health(self, call: Call) -> Reply:
        """Answer with counts only; always with status 200."""
        worker, snapshot = self._worker, call.snapshot
        verdicts, now_at = self._read_verdicts(), time.time()
        newest_at = max((each.checked_at for each in verdicts.values()), default=self._started_at)
        # Since it runs it has been up: of the proxies it knows nothing.
        uptime = UptimeRecord(self._started_at, newest_at, newest_at - self._started_at, True)
        config = ConfigStatus(snapshot.generation, snapshot.created_at)
        is_at_work = not worker.is_suspect and (worker.is_leading or self._is_told())
        body = build_health(
            snapshot,
            ServiceStatus(config, uptime),
            now_at,
            judge=lambda provider: _judge(provider, verdicts, None, now_at).status,
            health_worker="healthy" if is_at_work else "degraded",
        )
        del body["workers"]
        body["components"]["api_server"] = "unknown"
        return Reply({**body, "is_leading": worker.is_leading, "is_suspect": worker.is_suspect})

    async def show_all(self, call: Call) -> Reply:
        """Answer with the providers of the models that the key may ask for; an admin's with all."""
        return Reply({"providers": await self._describe(call)})

    async def show_one(self, call: Call) -> Reply:
        """Answer with one of them, and with the models that it lists itself."""
        shown = await self._describe(call, (call.name,))
        if not shown:
            raise _build_unknown()
        verdict = self._read_verdicts().get(call.name)
        seen: Collection[str] = () if verdict is None else verdict.models
        if not sees_all(call.known_caller):
            may_see = _find_visible(call.snapshot, call.known_caller)[call.name]
            seen = [model for model in seen if model in may_see]
        return Reply({**shown[0], "models_seen": seen})

    async def show_metrics(self, call: Call) -> Reply:
        """Answer with what is counted, in Prometheus' text format."""
        body, content_type = self._metrics.render(
            is_leading=self._worker.is_leading, is_suspect=self._worker.is_suspect
        )
        return Reply(body, content_type)

    async def check_all(self, call: Call) -> Reply:
        """Check every target now, and answer with what has come of it."""
        return await self._order(call, "check", ())

    async def check_one(self, call: Call) -> Reply:
        """Check one target now."""
        if call.name not in call.snapshot.providers and call.name not in self._worker.targets:
            raise _build_unknown()
        return await self._order(call, "check", (call.name,))

    async def discover(self, call: Call) -> Reply:
        """Search for providers now."""
        return await self._order(call, "discover", ())

    async def clear(self, call: Call) -> Reply:
        """Forget everything that is believed."""
        return await self._order(call, "clear", ())

    async def _order(self, call: Call, order: HealthOrder, names: Sequence[str]) -> Reply:
        _log.info("an operator's order for the health worker", order=order, by=call.by)
        ordered_at = time.time()
        async with asyncio.timeout(ORDER_WITHIN_S):
            summary = await self._worker.order(order, names)
        after = Call(self._worker.snapshot, call.caller, call.name, call.by)
        shown = await self._describe(after, names or None)
        believed = self._read_verdicts()
        body = build_order_body(
            order,
            names,
            shown,
            [believed[name] for each in shown if (name := str(each["name"])) in believed],
            ordered_at=ordered_at,
            now_at=time.time(),
            is_suspect=self._worker.is_suspect,
            summary=summary,
        )
        return Reply(body)

    async def _describe(
        self, call: Call, names: Collection[str] | None = None
    ) -> list[dict[str, object]]:
        """Return the providers that a key has to do with, or those of them that are named."""
        models = _find_visible(call.snapshot, call.known_caller)
        shown = {n: p for n, p in call.snapshot.providers.items() if n in models}
        verdicts, now_at = self._read_verdicts(), time.time()
        if sees_all(call.known_caller):
            for name, target in self._worker.targets.items():
                if target.is_watched_only:
                    listed = verdicts[name].models if name in verdicts else ()
                    shown[name], models[name] = target.provider, target.expected_models or listed
        if names is not None:
            shown = {name: provider for name, provider in shown.items() if name in names}
        reports = await self._breakers.read_worst(list(shown.values()))
        ttl_s = call.snapshot.settings.health.cache_ttl_s
        return [
            build_provider_item(
                provider,
                models[name],
                _judge(provider, verdicts, reports.get(name), now_at),
                reports.get(name),
                now_at=now_at,
                cache_ttl_s=ttl_s,
                tells_reason=sees_all(call.known_caller),
            )
            for name, provider in shown.items()
        ]

    def _read_verdicts(self) -> Mapping[str, HealthVerdict]:
        return self._worker.verdicts if self._worker.is_leading else self._read_told()


def _judge(
    provider: Provider,
    verdicts: Mapping[str, HealthVerdict],
    worst: BreakerReport | None,
    now_at: float,
) -> Standing:
    """Return how a provider stands: no request is seen here, only what is told of breakers."""
    trouble = Trouble()
    if worst is not None:
        is_open, is_tried = worst.state in BARRED, worst.state == "half_open"
        if split_breaker_id(worst.id).kind == "deployment":
            trouble = Trouble(open=int(is_open), half_open=int(is_tried))
        else:
            trouble = Trouble(is_barred=is_open, is_probed=is_tried)
    evidence = Evidence(len(provider.models), trouble, None, verdicts.get(provider.name))
    return judge_provider(provider, evidence, now_at)


def _find_visible(snapshot: Snapshot, caller: Caller) -> dict[str, Collection[str]]:
    """Return the models that a key may see, by provider."""
    if sees_all(caller):
        return {provider.name: provider.models for provider in snapshot.providers.values()}
    found: VisibleModels = {}
    names: Iterable[str] = sorted(caller.models or ())
    add_visible(found, snapshot, names)
    return {name: list(models) for name, models in found.items()}


def _build_unknown() -> RouteNotFound:
    return RouteNotFound("There is no provider by that name; GET /status lists them.")
