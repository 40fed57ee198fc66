"""
An API server of Kubernetes that knows EndpointSlices: list with pages, watch, bookmarks, 410.

Source: kubernetes.io/docs/reference/using-api/api-concepts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from tests.fakes.web_app import open_app

NAMESPACE = "models"


def build_slice(
    name: str, *addresses: str, ready: bool | None = True, port: int = 8000, **labels: str
) -> dict[str, Any]:
    """Return a slice of the service `vllm`; `labels` go to `llm-proxy/...`."""
    own = {f"llm-proxy/{key}": value for key, value in labels.items()}
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/service-name": "vllm", "llm-proxy": "true", **own},
        },
        "addressType": "IPv6" if any(":" in address for address in addresses) else "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": ready}} for address in addresses
        ],
        "ports": [
            {"name": "metrics", "port": 9, "protocol": "UDP"},
            {"name": "http", "port": port, "protocol": "TCP"},
        ],
    }


class FakeKubernetes:
    """The slices of one namespace, everything that happened to them, and who asks."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens = {"token-1"}
        self.page_size = 500
        self.lists = 0
        self.watches: list[int] = []
        """The version that each watch began behind."""
        self._version = 100
        self._oldest = 0
        self._slices: dict[str, dict[str, Any]] = {}
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self._news = asyncio.Condition()
        self._cut = 0
        self._open = 0

    async def put(self, item: dict[str, Any]) -> None:
        """Add a slice, or change the one of its name."""
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self._slices else "ADDED"
        await self._tell(kind, name, item)

    async def delete(self, name: str) -> None:
        """Remove a slice."""
        await self._tell("DELETED", name, self._slices[name])

    async def bookmark(self) -> None:
        """Let the version move on with nothing of ours changed, and say so."""
        self._version += 50
        await self._append("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}})

    async def forget(self) -> None:
        """Compact the history: whoever resumes behind anything older gets 410."""
        self._version += 50
        self._oldest = self._version
        self._events.clear()

    async def cut(self) -> None:
        """End every watch."""
        async with self._news:
            self._cut += 1
            self._news.notify_all()

    async def wait_for_watch(self, count: int = 1) -> None:
        """Return once so many watches have begun in all, and one is open."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.watches) >= count and self._open > 0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or a watch."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if request.query.get("watch") == "1":
            return await self._watch(request)
        self.lists += 1
        begin = int(request.query.get("continue", "0"))
        limit = min(int(request.query["limit"]), self.page_size)
        items = [item for item in self._slices.values() if _matches(item, request)]
        page = items[begin : begin + limit]
        more = {"continue": str(begin + limit)} if begin + limit < len(items) else {}
        metadata = {"resourceVersion": str(self._version), **more}
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        behind = int(request.query["resourceVersion"])
        self.watches.append(behind)
        answer = web.StreamResponse()
        answer.content_type = "application/json"
        await answer.prepare(request)
        if behind < self._oldest:
            status = {"kind": "Status", "code": 410, "reason": "Expired"}
            await answer.write(msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n")
            return answer
        cut = self._cut
        async with self._news:
            self._open += 1
            self._news.notify_all()
        try:
            while True:
                for version, kind, item in list(self._events):
                    wants = kind != "BOOKMARK" or request.query.get("allowWatchBookmarks") == "true"
                    if version > behind and wants:
                        behind = version
                        line = msgspec.json.encode({"type": kind, "object": item})
                        await answer.write(line + b"\n")
                async with self._news:
                    await self._news.wait_for(partial(self._has_news, behind, cut))
                    if self._cut != cut:
                        return answer
                    if not any(version > behind for version, *_ in self._events):
                        behind = self._version
        finally:
            self._open -= 1

    def _has_news(self, behind: int, cut: int) -> bool:
        return self._version > behind or self._cut != cut

    async def _tell(self, kind: str, name: str, item: dict[str, Any]) -> None:
        self._version += 1
        metadata = {**item["metadata"], "resourceVersion": str(self._version)}
        item = {**item, "metadata": metadata}
        if kind == "DELETED":
            del self._slices[name]
        else:
            self._slices[name] = item
        await self._append(kind, item)

    async def _append(self, kind: str, item: dict[str, Any]) -> None:
        async with self._news:
            self._events.append((self._version, kind, item))
            self._news.notify_all()


def _matches(item: dict[str, Any], request: web.Request) -> bool:
    key, _, value = request.query["labelSelector"].partition("=")
    return bool(item["metadata"]["labels"].get(key) == value)


@asynccontextmanager
async def open_kubernetes() -> AsyncIterator[FakeKubernetes]:
    """Run an API server without slices."""
    cluster = FakeKubernetes()
    app = web.Application()
    path = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    app.router.add_get(path, cluster.handle)
    async with open_app(app) as url:
        cluster.url = url
        yield cluster
