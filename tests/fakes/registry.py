"""A registry of providers: a JSON list with an ETag, behind a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from tests.fakes.web_app import open_app


class FakeRegistry:
    """What the list says, and how it was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.token: str | None = None
        self.list: Any = []
        self.status = 200
        self.answers: list[int] = []
        """The status of each answer."""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        answer = self._answer(request)
        self.answers.append(answer.status)
        return answer

    def _answer(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        raw = self.list if isinstance(self.list, bytes) else msgspec.json.encode(self.list)
        tag = f'"{hash(raw):x}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=raw, content_type="application/json", headers={"ETag": tag})


@asynccontextmanager
async def open_registry() -> AsyncIterator[FakeRegistry]:
    """Run a registry with an empty list."""
    registry = FakeRegistry()
    app = web.Application()
    app.router.add_get("/list.json", registry.handle)
    async with open_app(app) as url:
        registry.url = f"{url}/list.json?team=a"
        yield registry
