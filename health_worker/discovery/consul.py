"""
Services of Consul that pass their checks, by one blocking query for each.

Source: developer.hashicorp.com/consul/api-docs/features/blocking.
"""

import asyncio
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct, field

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import (
    DEFAULT_TYPE,
    MAX_WEIGHT,
    Candidate,
    Found,
    build_name,
    build_url,
)
from health_worker.discovery.fetch import Answer, Fetcher
from proxy.domain.discovery import ConsulSettings, SourceName

WAIT_S = 60
"""How long Consul may keep a question to which there is nothing new."""
PAUSE_S = 1.0
"""Between two questions for one service: its index may move without a change of ours."""


class _Node(Struct):
    address: str = field(name="Address", default="")


class _Weights(Struct):
    passing: int = field(name="Passing", default=1)


class _Service(Struct):
    service: str = field(name="Service", default="")
    address: str = field(name="Address", default="")
    port: int = field(name="Port", default=0)
    meta: dict[str, str] | None = field(name="Meta", default=None)
    weights: _Weights | None = field(name="Weights", default=None)


class _Item(Struct):
    node: _Node = field(name="Node")
    service: _Service = field(name="Service")


class ConsulSource:
    """A Source (see `discovery/base.py`) that waits for changes of each service at once."""

    name: SourceName = "consul"
    waits_itself = True

    def __init__(self, settings: ConsulSettings, pause_s: float = PAUSE_S) -> None:
        """
        Take which services are meant.

        Args:
            settings: of the configuration.
            pause_s: the wait between two questions for one service.
        """
        self._settings = settings
        self._pause_s = pause_s
        self._fetcher = Fetcher(settings.url)
        self._known: dict[str, tuple[Candidate, ...]] = {}
        self._told: dict[str, tuple[Candidate, ...]] | None = None
        """What `next` has returned, while nobody has heard anything else since."""
        self._indexes: dict[str, int] = {}
        self._questions: dict[str, asyncio.Task[None]] = {}

    async def next(self) -> Found:
        """Return all passing instances, anew with each change (see `discovery/base.py`)."""
        while True:
            for service in self._settings.services:
                if service not in self._questions:
                    self._questions[service] = asyncio.create_task(self._follow(service))
            await asyncio.wait(
                self._questions.values(),
                # What is said is whole: at first every service has to answer.
                return_when=asyncio.FIRST_COMPLETED if self._is_whole else asyncio.ALL_COMPLETED,
            )
            for service, question in list(self._questions.items()):
                if question.done():
                    del self._questions[service]
                    question.result()
            if self._is_whole and self._known != self._told:
                self._told = dict(self._known)
                return self._build(self._known)

    async def find(self) -> Found:
        """Return all passing instances (see `discovery/base.py`)."""
        services = self._settings.services
        answers = await asyncio.gather(*(self._ask(service, {}) for service in services))
        found = {service: _read(answer) for service, answer in zip(services, answers, strict=True)}
        # What is known by questions that wait may be older, or the same as before an outage.
        self._told = None
        return self._build(found)

    async def close(self) -> None:
        """Close every connection."""
        questions = list(self._questions.values())
        self._questions.clear()
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
        await self._fetcher.close()

    @property
    def _is_whole(self) -> bool:
        return self._known.keys() >= set(self._settings.services)

    async def _follow(self, service: str) -> None:
        """Ask for one service: what is new, if it was asked for before."""
        index = self._indexes.get(service, 0)
        query = {"index": str(index), "wait": f"{WAIT_S}s"} if index else {}
        if service in self._known:
            await asyncio.sleep(self._pause_s)
        try:
            # Consul adds up to a sixteenth, so that not all come back at once.
            answer = await self._ask(service, query, WAIT_S * 17 / 16 + 10 if index else 10.0)
        except SourceFailed:
            self._indexes.pop(service, None)
            raise
        new = _read_index(answer)
        # One that goes backwards is of a server that was set up anew: nothing can be waited for.
        self._indexes[service] = 0 if new < index else new
        self._known[service] = _read(answer)

    async def _ask(self, service: str, query: dict[str, str], within_s: float = 10.0) -> Answer:
        headers = {}
        if self._settings.token is not None:
            headers["X-Consul-Token"] = self._settings.token.reveal()
        tag = {"tag": self._settings.tag} if self._settings.tag is not None else {}
        path = f"/v1/health/service/{quote(service, safe='')}"
        full = f"{path}?{urlencode({'passing': 'true', **tag, **query})}"
        answer = await self._fetcher.get(full, headers, within_s)
        if answer.status in (401, 403):
            raise SourceFailed(f"its token may not read services (status {answer.status})")
        if answer.status != 200:
            raise SourceFailed(f"it answers with status {answer.status}")
        return answer

    def _build(self, known: dict[str, tuple[Candidate, ...]]) -> Found:
        candidates: dict[str, Candidate] = {}
        for service in self._settings.services:
            for candidate in known[service]:
                candidates.setdefault(candidate.name, candidate)
        return Found(tuple(candidates.values()))


def _read_index(answer: Answer) -> int:
    text = answer.headers.get("x-consul-index", "")
    # Less than 1 would not wait at all.
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


def _read(answer: Answer) -> tuple[Candidate, ...]:
    try:
        items = msgspec.json.decode(answer.body, type=list[_Item])
    except (msgspec.MsgspecError, RecursionError):
        raise SourceFailed("its answer cannot be read") from None
    return tuple(sorted(map(_build_candidate, items), key=lambda found: found.name))


def _build_candidate(item: _Item) -> Candidate:
    service = item.service
    meta = service.meta or {}
    address = service.address or item.node.address
    type_name = meta.get("type", DEFAULT_TYPE)
    scheme = "https" if meta.get("scheme") == "https" else "http"
    models = (name.strip() for name in meta.get("models", "").split(","))
    return Candidate(
        name=build_name(service.service, address, service.port),
        base_url=build_url(scheme, address, service.port, meta.get("path"), type_name),
        type=type_name,
        models=tuple(dict.fromkeys(filter(None, models))),
        # Of Consul's, which are shares of traffic there and go up to 65535, as many as ours.
        weight=min(max(service.weights.passing, 1), MAX_WEIGHT) if service.weights else 1,
    )
