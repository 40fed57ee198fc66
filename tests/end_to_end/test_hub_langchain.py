"""LangChain's chat models in front of providers of every type: streams with tools, as agents do."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic, chat_models
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.end_to_end.asking import TRUST
from tests.end_to_end.hub import FAULTS, THINKER, TWICE, Book
from tests.end_to_end.served import KEY, PROMPT, ServedProxy

MAX_TOKENS = 2000
Build = Callable[..., BaseChatModel]

pytestmark = pytest.mark.usefixtures("no_leaks", "hub")


@tool
def get_weather(city: str, unit: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: 23 {unit}"


@tool
def get_time() -> str:
    """Tell the time."""
    return "noon"


class Clients:
    """
    The HTTP clients of LangChain's models, closed with the test that they were made for.

    LangChain itself keeps them for the life of the process, beyond that of a test's event loop.
    """

    def __init__(self) -> None:
        self._sync: list[Any] = []
        self._async: list[Any] = []

    def build(self, **options: Any) -> Any:
        """Return a synchronous one."""
        self._sync.append(anthropic.DefaultHttpxClient(verify=TRUST, **options))
        return self._sync[-1]

    def build_async(self, **options: Any) -> Any:
        """Return an asynchronous one."""
        self._async.append(anthropic.DefaultAsyncHttpxClient(verify=TRUST, **options))
        return self._async[-1]

    async def close(self) -> None:
        """Close them all."""
        for client in self._sync:
            client.close()
        for client in self._async:
            await client.aclose()


@pytest.fixture
async def clients(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    """What LangChain makes its HTTP clients by."""
    made = Clients()
    monkeypatch.setattr(chat_models, "_get_default_httpx_client", _without_proxy(made.build))
    monkeypatch.setattr(
        chat_models, "_get_default_async_httpx_client", _without_proxy(made.build_async)
    )
    yield made
    await made.close()


def _without_proxy(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return what builds a client as LangChain calls it."""
    return lambda base_url, **_: build(base_url=base_url)


@pytest.fixture
def chat_openai(hub: ServedProxy, clients: Clients) -> Build:
    """What makes LangChain's model for OpenAI's chat completions."""
    return lambda model, **more: ChatOpenAI(
        model=model,
        base_url=f"{hub.url}/v1",
        api_key=SecretStr(KEY),
        max_retries=0,
        stream_usage=True,
        http_client=clients.build(),
        http_async_client=clients.build_async(),
        **more,
    )


@pytest.fixture
def chat_anthropic(hub: ServedProxy, clients: Clients) -> Build:
    """What makes LangChain's model for Anthropic's messages."""
    assert clients is not None
    common: dict[str, Any] = {"max_retries": 0, "max_tokens": MAX_TOKENS}
    return lambda model, **more: ChatAnthropic(
        model_name=model, base_url=hub.url, api_key=SecretStr(KEY), **common, **more
    )


@pytest.fixture(params=["chat_openai", "chat_anthropic"])
def build(request: pytest.FixtureRequest) -> Build:
    """What makes a model of LangChain's, for each of the two dialects."""
    found: Build = request.getfixturevalue(request.param)
    return found


async def gather(model: Any, messages: list[Any]) -> AIMessageChunk:
    """Return the sum of all chunks of a stream, of which there are several."""
    chunks = [chunk async for chunk in model.astream(messages)]
    assert len(chunks) > 1
    total: AIMessageChunk = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


async def test_a_stream_of_text(maker: str, build: Build) -> None:
    """The chunks add up to the text and to the tokens that the provider has counted."""
    answer = await gather(build(f"{maker}/sim-echo"), [HumanMessage(PROMPT)])
    assert answer.text == PROMPT
    assert answer.usage_metadata is not None
    counted = answer.usage_metadata
    assert (counted["input_tokens"], counted["output_tokens"]) == (9, 9)


async def test_a_streamed_loop_of_tools(maker: str, build: Build) -> None:
    """Two calls are put together of the chunks, run, and their results lead to the answer."""
    tools = {"get_weather": get_weather, "get_time": get_time}
    model = build(f"{maker}/{TWICE}").bind_tools(list(tools.values()))
    messages: list[Any] = [HumanMessage(PROMPT)]
    first = await gather(model, messages)
    assert [call["name"] for call in first.tool_calls] == ["get_weather", "get_time"]
    assert set(first.tool_calls[0]["args"]) == {"city", "unit"}
    assert first.tool_calls[1]["args"] == {}
    assert first.invalid_tool_calls == []
    messages.append(first)
    for call in first.tool_calls:
        result = tools[call["name"]].invoke(call)
        assert isinstance(result, ToolMessage)
        messages.append(result)
    second = await gather(model, messages)
    assert second.text == "The tool answered: noon"
    assert second.tool_calls == []


def test_a_loop_of_tools_sync(maker: str, build: Build) -> None:
    """The same without streams, on the synchronous client."""
    model = build(f"{maker}/sim-tools").bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(PROMPT)]
    first = model.invoke(messages)
    [call] = first.tool_calls
    messages += [first, get_weather.invoke(call)]
    second = model.invoke(messages)
    args = call["args"]
    assert second.text == f"The tool answered: {args['city']}: 23 {args['unit']}"


async def test_structured_output(maker: str, build: Build) -> None:
    """A pydantic model is filled in by the method that LangChain takes for the dialect."""
    model = build(f"{maker}/sim-echo")
    book = await model.with_structured_output(Book, method="json_schema").ainvoke(PROMPT)
    assert isinstance(book, Book)


@pytest.mark.parametrize("fault", ["eof", "error-later", "reset"])
async def test_a_broken_stream_is_an_error(maker: str, build: Build, fault: str) -> None:
    """What has begun to be told and breaks off raises, and is never taken for an answer."""
    chunks: list[Any] = []
    with pytest.raises((openai.APIError, anthropic.APIError)):
        async for chunk in build(f"{maker}/{FAULTS[fault]}").astream(PROMPT):
            chunks.append(chunk)
    assert "".join([chunk.text for chunk in chunks])


async def test_thinking_over_messages(maker: str, chat_anthropic: Build) -> None:
    """ChatAnthropic shows what the model has thought, and the turn can be sent back."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    model = chat_anthropic(f"{maker}/{THINKER}", thinking=thinking)
    first = await gather(model, [HumanMessage(PROMPT)])
    kinds = [block["type"] for block in first.content_blocks]
    assert kinds == ["reasoning", "text"]
    assert first.text == PROMPT
    second = await model.ainvoke([HumanMessage(PROMPT), first, HumanMessage("And now?")])
    assert second.text == "And now?"
