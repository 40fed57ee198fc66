"""What a worker asks of its supervisor comes back to whoever has asked, or fails clearly."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from proxy.control.frames import Link, build_client_end, build_server_end
from proxy.control.messages import Answer, Ask, ClientMessage, ServerMessage
from proxy.domain.service_errors import (
    HealthWorkerUnavailable,
    SupervisorRefused,
    SupervisorUnavailable,
)
from proxy.worker import desk as desk_module
from proxy.worker.desk import SupervisorDesk
from tests.supervisor.fleets import STATUS

pytestmark = pytest.mark.usefixtures("no_leaks")


class Ends:
    """A worker's desk, and the supervisor's end of its connection."""

    def __init__(self, desk: SupervisorDesk, server: Link[ClientMessage]) -> None:
        self.desk = desk
        self.server = server

    async def receive(self, count: int) -> list[Ask]:
        """Return the next asks."""
        asks: list[Ask] = []
        async for message in self.server.receive():
            assert isinstance(message, Ask)
            asks.append(message)
            if len(asks) == count:
                break
        return asks


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """A desk over a real socket; answers are given to it by the test."""
    ours, theirs = socket.socketpair()
    server = build_server_end(*await asyncio.open_unix_connection(sock=ours))
    client: Link[ServerMessage] = build_client_end(*await asyncio.open_unix_connection(sock=theirs))
    yield Ends(SupervisorDesk(client, STATUS), server)
    await client.close()
    await server.close()


async def test_answers_find_who_has_asked(ends: Ends) -> None:
    """Two asks at the same time get each its own answer, in whatever order these come."""
    first = asyncio.create_task(ends.desk.ask("config", {}, "a test"))
    second = asyncio.create_task(ends.desk.ask("diff", {"a": 1}, "a test"))
    asks = await ends.receive(2)
    assert [(ask.what, json.loads(ask.body)) for ask in asks] == [
        ("config", {}),
        ("diff", {"a": 1}),
    ]
    for ask in reversed(asks):
        ends.desk.take(Answer(ask.id, ask.what.encode()))
    assert await first == b"config"
    assert await second == b"diff"


async def test_a_supervisor_that_leaves_is_told_to_who_waits(ends: Ends) -> None:
    """Open asks fail at once, and later ones as well, with 503."""
    waiting = asyncio.create_task(ends.desk.ask("config", {}, "a test"))
    await ends.receive(1)
    ends.desk.leave()
    with pytest.raises(SupervisorUnavailable) as caught:
        await waiting
    assert caught.value.status == 503
    with pytest.raises(SupervisorUnavailable):
        await ends.desk.ask("config", {}, "a test")


async def test_a_refusal_comes_in_its_own_words(ends: Ends) -> None:
    """What the supervisor says about why it could not is what the operator reads."""
    waiting = asyncio.create_task(ends.desk.ask("diff", {"a": 7}, "a test"))
    [ask] = await ends.receive(1)
    ends.desk.take(Answer(ask.id, b'{"message": "there is no generation 7"}', is_error=True))
    with pytest.raises(SupervisorRefused, match="there is no generation 7"):
        await waiting


async def test_nobody_waits_for_ever(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that does not answer is as good as gone; its late answer disturbs nobody."""
    monkeypatch.setattr(desk_module, "ANSWER_WITHIN_S", 0.01)
    with pytest.raises(SupervisorUnavailable):
        await ends.desk.ask("config", {}, "a test")
    [ask] = await ends.receive(1)
    ends.desk.take(Answer(ask.id, b"{}"))


async def test_who_has_left_is_not_answered(ends: Ends) -> None:
    """A request that was cancelled while it waited leaves nothing behind."""
    waiting = asyncio.create_task(ends.desk.ask("config", {}, "a test"))
    [ask] = await ends.receive(1)
    waiting.cancel()
    await asyncio.wait([waiting])
    ends.desk.take(Answer(ask.id, b"{}"))


async def test_that_no_health_worker_is_there_is_an_error_of_its_own(ends: Ends) -> None:
    """A refusal with that code is 503, and says how to have one."""
    waiting = asyncio.create_task(ends.desk.ask("check", {"names": []}, "a test"))
    [ask] = await ends.receive(1)
    body = b'{"message": "it is switched off", "code": "health_worker_unavailable"}'
    ends.desk.take(Answer(ask.id, body, is_error=True))
    with pytest.raises(HealthWorkerUnavailable, match="it is switched off") as caught:
        await waiting
    assert caught.value.status == 503
