"""What each worker serves: one connection to every one of them, kept open."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence

from campaigns.ground.client import Client, build_get_request
from campaigns.ground.kernel import find_client_ports

MODELS = build_get_request("/v1/models")
LOOK_S = 0.02
MOST_TRIES = 200

Names = frozenset[str]


class Probes:
    """Asks each worker which models there are."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients

    async def read(self) -> list[Names]:
        """Return the names of all models, worker by worker."""
        return list(await asyncio.gather(*map(_read_names, self._clients)))

    async def wait_until(self, is_wanted: Callable[[Names], bool], within_s: float) -> float | None:
        """Return the seconds until all workers serve what is wanted, None if they do not."""
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + within_s:
            if all(map(is_wanted, await self.read())):
                return time.monotonic() - begun_s
            await asyncio.sleep(LOOK_S)
        return None

    def close(self) -> None:
        """Leave all connections."""
        for client in self._clients:
            client.close()


async def open_probes(server_port: int, pids: Sequence[int]) -> Probes:
    """Connect until every worker has accepted a connection; who did is the kernel's word."""
    found: dict[int, Client] = {}
    for _ in range(MOST_TRIES):
        client = Client(server_port)
        await _read_names(client)
        owners = [pid for pid in pids if client.port in find_client_ports(pid, server_port)]
        if len(owners) == 1 and owners[0] not in found:
            found[owners[0]] = client
        else:
            client.close()
        if len(found) == len(pids):
            return Probes(list(found.values()))
    raise AssertionError(f"only {len(found)} of {len(pids)} workers have accepted a connection")


async def _read_names(client: Client) -> Names:
    answer = await client.ask(MODELS)
    assert answer.status == 200, answer.body[:200]
    return frozenset(model["id"] for model in json.loads(answer.body)["data"])
