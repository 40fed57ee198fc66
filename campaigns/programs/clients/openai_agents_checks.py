"""OpenAI's Agents SDK, over chat completions and over responses."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import openai
from agents import (
    Agent,
    FunctionTool,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "openai-agents"
CALLED: list[str] = []


class Book(BaseModel):
    title: str
    year: int
    authors: list[str]


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    CALLED.append("get_weather")
    return f"{city}: rain"


def get_time() -> str:
    """Tell the time."""
    CALLED.append("get_time")
    return "noon"


TOOLS: list[FunctionTool] = [function_tool(get_weather), function_tool(get_time)]


def build_agent(at: "Ground", api: str, model: str, key: str | None = None, **options: Any) -> Any:
    client = AsyncOpenAI(base_url=f"{at.url}/v1", api_key=key or at.key, max_retries=0)
    kind: Any = OpenAIChatCompletionsModel if api == "chat" else OpenAIResponsesModel
    options.setdefault("instructions", "Be brief.")
    return Agent(
        name="asker",
        model=kind(model=model, openai_client=client),
        model_settings=ModelSettings(include_usage=True, max_tokens=at.max_tokens),
        **options,
    )


async def run_streamed(agent: Any, ask: str) -> tuple[str, Any]:
    """Return the deltas of text put together, and the result."""
    result = Runner.run_streamed(agent, ask)
    pieces = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    return "".join(pieces), result


def text(api: str, at: "Ground", place: str) -> None:
    result = asyncio.run(Runner.run(build_agent(at, api, f"{place}/sim-echo"), at.text))
    usage = result.context_wrapper.usage
    assert result.final_output == at.text, result
    assert usage.input_tokens > 0 and usage.output_tokens > 0, usage


def stream(api: str, at: "Ground", place: str, model: str = "sim-echo") -> None:
    said, result = asyncio.run(run_streamed(build_agent(at, api, f"{place}/{model}"), at.text))
    usage = result.context_wrapper.usage
    assert said == result.final_output == at.text, said
    assert usage.input_tokens > 0 and usage.output_tokens > 0, usage


def stream_after_signs_of_life(api: str, at: "Ground", place: str) -> None:
    stream(api, at.find_slow(), place, at.slow)


def picture(api: str, at: "Ground", place: str) -> None:
    shown = {"type": "input_image", "image_url": f"data:image/png;base64,{at.picture}"}
    parts: Any = [{"type": "input_text", "text": "What is it?"}, {**shown, "detail": "auto"}]
    agent = build_agent(at, api, f"{place}/sim-look")
    result = asyncio.run(Runner.run(agent, [{"role": "user", "content": parts}]))
    assert result.final_output == at.picture_seen, result.final_output


def history(api: str, at: "Ground", place: str) -> None:
    async def run() -> Any:
        agent = build_agent(at, api, f"{place}/sim-tools@5thoughts", tools=TOOLS)
        first = await Runner.run(agent, at.text)
        turns = [*first.to_input_list(), {"role": "user", "content": "And now?"}]
        return await Runner.run(agent, turns)

    result = asyncio.run(run())
    assert result.final_output.startswith("The tool answered: "), result.final_output


def tools(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-tools@2calls", tools=TOOLS)
    CALLED.clear()
    result = asyncio.run(Runner.run(agent, at.text))
    assert sorted(CALLED) == ["get_time", "get_weather"], CALLED
    assert result.final_output.startswith("The tool answered: "), result.final_output


def streamed_tools(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-tools@2calls", tools=TOOLS)
    CALLED.clear()
    said, _ = asyncio.run(run_streamed(agent, at.text))
    assert sorted(CALLED) == ["get_time", "get_weather"], CALLED
    assert said.startswith("The tool answered: "), said


def output_by_schema(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-story@0tps,0ms", output_type=Book)
    assert isinstance(asyncio.run(Runner.run(agent, at.text)).final_output, Book)


def errors(api: str, at: "Ground", place: str) -> None:
    wanted: list[tuple[str, Any, str]] = [
        (f"{place}/no-such-model", openai.NotFoundError, at.key),
        (f"{place}/sim-fault-u21-429-seconds", openai.RateLimitError, at.key),
        (f"{place}/sim-echo", openai.AuthenticationError, at.wrong_key),
    ]
    for model, kind, key in wanted:
        try:
            asyncio.run(Runner.run(build_agent(at, api, model, key), at.text))
        except openai.APIStatusError as error:
            assert isinstance(error, kind) and error.code, error
        else:
            raise AssertionError(f"no error for {model}")


def broken_stream(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-fault-u7-reset-after-content")
    try:
        asyncio.run(run_streamed(agent, at.text))
    except Exception as error:  # noqa: BLE001 - of which class it is differs by API
        # Over responses it is the SDK's own error, since the failure is an event of theirs.
        assert isinstance(error, openai.APIError) or type(error).__module__.startswith("agents")
    else:
        raise AssertionError("it ended as if it were complete")


_OF_EACH_API = (
    text,
    stream,
    stream_after_signs_of_life,
    picture,
    history,
    tools,
    streamed_tools,
    output_by_schema,
    errors,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    f"{api}: {check.__name__.replace('_', ' ')}": partial(check, api)
    for api in ("chat", "responses")
    for check in _OF_EACH_API
}
