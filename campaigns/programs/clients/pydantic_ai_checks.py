"""pydantic-ai over chat completions, messages and responses."""

import base64
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, NativeOutput, ThinkingPart, ToolOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "pydantic-ai-slim"
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


def build_model(at: "Ground", api: str, model: str, key: str | None = None) -> Any:
    """Return a model that is asked by one of the three APIs."""
    if api == "messages":
        claude = AnthropicProvider(api_key=key or at.key, base_url=at.url)
        return AnthropicModel(model, provider=claude)
    provider = OpenAIProvider(base_url=f"{at.url}/v1", api_key=key or at.key)
    kind = OpenAIChatModel if api == "chat" else OpenAIResponsesModel
    return kind(model, provider=provider)


def build_agent(at: "Ground", api: str, model: str, **options: Any) -> Any:
    return Agent(
        build_model(at, api, model), model_settings={"max_tokens": at.max_tokens}, **options
    )


def text(api: str, at: "Ground", place: str) -> None:
    result = build_agent(at, api, f"{place}/sim-echo").run_sync(at.text)
    assert result.output == at.text, result.output
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0, result.usage


def stream(api: str, at: "Ground", place: str, model: str = "sim-echo") -> None:
    agent = build_agent(at, api, f"{place}/{model}")
    result = agent.run_stream_sync(at.text)
    pieces = list(result.stream_text(delta=True, debounce_by=None))
    assert len(pieces) > 1 and "".join(pieces) == at.text, pieces
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0, result.usage


def stream_after_signs_of_life(api: str, at: "Ground", place: str) -> None:
    stream(api, at.find_slow(), place, at.slow)


def history(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-echo", instructions="Be brief.")
    first = agent.run_sync("One.")
    second = agent.run_sync("Two.", message_history=first.all_messages())
    assert (first.output, second.output) == ("One.", "Two.")
    assert second.usage.input_tokens > first.usage.input_tokens, second.usage


def picture(api: str, at: "Ground", place: str) -> None:
    shown = BinaryContent(base64.b64decode(at.picture), media_type="image/png")
    result = build_agent(at, api, f"{place}/sim-look").run_sync(["What is it?", shown])
    assert result.output == at.picture_seen, result.output


def thinking(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-echo@5thoughts")
    settings: dict[str, Any] = {"max_tokens": at.max_tokens}
    if api == "messages":
        settings["anthropic_thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if api == "responses":
        settings |= {"openai_reasoning_effort": "low", "openai_reasoning_summary": "auto"}
    answer = agent.run_sync(at.text, model_settings=settings).all_messages()[-1]
    thoughts = [part.content for part in answer.parts if isinstance(part, ThinkingPart)]
    assert thoughts == [at.thought] and answer.text == at.text, answer.parts


def tools(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-tools@2calls", tools=[get_weather, get_time])
    CALLED.clear()
    result = agent.run_sync(at.text)
    assert sorted(CALLED) == ["get_time", "get_weather"], CALLED
    assert result.output.startswith("The tool answered: "), result.output
    assert result.usage.requests == 2, result.usage


def streamed_tools(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-tools@2calls", tools=[get_weather, get_time])
    CALLED.clear()
    text = "".join(agent.run_stream_sync(at.text).stream_text(delta=True, debounce_by=None))
    assert sorted(CALLED) == ["get_time", "get_weather"], CALLED
    assert text.startswith("The tool answered: "), text


def thoughts_with_tools(api: str, at: "Ground", place: str) -> None:
    model = f"{place}/sim-tools@5thoughts"
    agent = build_agent(at, api, model, tools=[get_weather])
    settings: dict[str, Any] = {"max_tokens": at.max_tokens}
    if api == "messages":
        settings["anthropic_thinking"] = {"type": "enabled", "budget_tokens": 1024}
    result = agent.run_sync(at.text, model_settings=settings)
    assert result.output.startswith("The tool answered: "), result.output


def output_by_tool(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-tools", output_type=ToolOutput(Book))
    assert isinstance(agent.run_sync(at.text).output, Book)


def output_by_schema(api: str, at: "Ground", place: str) -> None:
    model = build_model(at, api, f"{place}/sim-story@0tps,0ms")
    # It goes by the model's name, which says nothing to it here.
    model.profile.update({"supports_json_schema_output": True})
    agent = Agent(model, output_type=NativeOutput(Book))
    assert isinstance(agent.run_sync(at.text).output, Book)


def errors(api: str, at: "Ground", place: str) -> None:
    for model, status in (("no-such-model", 404), ("sim-fault-u21-429-seconds", 429)):
        try:
            build_agent(at, api, f"{place}/{model}").run_sync(at.text)
        except ModelHTTPError as error:
            assert error.status_code == status and error.body, error
        else:
            raise AssertionError(f"no error for {model}")
    try:
        Agent(build_model(at, api, f"{place}/sim-echo", at.wrong_key)).run_sync(at.text)
    except ModelHTTPError as error:
        assert error.status_code == 401, error
    else:
        raise AssertionError("a wrong key was taken")


def asked_once(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-fault-u23-503")
    assert at.count_asked(lambda: agent.run_sync(at.text)) == 1


def broken_stream(api: str, at: "Ground", place: str) -> None:
    agent = build_agent(at, api, f"{place}/sim-fault-u7-reset-after-content")
    pieces: list[str] = []
    try:
        for piece in agent.run_stream_sync(at.text).stream_text(delta=True, debounce_by=None):
            pieces.append(piece)
    except ModelAPIError:
        assert pieces
    else:
        raise AssertionError("it ended as if it were complete")


def embeddings(at: "Ground", place: str) -> None:
    provider = OpenAIProvider(base_url=f"{at.url}/v1", api_key=at.key)
    embedder = Embedder(OpenAIEmbeddingModel(f"{place}/sim-embed", provider=provider))
    try:
        result = embedder.embed_sync(["one", "two"], input_type="document")
    except ModelHTTPError as error:
        assert (place, error.status_code) == ("claude", 400), error
    else:
        assert [len(vector) for vector in result.embeddings] == [256, 256]


_OF_EACH_API = (
    text,
    stream,
    stream_after_signs_of_life,
    history,
    picture,
    thinking,
    tools,
    streamed_tools,
    thoughts_with_tools,
    output_by_tool,
    output_by_schema,
    errors,
    asked_once,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    f"{api}: {check.__name__.replace('_', ' ')}": partial(check, api)
    for api in ("chat", "messages", "responses")
    for check in _OF_EACH_API
} | {"embeddings": embeddings}
