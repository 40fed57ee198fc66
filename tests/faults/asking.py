"""What the rows of clients and abuses ask with: a judged proxy, an upstream that takes notes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import ANSWER, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering
from tests.faults.oracle import Judge, build_body, build_request, judging
from tests.faults.raw_client import Outcome

TAG = b"tag-00000000"
SLACK = 10
"""Promised delays are asserted at ten times their value: tests run on busy machines."""


class Asked:
    """A running proxy with its judge, and all that its provider was asked."""

    def __init__(self, judge: Judge, upstream: Recorder) -> None:
        self.judge = judge
        self.upstream = upstream

    async def post(
        self, body: bytes | None = None, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> Outcome:
        """Send a chat request: these bytes, or a good one with these fields."""
        body = build_body(TAG, **fields) if body is None else body
        return await self.judge.ask_raw(build_request(body, headers=headers))

    async def post_raw(self, request: bytes, *, is_recorded: bool = True) -> Outcome:
        """Send a request of a test's own bytes."""
        return await self.judge.ask_raw(request, is_recorded=is_recorded)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection for a client that the judge does not see: it is a test's to close."""
        return await asyncio.open_connection("127.0.0.1", self.judge.server.port)

    def check_refused(
        self, outcome: Outcome, status: int, code: str | None, param: str | None = None
    ) -> None:
        """
        Check an error to its last word, and that no provider heard of the request.

        `code` is the error's, or its type where errors of that kind have no code.
        """
        assert outcome.verdict == ("refused", status, code), outcome
        assert outcome.error["param"] == param
        assert self.upstream.requests == []

    def sent(self) -> Any:
        """Return the decoded body of the one request that the provider got."""
        (request,) = self.upstream.requests
        return msgspec.json.decode(request[2])


@asynccontextmanager
async def asking(
    upstream: Recorder | None = None, clocks: ClientClocks | None = None, **settings: Any
) -> AsyncIterator[Asked]:
    """Serve the model `m` of a provider that answers every request alike."""
    script = answering(ANSWER) if upstream is None else upstream
    if clocks is not None:
        settings["client_clocks"] = clocks
    async with (
        open_raw_upstream(script) as listening,
        judging(proxying(listening.url, **settings)) as judge,
    ):
        yield Asked(judge, script)
