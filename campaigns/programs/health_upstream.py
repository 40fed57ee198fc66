"""
The fifty providers of the campaign of the health worker: what they are told to be, they are.

A process of its own, told the address to listen at. Prints its ports; then each line of its
standard input is a command and is answered by one line, the counts: `be MANNER PROVIDER...`, or
`count`. It ends with its standard input.
"""

import asyncio
import sys
import time

import msgspec

from campaigns.ground.health_chaos.plan import (
    ALONE,
    FLEETS,
    KEYS,
    MANNERS,
    PROVIDERS,
    SLOW_S,
    Counts,
    Manner,
    list_models,
)
from tests.fakes.proxy_server import DONE, build_chunk
from tests.fakes.raw_upstream import UpstreamConnection

PROMPTNESS_S = 0.01
"""What an answer takes."""
_FLEETS = {f"Bearer {KEYS[fleet]}": fleet for fleet in FLEETS}
_ERROR = b'{"error":{"message":"not now","type":"server_error","param":null,"code":null}}'
_STATUSES = {"limited": 429, "broken": 503}


class _Ask(msgspec.Struct):
    model: str
    stream: bool = False


class Provider:
    """One provider, and the manner in which it is at the moment."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._connections: set[UpstreamConnection] = set()
        self.manner: Manner = "well"
        self.probes: list[float] = []
        self.chats = dict.fromkeys(FLEETS, 0)
        self.by_strangers = 0

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        connection = UpstreamConnection(reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve(self._answer)
        finally:
            self._connections.discard(connection)

    async def _answer(self, connection: UpstreamConnection) -> bool:
        """Answer one request; return whether the connection may be used again."""
        line, headers, body = await connection.read_request()
        fleet = _FLEETS.get(headers.get("authorization", ""))
        is_probe = line.startswith("GET ")
        if fleet is None or (is_probe and fleet == ALONE):
            self.by_strangers += 1
        if is_probe:
            self.probes.append(time.monotonic())
            return await self._answer_probe(connection)
        if fleet is not None:
            self.chats[fleet] += 1
        if self.manner == "down":
            connection.reset()
            return False
        await asyncio.sleep(PROMPTNESS_S)
        await self._answer_chat(connection, msgspec.json.decode(body, type=_Ask))
        return True

    async def _answer_probe(self, connection: UpstreamConnection) -> bool:
        if self.manner in ("down", "deaf"):
            connection.reset()
            return False
        await asyncio.sleep(SLOW_S if self.manner == "slow" else PROMPTNESS_S)
        status = _STATUSES.get(self.manner)
        if status is not None:
            await connection.answer(_ERROR, status)
            return True
        listed = [{"id": model, "object": "model"} for model in list_models(self._name)]
        await connection.answer(msgspec.json.encode({"object": "list", "data": listed}))
        return True

    async def _answer_chat(self, connection: UpstreamConnection, ask: _Ask) -> None:
        if ask.stream:
            events = build_chunk(self._name) + build_chunk(None, "stop") + DONE
            await connection.answer(events, content_type="text/event-stream")
            return
        message = {"role": "assistant", "content": self._name}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1}
        whole = {**answer, "model": ask.model, "choices": [choice], "usage": usage}
        await connection.answer(msgspec.json.encode(whole))


def count(providers: dict[str, Provider]) -> Counts:
    """Return what all providers have counted."""
    each = providers.values()
    return Counts(
        probes={name: provider.probes for name, provider in providers.items()},
        chats={fleet: {p: providers[p].chats[fleet] for p in providers} for fleet in FLEETS},
        connections=sum(provider.open_connections for provider in each),
        by_strangers=sum(provider.by_strangers for provider in each),
    )


async def main(address: str) -> None:
    providers = {name: Provider(name) for name in PROVIDERS}
    ports = []
    for provider in providers.values():
        server = await asyncio.start_server(provider.serve, address, 0, backlog=256)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while words := (await commands.readline()).decode().split():
        if words[0] == "be":
            assert words[1] in MANNERS, words[1]
            for name in words[2:]:
                providers[name].manner = words[1]
        print(msgspec.json.encode(count(providers)).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
