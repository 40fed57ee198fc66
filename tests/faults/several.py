"""
Several providers of one model under the oracle: what the first do wrong, another makes good.

    async with judging_several([reset(good, 0)], [tell(good)]) as served:
        outcome = await served.judge.ask(stream=True)
        assert served.list_attempts(outcome) == [("a", "upstream_disconnected"), ("b", "ok")]

The providers are `a`, `b` and `c`, in this order of priority. Each is given as what it does with
its requests, one deed after the other, or as the address of something else. Those that do deeds
mark their answers with their number, and the oracle holds each answer to who gave it. The
breakers go by a clock that a test can set forward.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec.structs import replace
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from proxy.domain.breaker import BreakerReport
from proxy.domain.catalog import Deployment, Group, Snapshot
from proxy.domain.settings import Clocks
from proxy.pipeline.board import Board
from proxy.stores.memory_breakers import MemoryBreakers
from proxy.upstream.factory import open_transport
from proxy.upstream.resolver import Resolver
from tests.fakes.proxy_server import KEY, build_chat, build_provider, build_snapshot, serving
from tests.fakes.raw_upstream import open_raw_upstream
from tests.faults.fault_upstream import Deed, FaultUpstream
from tests.faults.oracle import SOURCES, Judge, judging
from tests.faults.raw_client import Outcome

HASTY = Clocks(headers_s=0.1, first_token_s=0.1, idle_s=0.1, answer_s=0.1)
"""Of the providers that are to fail; who is to answer has all the time that it needs."""
Doing = Sequence[Deed] | str
"""The deeds of a provider, or the address of one that the test has opened itself."""


class SettableClock:
    """The monotonic clock, and what a test has added to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class Several:
    """A running proxy with its judge, and the providers behind it."""

    def __init__(
        self,
        judge: Judge,
        scripts: Mapping[str, FaultUpstream],
        breakers: MemoryBreakers,
        clock: SettableClock,
    ) -> None:
        self.judge = judge
        self.scripts = scripts
        self.breakers = breakers
        self.clock = clock

    @property
    def board(self) -> Board:
        """What the proxy knows of its deployments."""
        return self.judge.server.runtime.board

    async def ask_sdk(self, stream: bool, **fields: Any) -> str:
        """Ask through OpenAI's SDK, which repeats nothing, and return the text of its answer."""
        self.judge.allow_unseen()
        async with open_sdk(self.judge.server.url) as client:
            return await read_text(client, stream, **fields)

    def list_attempts(self, outcome: Outcome) -> list[tuple[str, str]]:
        """Return who was asked for one request, in order, and how it ended there."""
        records = self.judge.server.observer.records
        (record,) = [each for each in records if each.request_id == outcome.request_id]
        return [(attempt.provider, attempt.outcome) for attempt in record.attempts]

    def count_requests(self) -> list[int]:
        """Return how many requests each provider that does deeds has got."""
        return [len(script.requests) for script in self.scripts.values()]

    async def read_breaker(self, breaker_id: str) -> BreakerReport:
        """Return all that is known of one breaker."""
        (report,) = await self.breakers.read([breaker_id])
        return report


@asynccontextmanager
async def judging_several(
    *doings: Doing,
    clocks: Clocks | None = None,
    hasty: Clocks = HASTY,
    fields: Mapping[str, Any] | None = None,
    resolvers: Mapping[str, Resolver] | None = None,
    edit: Callable[[Snapshot], Snapshot] | None = None,
    **settings: Any,
) -> AsyncIterator[Several]:
    """
    Serve the model `m` of several providers under the oracle.

    All but the last are `hasty`, unless `clocks` are those of all. `fields` are of each provider,
    `resolvers` find the address of some, `edit` changes the whole catalog, `settings` are its own.
    """
    scripts = {
        name: FaultUpstream(*doing, source=number)
        for number, (name, doing) in enumerate(zip(SOURCES, doings, strict=False), 1)
        if not isinstance(doing, str)
    }
    async with AsyncExitStack() as stack:
        providers = []
        for number, (name, doing) in enumerate(zip(SOURCES, doings, strict=False), 1):
            is_last = number == len(doings)
            url = doing if isinstance(doing, str) else ""
            if name in scripts:
                url = (await stack.enter_async_context(open_raw_upstream(scripts[name]))).url
            own: dict[str, Any] = {
                "clocks": clocks or (Clocks() if is_last else hasty),
                **(fields or {}),
            }
            providers.append(build_provider(url, name=name, priority=number, **own))
        snapshot = build_snapshot(*providers, **settings)
        snapshot = replace(snapshot, groups={"m": build_group(snapshot, "m")})
        snapshot = snapshot if edit is None else edit(snapshot)
        clock = SettableClock()
        breakers = MemoryBreakers(snapshot.settings.breaker, clock)
        transports = {
            each.name: open_transport(each, (resolvers or {}).get(each.name)) for each in providers
        }
        opening = serving(snapshot, transports, board=Board(breakers, clock))
        judge = await stack.enter_async_context(judging(opening))
        yield Several(judge, scripts, breakers, clock)


def build_group(snapshot: Snapshot, name: str, *fallbacks: str, **fields: Any) -> Group:
    """Return the group of a model at all providers of a catalog that list it, best first."""
    deployments = tuple(
        Deployment(each, name, each.priority, each.weight)
        for each in snapshot.providers.values()
        if name in each.models
    )
    return Group(name, deployments, fallbacks=fallbacks, **fields)


@asynccontextmanager
async def open_sdk(url: str, max_retries: int = 0) -> AsyncIterator[AsyncOpenAI]:
    """Open OpenAI's client on one connection of its own."""
    # Nothing here speaks TLS: to load the system's certificates takes longer than most tests.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    http_client = DefaultAsyncHttpxClient(verify=context, trust_env=False)
    async with AsyncOpenAI(
        base_url=url, api_key=KEY, max_retries=max_retries, http_client=http_client
    ) as client:
        yield client


async def read_text(client: AsyncOpenAI, stream: bool, **fields: Any) -> str:
    """Return the text of an answer, streamed or whole; it must have come to its finish."""
    if not stream:
        answer = await client.chat.completions.create(**build_chat(**fields))
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content or ""
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(**build_chat(stream=True, **fields))
    ]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    return "".join(choice.delta.content or "" for choice in choices)


def say(provider: str, stream: bool) -> str:
    """Return what a provider says to a client that has no tag, when it does as `build_good`."""
    number = SOURCES.index(provider) + 1
    return f"tag-{number}9999999 says {'more' if stream else 'hello'}"
