"""OpenAI's client for Azure, pointed at this proxy: a model of any provider is a deployment."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncAzureOpenAI

from tests.end_to_end.asking import ASK
from tests.end_to_end.served import KEY, PROMPT, WRONG_KEY, ServedProxy

pytestmark = pytest.mark.usefixtures("no_leaks")

VERSION = "2024-10-21"


@pytest.fixture
async def azure_sdk(hub: ServedProxy) -> AsyncIterator[AsyncAzureOpenAI]:
    """The client, which sends its key as `api-key` and the model's name in the path."""
    async with AsyncAzureOpenAI(
        azure_endpoint=hub.url, api_key=KEY, api_version=VERSION, max_retries=0
    ) as client:
        yield client


async def test_chat(azure_sdk: AsyncAzureOpenAI, maker: str) -> None:
    """An answer and a stream are those of the model that the path names."""
    model = f"{maker}/sim-echo"
    whole = await azure_sdk.chat.completions.create(model=model, messages=ASK)
    assert whole.choices[0].message.content == PROMPT
    stream = await azure_sdk.chat.completions.create(model=model, messages=ASK, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join([c.choices[0].delta.content or "" for c in chunks if c.choices]) == PROMPT


async def test_a_client_with_one_deployment(hub: ServedProxy, maker: str) -> None:
    """The deployment in the client's address is the model, whatever a request calls it."""
    async with AsyncAzureOpenAI(
        azure_endpoint=hub.url,
        azure_deployment=f"{maker}%2Fsim-echo",
        api_key=KEY,
        api_version=VERSION,
        max_retries=0,
    ) as client:
        answer = await client.chat.completions.create(model="whatever", messages=ASK)
    assert answer.choices[0].message.content == PROMPT


async def test_completions_and_vectors(azure_sdk: AsyncAzureOpenAI) -> None:
    """Text completions and embeddings have their path below the deployment too."""
    text = await azure_sdk.completions.create(model="gemini/sim-echo", prompt=PROMPT)
    assert text.choices[0].text == PROMPT
    vector = await azure_sdk.embeddings.create(model="azure/sim-embed", input=PROMPT)
    assert len(vector.data[0].embedding) == 256


async def test_errors(azure_sdk: AsyncAzureOpenAI, hub: ServedProxy) -> None:
    """An unknown deployment is 404, and a wrong key in `api-key` is 401."""
    with pytest.raises(openai.NotFoundError):
        await azure_sdk.chat.completions.create(model="gpt-4o", messages=ASK)
    async with AsyncAzureOpenAI(
        azure_endpoint=hub.url, api_key=WRONG_KEY, api_version=VERSION, max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="sim-echo", messages=ASK)
