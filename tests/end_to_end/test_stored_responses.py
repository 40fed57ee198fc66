"""OpenAI's SDK going on from responses, and asking for them again, at two workers with Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from tests.end_to_end.asking import TRUST
from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    PROMPT,
    PROVIDER_KEY,
    ServedProxy,
    ServedSimulator,
    build_config,
    serving,
)
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("no_leaks")

NATIVE, MADE = "native", "made"
"""A provider that has responses itself, and one for which they are made of chats."""
OTHER_KEY = "k-other-organization-0123456789"
CLOSING = {"Connection": "close"}
"""Each request on a connection of its own may meet another worker."""
OFTEN = 8


def build_provider(simulator: ServedSimulator, name: str, type_name: str) -> dict[str, Any]:
    """Return a provider that is the simulator."""
    return {
        "name": name,
        "type": type_name,
        "base_url": f"http://127.0.0.1:{simulator.port}/v1",
        "api_key": PROVIDER_KEY,
        "models": ["sim-echo", "sim-tools", "sim-echo@3thoughts"],
        "max_retries": 0,
    }


@pytest.fixture(scope="module")
def shared(
    simulator: ServedSimulator,
    _session_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedProxy]:
    """Serve both providers to two organizations, by two workers that share a Redis."""
    config = build_config(
        workers=2,
        redis_url=_session_redis.url,
        admin_keys=[ADMIN_KEY],
        api_keys=[KEY, {"key": OTHER_KEY, "organization_id": "other"}],
        providers=[
            build_provider(simulator, NATIVE, "openai"),
            build_provider(simulator, MADE, "openai_compatible"),
        ],
    )
    with serving(tmp_path_factory.mktemp("shared"), config) as served:
        asyncio.run(wait_until_shared(served))
        yield served


async def wait_until_shared(served: ServedProxy) -> None:
    """Return once all workers that are asked have joined Redis."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", **CLOSING}
    async with asyncio.timeout(30), aiohttp.ClientSession(served.url, headers=headers) as session:
        while True:
            answers = [session.get("/admin/breakers") for _ in range(OFTEN)]
            told = [await answer.json() for answer in await asyncio.gather(*answers)]
            if all(body["shared"] for body in told):
                return


def open_client(served: ServedProxy, key: str = KEY) -> AsyncOpenAI:
    """Return a client without retries, whose requests may each meet another worker."""
    return AsyncOpenAI(
        base_url=f"{served.url}/v1",
        api_key=key,
        max_retries=0,
        default_headers=CLOSING,
        http_client=openai.DefaultAsyncHttpxClient(verify=TRUST),
    )


@pytest.fixture
async def client(shared: ServedProxy) -> AsyncIterator[AsyncOpenAI]:
    """Return a client of the one organization."""
    async with open_client(shared) as client:
        yield client


@pytest.fixture
async def stranger(shared: ServedProxy) -> AsyncIterator[AsyncOpenAI]:
    """Return a client of the other."""
    async with open_client(shared, OTHER_KEY) as client:
        yield client


async def ask(client: AsyncOpenAI, provider: str, streams: bool, **fields: Any) -> Any:
    """Return a response, whole or put together of its events."""
    asked = {"model": f"{provider}/sim-echo", "input": PROMPT, **fields}
    if not streams:
        return await client.responses.create(**asked)
    async with client.responses.stream(**asked) as stream:
        return await stream.get_final_response()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", [NATIVE, MADE])
async def test_a_conversation_goes_on(client: AsyncOpenAI, provider: str, streams: bool) -> None:
    """Whichever worker is asked, and however often; what came before counts as prompt."""
    first = await ask(client, provider, streams)
    again = [
        ask(client, provider, streams, input="And?", previous_response_id=first.id)
        for _ in range(OFTEN)
    ]
    for second in await asyncio.gather(*again):
        assert second.output_text == "And?"
        assert second.previous_response_id == first.id
        assert second.usage.input_tokens == 2 * first.usage.input_tokens + 2
    third = await ask(client, provider, streams, input="So?", previous_response_id=second.id)
    assert third.usage.input_tokens == second.usage.input_tokens + 2 + 2


@pytest.mark.parametrize("provider", [NATIVE, MADE])
async def test_calls_are_answered_by_their_ids_alone(client: AsyncOpenAI, provider: str) -> None:
    """The turn with the call is known; only its result is sent."""
    tool: Any = {"type": "function", "name": "now", "parameters": {"type": "object"}}
    asked: dict[str, Any] = {"model": f"{provider}/sim-tools", "tools": [tool]}
    first: Any = await client.responses.create(input=PROMPT, **asked)
    result: Any = {
        "type": "function_call_output",
        "call_id": first.output[0].call_id,
        "output": "noon",
    }
    second = await client.responses.create(input=[result], previous_response_id=first.id, **asked)
    assert second.output_text == "The tool answered: noon"


@pytest.mark.parametrize("provider", [NATIVE, MADE])
async def test_items_may_be_referred_to(client: AsyncOpenAI, provider: str) -> None:
    """As some clients do, who then send no id of a response."""
    first = await ask(client, provider, streams=False)
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    question: Any = {"role": "user", "content": "And?"}
    second = await ask(client, provider, streams=False, input=[reference, question])
    assert second.output_text == "And?"
    assert second.usage.input_tokens == first.usage.output_tokens + 2


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", [NATIVE, MADE])
async def test_a_response_is_shown_listed_and_deleted(
    client: AsyncOpenAI, provider: str, streams: bool
) -> None:
    """By any worker; what is deleted is gone for all of them."""
    first = await ask(client, provider, streams)
    second = await ask(client, provider, streams, input="And?", previous_response_id=first.id)
    shows = [client.responses.retrieve(second.id) for _ in range(OFTEN)]
    for shown in await asyncio.gather(*shows):
        assert (shown.id, shown.output_text) == (second.id, "And?")
        assert shown.status == "completed"
    items: list[Any] = [
        item async for item in client.responses.input_items.list(second.id, limit=2, order="asc")
    ]
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[2].content[0].text == "And?"
    await client.responses.delete(second.id)
    asked_again = [client.responses.retrieve(second.id) for _ in range(OFTEN)]
    for outcome in await asyncio.gather(*asked_again, return_exceptions=True):
        assert isinstance(outcome, openai.NotFoundError)
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, provider, streams, previous_response_id=second.id)
    assert caught.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError):
        await client.responses.cancel(first.id)


@pytest.mark.parametrize("provider", [NATIVE, MADE])
async def test_another_organization_finds_nothing(
    client: AsyncOpenAI, stranger: AsyncOpenAI, provider: str
) -> None:
    """Neither to see nor to delete nor to go on from; and what is not stored nobody finds."""
    first = await ask(client, provider, streams=False)
    for refused in (
        stranger.responses.retrieve(first.id),
        stranger.responses.delete(first.id),
        stranger.responses.input_items.list(first.id),
        ask(stranger, provider, False, input=[{"id": first.output[0].id}]),
    ):
        with pytest.raises(openai.NotFoundError):
            await refused
    with pytest.raises(openai.BadRequestError):
        await ask(stranger, provider, False, previous_response_id=first.id)
    assert (await client.responses.retrieve(first.id)).id == first.id
    forgotten = await ask(client, provider, False, store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(forgotten.id)


async def test_what_one_keeps_the_other_can_be_told(client: AsyncOpenAI) -> None:
    """A response that was made here is written out for OpenAI; OpenAI's own stays there."""
    made = await client.responses.create(
        model=f"{MADE}/sim-echo@3thoughts", input=PROMPT, reasoning={"summary": "auto"}
    )
    assert made.output[0].type == "reasoning"
    there = await ask(client, NATIVE, False, input="And?", previous_response_id=made.id)
    assert there.output_text == "And?"
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, MADE, False, previous_response_id=there.id)
    assert caught.value.param == "model"


async def test_without_redis_a_restart_forgets_and_says_so(
    simulator: ServedSimulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What was in memory is not found, by an error that says which field is wrong."""
    config = build_config(providers=[build_provider(simulator, MADE, "openai_compatible")])
    folder = tmp_path_factory.mktemp("restarted")
    with serving(folder, config) as served:
        async with open_client(served) as client:
            first = await ask(client, MADE, False)
            await ask(client, MADE, False, previous_response_id=first.id)
    with serving(folder, config) as served:
        async with open_client(served) as client:
            with pytest.raises(openai.BadRequestError) as caught:
                await ask(client, MADE, False, previous_response_id=first.id)
    error = caught.value
    assert (error.code, error.param) == ("previous_response_not_found", "previous_response_id")
