"""The circuit breakers of providers, as far as a health worker hears of them: only to be shown."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from proxy.domain.breaker import (
    BreakerCause,
    BreakerReport,
    BreakerState,
    name_host_breaker,
    name_key_breaker,
)
from proxy.domain.catalog import Provider
from proxy.domain.event import Event
from proxy.stores.base import BreakerStore
from proxy.telemetry.worst_breaker import rate_badness

FORGET_AFTER_S = 600.0
"""Twice as long as any waits by itself: what is older is of a worker that is gone."""


class Breakers(Protocol):
    """Where it is known which of a provider's breakers is worst off."""

    async def read_worst(self, providers: Sequence[Provider]) -> Mapping[str, BreakerReport]:
        """Return the worst breaker of each provider by its name; of some nothing may be known."""


class SharedBreakers:
    """Those that all proxies share through Redis."""

    def __init__(self, breakers: BreakerStore) -> None:
        self._breakers = breakers

    async def read_worst(self, providers: Sequence[Provider]) -> Mapping[str, BreakerReport]:
        """Return what Redis knows of the worst of each (see `Breakers`)."""
        ids = {provider.name: self._find_worst(provider) for provider in providers}
        reports = await self._breakers.read(list(ids.values()))
        return dict(zip(ids, reports, strict=True))

    def _find_worst(self, provider: Provider) -> str:
        name = provider.name
        ids = [name_host_breaker(name), name_key_breaker(name)]
        ids += [f"{name}/{model}" for model in provider.models]
        views = {each: self._breakers.look(each) for each in ids}
        return max(ids, key=lambda each: rate_badness(views[each].state, views[each].failures))


class _Told(Struct, frozen=True):
    """The fields of a `breaker` event that count here."""

    id: str
    provider: str
    after: BreakerState
    cause: BreakerCause = ""
    retry_in_s: float = 0.0
    worker: int | None = None


class ToldBreakers:
    """Those that each worker of one service has for itself, by the events that they tell."""

    def __init__(self, read_wall_s: Callable[[], float] = time.time) -> None:
        """Begin with everything closed; `read_wall_s` is epoch seconds."""
        self._read_wall_s = read_wall_s
        self._reports: dict[str, dict[tuple[str, int | None], tuple[float, BreakerReport]]] = {}

    def keep(self, names: Collection[str]) -> None:
        """Let go of the breakers of all providers but these."""
        self._reports = {name: told for name, told in self._reports.items() if name in names}

    def take(self, events: Sequence[Event]) -> None:
        """Take note of what has happened; what is about other things is passed over."""
        for event in events:
            if event.name != "breaker":
                continue
            try:
                told = msgspec.json.decode(event.data, type=_Told)
            except msgspec.MsgspecError:
                continue  # of a version that tells it otherwise; it is only shown
            self._keep(told, event.at)

    async def read_worst(self, providers: Sequence[Provider]) -> Mapping[str, BreakerReport]:
        """Return the worst that was told of each (see `Breakers`)."""
        now_at = self._read_wall_s()
        worst: dict[str, BreakerReport] = {}
        for provider in providers:
            reports = [
                report
                for at, report in self._reports.get(provider.name, {}).values()
                if report.state == "forced_open" or now_at - at < FORGET_AFTER_S
            ]
            if reports:
                worst[provider.name] = max(
                    reports, key=lambda each: rate_badness(each.state, each.failure_count)
                )
        return worst

    def _keep(self, told: _Told, at: float) -> None:
        known = self._reports.setdefault(told.provider, {})
        if told.after in ("closed", "disabled"):
            known.pop((told.id, told.worker), None)
            return
        has_failed = told.after == "open" and told.cause == "failures"
        report = BreakerReport(
            id=told.id,
            state=told.after,
            cause=told.cause,
            failure_count=0,
            last_failure_time=at if has_failed else None,
            retry_in_s=told.retry_in_s,
            trips=0,
            calls=0,
            failed_calls=0,
            slow_calls=0,
            permits_in_use=0,
        )
        known[told.id, told.worker] = (at, report)
