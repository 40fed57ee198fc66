"""What proxies tell of providers, as somebody sees it who asks them again and again."""

import asyncio
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from campaigns.ground.client import Broken, Client, build_get_request

EACH_S = 0.2
FROM_PROBES = "probe"
"""The `source` of what a health worker has said."""
STATUS = build_get_request("/status")


class Item(Struct, frozen=True):
    """What `/status` tells of one provider, as far as it is looked at here."""

    name: str
    status: str
    last_check: float | None = None
    response_time: float | None = None
    since: float | None = None
    source: str = "none"
    reason: str | None = None


class Page(Struct, frozen=True):
    """One answer of `/status`."""

    providers: tuple[Item, ...]


class Sighting(Struct, frozen=True):
    """
    Something new that one proxy told of one provider.

    `at` is when it was seen, `unseen_at` when it was looked for and not there yet: it came between
    the two. Epoch seconds, as `last_check` is.
    """

    proxy: int
    item: Item
    at: float
    unseen_at: float


class Watch(Struct):
    """Asks the proxies for `/status` from `start` to `stop`, and keeps what is new."""

    ports: Sequence[int]
    sightings: list[Sighting] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _last: list[dict[str, Item]] = field(default_factory=list)

    def start(self) -> None:
        """Begin; the proxies are asked one after the other, not all at one moment."""
        self._last = [{} for _ in self.ports]
        for proxy, port in enumerate(self.ports):
            self._tasks.append(asyncio.create_task(self._keep_asking(proxy, port)))

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(end, Exception):
                self.faults.append(f"{type(end).__name__}: {end}")

    def find(self, provider: str) -> list[Item]:
        """Return what each proxy told last of a provider."""
        return [known[provider] for known in self._last if provider in known]

    def find_all(self) -> list[Item]:
        """Return what each proxy told last of each provider."""
        return [item for known in self._last for item in known.values()]

    async def _keep_asking(self, proxy: int, port: int) -> None:
        client = Client(port)
        await asyncio.sleep(EACH_S * proxy / len(self.ports))
        unseen_at = 0.0
        try:
            while True:
                begun_at = time.time()
                try:
                    page = await read_page(client)
                except Broken as broken:
                    self.faults.append(f"/status: {broken.what}")
                else:
                    self._note(proxy, page, time.time(), unseen_at)
                unseen_at = begun_at
                await asyncio.sleep(max(0.0, begun_at + EACH_S - time.time()))
        finally:
            client.close()

    def _note(self, proxy: int, page: Page, now_at: float, unseen_at: float) -> None:
        last = self._last[proxy]
        for item in page.providers:
            if last.get(item.name) != item:
                last[item.name] = item
                self.sightings.append(Sighting(proxy, item, now_at, unseen_at))


async def read_page(client: Client, request: bytes = STATUS) -> Page:
    """Return what is told of all providers."""
    answer = await client.ask(request)
    assert answer.status == 200, answer.body[:200]
    return msgspec.json.decode(answer.body, type=Page)
