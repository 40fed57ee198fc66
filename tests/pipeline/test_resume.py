"""What a request of the Responses API goes on from: here, at a provider, or nowhere."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec import Raw

from proxy.domain.errors import InvalidRequest, RequestError
from proxy.domain.identity import Caller
from proxy.domain.service_errors import ResponseNotFound, ResponseStoreUnavailable
from proxy.domain.stored_response import StoredResponse
from proxy.pipeline.resume import MOST_REFERENCES, find_response, resume
from proxy.stores.memory_responses import MemoryResponses
from proxy.wire.base import Ask
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    ProxyServer,
    build_chunk,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering
from tests.wire.response_events import MESSAGE, REASONING, REGULAR, START, event, response

pytestmark = pytest.mark.usefixtures("no_leaks")

CALLER = Caller("key_1", organization_id="org")
CALLER_OF_SERVER = Caller("key_1").organization_id
HI = {"role": "user", "content": "Hi"}
HERE = StoredResponse(
    "resp_h",
    model="m",
    input=msgspec.json.encode([HI]),
    body=msgspec.json.encode(response("completed", MESSAGE)),
    item_ids=("msg_1",),
)
THERE = StoredResponse("resp_t", provider="openai", model="m", item_ids=("rs_t",))
ELSEWHERE = StoredResponse("resp_e", provider="azure", model="m", item_ids=("rs_e",))


def ask_for(**fields: Any) -> Ask:
    return Ask("responses", "m", {k: Raw(msgspec.json.encode(v)) for k, v in fields.items()})


def refer(*ids: str) -> list[dict[str, str]]:
    return [{"type": "item_reference", "id": each} for each in ids]


def decode(items: Any) -> list[Any]:
    return [msgspec.json.decode(item) for item in items]


async def go_on(caller: Caller = CALLER, **fields: Any) -> Ask:
    """Return a request after the stage, over a store with all three."""
    store = MemoryResponses()
    for stored in (HERE, THERE, ELSEWHERE):
        store.keep("org", stored)
    ask = ask_for(**fields)
    await resume(store, caller, ask)
    return ask


# --- the stage --------------------------------------------------------------------------------


async def test_what_begins_anew_needs_nothing() -> None:
    """Neither history nor a provider of its own."""
    ask = await go_on(input=[HI])
    assert (ask.history, ask.pinned) == ((), None)


async def test_what_is_kept_here_becomes_history() -> None:
    """What led to the earlier answer, then the answer; any provider may go on from it."""
    ask = await go_on(input="And?", previous_response_id="resp_h")
    assert decode(ask.history) == [HI, MESSAGE]
    assert ask.pinned is None


async def test_what_a_provider_keeps_leads_there() -> None:
    """By the id of a response, or by that of an item."""
    assert (await go_on(input="And?", previous_response_id="resp_t")).pinned == "openai"
    ask = await go_on(input=[*refer("rs_t"), HI], previous_response_id="resp_t")
    assert ask.pinned == "openai"
    assert decode([ask.fields["input"]]) == [[*refer("rs_t"), HI]]


async def test_references_to_what_is_kept_here_become_items() -> None:
    """Beside others, which stay as they are."""
    ask = await go_on(input=[HI, *refer("msg_1", "rs_t", "msg_1")])
    assert decode([ask.fields["input"]]) == [[HI, MESSAGE, *refer("rs_t"), MESSAGE]]
    assert ask.pinned == "openai"


async def test_of_bare_items_it_is_noted_who_keeps_them() -> None:
    """Nobody where they are unknown, or another organization's: then no provider hears of them."""
    bare = [{"type": "reasoning", "id": each} for each in ("rs_t", "rs_e", "rs_x", "msg_1")]
    ask = await go_on(input=[*bare, HI])
    assert ask.keepers == {"rs_t": "openai", "rs_e": "azure", "rs_x": None, "msg_1": None}
    assert ask.pinned is None
    stranger = Caller("key_2", organization_id="other")
    assert set((await go_on(stranger, input=bare)).keepers.values()) == {None}


class Away(MemoryResponses):
    """A store that cannot be asked."""

    async def find(self, owner: str, response_id: str) -> StoredResponse | None:
        """Raise."""
        raise ResponseStoreUnavailable()


async def test_what_cannot_be_looked_up_is_not_said_to_be_missing() -> None:
    """A client may come again; what goes on without the store does so."""
    for fields in ({"previous_response_id": "resp_h"}, {"input": refer("msg_1")}):
        with pytest.raises(ResponseStoreUnavailable):
            await resume(Away(), CALLER, ask_for(**fields))
    ask = ask_for(input=[{"type": "reasoning", "id": "rs_t"}])
    await resume(Away(), CALLER, ask)
    assert ask.keepers == {"rs_t": None}


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"previous_response_id": "resp_x"}, InvalidRequest, "previous_response_id"),
        ({"previous_response_id": "msg_1"}, InvalidRequest, "previous_response_id"),
        ({"previous_response_id": 3}, InvalidRequest, "previous_response_id"),
        ({"input": refer("rs_x")}, ResponseNotFound, "input"),
        ({"input": [{"id": "rs_x"}]}, ResponseNotFound, "input"),
        ({"input": refer("resp_h")}, ResponseNotFound, "input"),
        ({"input": refer("rs_t", "rs_e")}, InvalidRequest, "input"),
        ({"input": refer("rs_e"), "previous_response_id": "resp_t"}, InvalidRequest, "input"),
        ({"input": refer("rs_e"), "previous_response_id": "resp_h"}, InvalidRequest, "input"),
        (
            {"input": refer(*[f"i{number}" for number in range(MOST_REFERENCES + 1)])},
            InvalidRequest,
            "input",
        ),
    ],
    ids=range(10),
)
async def test_anything_else_is_refused(
    fields: dict[str, Any], kind: type[RequestError], param: str
) -> None:
    """Unknown ids, ids of another kind, and what two providers keep: nobody is asked."""
    with pytest.raises(kind) as caught:
        await go_on(**fields)
    assert caught.value.param == param


async def test_what_is_referred_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes of a request must not become any number of them, be it by the same item."""
    size_bytes = len(msgspec.json.encode(MESSAGE))
    monkeypatch.setattr("proxy.pipeline.resume.MOST_REFERRED_BYTES", 2 * size_bytes)
    await go_on(input=refer("msg_1", "msg_1"))
    with pytest.raises(InvalidRequest) as caught:
        await go_on(input=refer("msg_1", "msg_1", "msg_1"))
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "stranger",
    [
        Caller("key_2", organization_id="other"),
        Caller("key_3", organization_id="org", models=frozenset(("other-model",))),
    ],
    ids=["organization", "key"],
)
async def test_who_may_not_have_it_is_told_that_it_does_not_exist(stranger: Caller) -> None:
    """Another organization's, or that of a model which the key may not ask for."""
    told = []
    for name, caller in (("resp_h", stranger), ("resp_x", CALLER)):
        with pytest.raises(InvalidRequest) as caught:
            await go_on(caller, previous_response_id=name)
        told.append((caught.value.code, caught.value.message.replace(name, "")))
    assert told[0] == told[1]
    assert told[0][0] == "previous_response_not_found"
    with pytest.raises(ResponseNotFound):
        await go_on(stranger, input=refer("rs_t"))
    store = MemoryResponses()
    store.keep("org", HERE)
    assert await find_response(store, CALLER, "resp_h") == HERE
    assert await find_response(store, stranger, "resp_h") is None


# --- through the pipeline ---------------------------------------------------------------------


async def post(server: ProxyServer, body: Mapping[str, Any]) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/responses", json=body, headers=AUTH) as answer,
    ):
        return answer.status, await answer.read()


def read_id(body: bytes) -> str:
    """Return the id of a response, whole or streamed."""
    text = body.rpartition(b"data: ")[2] if body.startswith(b"event:") else body
    value = msgspec.json.decode(text)
    found = value.get("response", value)["id"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("streams", [False, True])
async def test_a_provider_that_chats_is_told_the_whole_conversation(streams: bool) -> None:
    """What came before is kept here, and is nobody's business where `store` is false."""
    chat = (
        Recorder(build_chunk("hello"), build_chunk(finish="stop"), DONE)
        if streams
        else answering(ANSWER)
    )
    async with open_raw_upstream(chat) as upstream:
        provider = build_provider(upstream.url, type="vllm")
        async with serving(build_snapshot(provider)) as server:
            asked = {"model": "m", "input": "Hi", "stream": streams}
            status, body = await post(server, asked)
            assert status == 200
            again = asked | {"input": "And?", "previous_response_id": read_id(body)}
            status, body = await post(server, again)
            assert status == 200
            said = [(each["role"], each["content"]) for each in chat.body(1)["messages"]]
            assert said == [("user", "Hi"), ("assistant", "hello"), ("user", "And?")]
            status, body = await post(server, asked | {"store": False})
            again["previous_response_id"] = read_id(body)
            status, body = await post(server, again)
    assert status == 400
    error = msgspec.json.decode(body)["error"]
    assert (error["code"], error["param"]) == (
        "previous_response_not_found",
        "previous_response_id",
    )


@pytest.mark.parametrize("streams", [False, True])
async def test_a_provider_that_keeps_responses_is_the_one_to_go_on_with(streams: bool) -> None:
    """Its own id goes on to it, and to no other provider of the same model."""
    native = Recorder(REGULAR) if streams else answering(response("completed", REASONING, MESSAGE))
    other = answering(ANSWER)
    async with open_raw_upstream(native) as first, open_raw_upstream(other) as second:
        snapshot = build_snapshot(
            build_provider(first.url, name="native"),
            build_provider(second.url, name="other", type="vllm", models=("m", "n")),
        )
        async with serving(snapshot) as server:
            asked: dict[str, Any] = {"model": "m", "input": "Hi", "stream": streams}
            status, body = await post(server, asked)
            assert status == 200
            # By the ids of items alone as well.
            for more in (
                {"previous_response_id": "resp_1", "input": "And?"},
                {"input": [{"type": "item_reference", "id": "rs_1"}]},
            ):
                status, body = await post(server, asked | more)
                assert status == 200
                assert native.body(-1) == asked | more
            status, body = await post(
                server, asked | {"model": "n", "previous_response_id": "resp_1"}
            )
            assert status == 400
            assert msgspec.json.decode(body)["error"]["param"] == "model"
            # As soon as that provider is out of use, nobody can go on from there.
            gone = build_snapshot(*[p for p in snapshot.providers.values() if p.name == "other"])
            server.runtime.publish(gone, server.runtime.transports)
            status, body = await post(server, asked | {"previous_response_id": "resp_1"})
    assert status == 503
    assert msgspec.json.decode(body)["error"]["code"] == "no_healthy_provider"
    assert not other.requests


async def test_a_stream_that_breaks_is_kept_by_its_provider_all_the_same() -> None:
    """Its client has its id, and may ask what has become of it."""
    native = Recorder(REGULAR[: REGULAR.index(b"event: response.output_item.done")])
    async with open_raw_upstream(native) as upstream:
        provider = build_provider(upstream.url)
        async with serving(build_snapshot(provider)) as server:
            status, body = await post(server, {"model": "m", "input": "Hi", "stream": True})
            assert status == 200
            assert b"event: response.failed" in body
            kept = await server.runtime.responses.find(CALLER_OF_SERVER, "resp_1")
    assert kept is not None
    assert kept.provider == "up"


async def test_a_response_that_fails_before_it_says_anything_is_made_elsewhere() -> None:
    """Nothing of the failed one is kept, or told: neither its id nor its events."""
    failed = response("failed", error={"code": "server_error", "message": "x"})
    native = Recorder(START + event("response.failed", 5, response=failed))
    chats = Recorder(build_chunk("hello"), build_chunk(finish="stop"), DONE)
    async with open_raw_upstream(native) as first, open_raw_upstream(chats) as second:
        snapshot = build_snapshot(
            build_provider(first.url, name="native"),
            build_provider(second.url, name="other", type="vllm"),
        )
        async with serving(snapshot) as server:
            status, body = await post(server, {"model": "m", "input": "Hi", "stream": True})
            assert status == 200
            found = [
                await server.runtime.responses.find(CALLER_OF_SERVER, each)
                for each in ("resp_1", read_id(body))
            ]
    assert b'"delta":"hello"' in body
    assert b"resp_1" not in body
    assert found[0] is None
    assert found[1] is not None and found[1].provider is None


class Settling(MemoryResponses):
    """A store that is shared, and takes as long to settle as a test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.settled = asyncio.Event()

    async def settle(self) -> None:
        """Wait for the test."""
        self.asked.set()
        await self.settled.wait()


@pytest.mark.parametrize("type_name", ["openai", "vllm"])
@pytest.mark.parametrize("streams", [False, True])
async def test_nobody_has_an_answer_before_all_can_find_it(streams: bool, type_name: str) -> None:
    """Its client may ask another process next: the end of a stream waits, and so does a whole."""
    if type_name == "openai":
        script = Recorder(REGULAR) if streams else answering(response("completed", MESSAGE))
    else:
        chunks = (build_chunk("hello"), build_chunk(finish="stop"), DONE)
        script = Recorder(*chunks) if streams else answering(ANSWER)
    store, seen = Settling(), bytearray()

    async def read(server: ProxyServer) -> None:
        asked = {"model": "m", "input": "Hi", "stream": streams}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{server.url}/responses", json=asked, headers=AUTH) as answer,
        ):
            async for piece in answer.content.iter_any():
                seen.extend(piece)

    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type=type_name)
        async with serving(build_snapshot(provider)) as server:
            server.runtime.responses = store
            reading = asyncio.create_task(read(server))
            await store.asked.wait()
            assert b"response.completed" not in seen
            assert streams or not seen
            store.settled.set()
            await reading
    assert await store.find(CALLER_OF_SERVER, read_id(bytes(seen))) is not None
    assert seen.count(b"event: response.completed") == streams
