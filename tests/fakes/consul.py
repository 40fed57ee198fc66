"""
A Consul agent that knows the health of services, with blocking queries.

Source: developer.hashicorp.com/consul/api-docs/features/blocking.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from msgspec import Struct

from tests.fakes.web_app import open_app


class Instance(Struct):
    """One instance of a service."""

    address: str
    port: int = 8000
    meta: dict[str, str] = {}
    tags: list[str] = []
    is_passing: bool = True
    node: str = "10.9.9.9"
    weight: int = 1


class FakeConsul:
    """Instances by service, and how they were asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.token: str | None = None
        self.status = 200
        self.index = 10
        self.asked: list[dict[str, str]] = []
        """The query of each question, with its service."""
        self._services: dict[str, list[Instance]] = {}
        self._waits = 0
        self._news = asyncio.Condition()

    async def put(self, service: str, *instances: Instance) -> None:
        """Say which instances a service has from now on."""
        async with self._news:
            self._services[service] = list(instances)
            self.index += 1
            self._news.notify_all()

    async def restore(self) -> None:
        """Begin with a smaller index, as servers do that were set up from a backup."""
        async with self._news:
            self.index = 2
            self._news.notify_all()

    async def wait_for_questions(self, count: int) -> None:
        """Return once so many questions, since the beginning, have had to wait for news."""
        async with self._news:
            await self._news.wait_for(lambda: self._waits >= count)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one question, at once or when there is news."""
        service = request.match_info["service"]
        self.asked.append({"service": service, **request.query})
        if self.token and request.headers.get("X-Consul-Token") != self.token:
            return web.Response(status=403)
        if self.status != 200:
            return web.Response(status=self.status)
        known = int(request.query.get("index", "0"))
        if known == self.index:
            async with self._news:
                self._waits += 1
                self._news.notify_all()
                await self._news.wait_for(lambda: self.index != known)
        items = [
            _tell(service, instance)
            for instance in self._services.get(service, [])
            if (instance.is_passing or "passing" not in request.query)
            and request.query.get("tag") in (None, *instance.tags)
        ]
        return web.json_response(items, headers={"X-Consul-Index": str(self.index)})


def _tell(service: str, instance: Instance) -> dict[str, Any]:
    return {
        "Node": {"Node": "n", "Address": instance.node},
        "Service": {
            "ID": f"{service}-1",
            "Service": service,
            "Address": instance.address,
            "Port": instance.port,
            "Meta": instance.meta or None,
            "Tags": instance.tags,
            "Weights": {"Passing": instance.weight, "Warning": 1},
        },
    }


@asynccontextmanager
async def open_consul() -> AsyncIterator[FakeConsul]:
    """Run an agent that knows no service."""
    consul = FakeConsul()
    app = web.Application()
    app.router.add_get("/v1/health/service/{service}", consul.handle)
    async with open_app(app) as url:
        consul.url = url
        yield consul
