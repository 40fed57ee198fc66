"""
The three providers of the campaign of chaos, which do with each request what is planned for it.

A process of its own. Prints its three ports; then each line of its standard input is a command
and is answered by one line: `be PROVIDER MANNER`, or `count`. It ends with its standard input.
"""

import asyncio
import sys

import msgspec

from campaigns.ground.chaos.plan import HARMLESS, PROVIDERS, Counts, Plan, choose_plan
from tests.fakes.raw_upstream import UpstreamConnection
from tests.faults.fault_upstream import build_json, build_secret_error
from tests.faults.oracle import read_tag

BUSY = build_json(build_secret_error(), "length", 503)


class _Ask(msgspec.Struct):
    model: str
    stream: bool = False


class Provider:
    """
    One provider, and the manner in which it is at the moment.

    `well`: as planned. `refusing`: nothing listens, and what was connected is reset.
    `resetting`, `busy`, `silent`: each request gets the same.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._manner = "well"
        self._server: asyncio.Server | None = None
        self._connections: set[UpstreamConnection] = set()
        self.port = 0
        self.requests = 0
        """That were read whole, since the start."""
        self.faults = 0
        """Of those that were planned for single requests."""

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    async def listen(self) -> None:
        """Accept connections, at the same port as the last time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def be(self, manner: str) -> None:
        """Be so from now on."""
        self._manner = manner
        if manner == "refusing" and self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self._connections):
                connection.reset()
        elif manner != "refusing" and self._server is None:
            await self.listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = UpstreamConnection(reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve(self._answer)
        finally:
            self._connections.discard(connection)

    async def _answer(self, connection: UpstreamConnection) -> bool:
        """Answer one request; return whether the connection may be used again."""
        body = (await connection.read_request())[2]
        self.requests += 1
        if self._manner == "busy":
            await connection.write(BUSY)
            return True
        if self._manner == "resetting":
            connection.reset()
            return False
        if self._manner == "silent":
            await connection.watch()
            return False
        ask = msgspec.json.decode(body, type=_Ask)
        plan = choose_plan(read_tag(body).decode(), self._name, ask.model, streams=ask.stream)
        self.faults += plan.fault not in HARMLESS
        return await _follow(connection, plan)


async def _follow(connection: UpstreamConnection, plan: Plan) -> bool:
    data = plan.answer[: plan.at]
    step = max(1, len(data) // 4 + 1) if plan.pause_s else max(1, len(data))
    for start in range(0, len(data), step):
        if plan.pause_s:
            await asyncio.sleep(plan.pause_s)
        await connection.write(data[start : start + step])
    if plan.strike == "reset":
        connection.reset()
    elif plan.strike == "cut":
        connection.close()
    elif plan.strike == "stall":
        await connection.watch()
    return plan.strike == "tell"


async def main() -> None:
    providers = {name: Provider(name) for name in PROVIDERS}
    for provider in providers.values():
        await provider.listen()
    print(*(provider.port for provider in providers.values()), flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := (await commands.readline()).decode().split():
        if line[0] == "be":
            await providers[line[1]].be(line[2])
        each = providers.values()
        counts = Counts(
            sum(provider.requests for provider in each),
            sum(provider.open_connections for provider in each),
            sum(provider.faults for provider in each),
        )
        print(msgspec.json.encode(counts).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
