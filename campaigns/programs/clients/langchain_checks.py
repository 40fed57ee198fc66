"""LangChain's chat models over chat completions, messages and responses, and its embeddings."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "langchain-core"


class Book(BaseModel):
    """A book."""

    title: str
    year: int
    authors: list[str]


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: rain"


def get_time() -> str:
    """Tell the time."""
    return "noon"


FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "get_time": get_time}


def build_model(at: "Ground", api: str, model: str, key: str | None = None, **options: Any) -> Any:
    """Return the class for one of the three APIs."""
    common: dict[str, Any] = {"model": model, "api_key": key or at.key, "max_retries": 0}
    if api == "messages":
        claude: Any = ChatAnthropic
        return claude(base_url=at.url, max_tokens=at.max_tokens, **common, **options)
    way: dict[str, Any] = {"stream_usage": True}
    if api == "responses":
        way = {"use_responses_api": True}
    return ChatOpenAI(base_url=f"{at.url}/v1", **way, **common, **options)


def text(api: str, at: "Ground", place: str) -> None:
    answer = build_model(at, api, f"{place}/sim-echo").invoke(at.text)
    assert answer.text == at.text, answer
    usage = answer.usage_metadata
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0, usage


def stream(api: str, at: "Ground", place: str, model: str = "sim-echo") -> None:
    chunks = list(build_model(at, api, f"{place}/{model}").stream(at.text))
    assert "".join(chunk.text for chunk in chunks) == at.text, chunks
    assert any((chunk.usage_metadata or {}).get("output_tokens") for chunk in chunks), chunks


def stream_after_signs_of_life(api: str, at: "Ground", place: str) -> None:
    stream(api, at.find_slow(), place, at.slow)


def picture(api: str, at: "Ground", place: str) -> None:
    shown = {"type": "image", "base64": at.picture, "mime_type": "image/png"}
    message = HumanMessage([{"type": "text", "text": "What is it?"}, shown])
    answer = build_model(at, api, f"{place}/sim-look").invoke([message])
    assert answer.text == at.picture_seen, answer


def thinking(api: str, at: "Ground", place: str) -> None:
    options: dict[str, Any] = {}
    if api == "messages":
        options = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    if api == "responses":
        options = {"reasoning": {"effort": "low", "summary": "auto"}}
    model = build_model(at, api, f"{place}/sim-tools@5thoughts", **options)
    answer = loop(at, model, streams=True)
    assert answer.text == "The tool answered: noon", answer


def tools(api: str, at: "Ground", place: str) -> None:
    answer = loop(at, build_model(at, api, f"{place}/sim-tools@2calls"), streams=False)
    assert answer.text == "The tool answered: noon", answer


def streamed_tools(api: str, at: "Ground", place: str) -> None:
    answer = loop(at, build_model(at, api, f"{place}/sim-tools@2calls"), streams=True)
    assert answer.text == "The tool answered: noon", answer


def loop(at: "Ground", model: Any, streams: bool) -> Any:
    """Return what a model says once its calls have been answered, the last of them by noon."""
    bound = model.bind_tools(list(FUNCTIONS.values()))
    turns: list[Any] = [HumanMessage(at.text)]
    first = ask(bound, turns, streams)
    assert first.tool_calls, first
    turns.append(first)
    for call in first.tool_calls:
        assert set(call["args"]) == ({"city"} if call["name"] == "get_weather" else set()), call
        turns.append(ToolMessage("noon", tool_call_id=call["id"]))
    return ask(bound, turns, streams)


def ask(model: Any, turns: list[Any], streams: bool) -> Any:
    if not streams:
        return model.invoke(turns)
    whole: Any = None
    for chunk in model.stream(turns):
        whole = chunk if whole is None else whole + chunk
    return whole


def output_by_schema(api: str, at: "Ground", place: str) -> None:
    model = build_model(at, api, f"{place}/sim-story@0tps,0ms")
    found = model.with_structured_output(Book, method="json_schema").invoke(at.text)
    assert isinstance(found, Book), found


def errors(api: str, at: "Ground", place: str) -> None:
    wanted = [
        (f"{place}/no-such-model", 404, at.key),
        (f"{place}/sim-fault-u21-429-seconds", 429, at.key),
        (f"{place}/sim-echo", 401, at.wrong_key),
    ]
    for model, status, key in wanted:
        try:
            build_model(at, api, model, key).invoke(at.text)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            assert error.status_code == status, error
        else:
            raise AssertionError(f"no error for {model}")


def broken_stream(api: str, at: "Ground", place: str) -> None:
    pieces = []
    model = build_model(at, api, f"{place}/sim-fault-u7-reset-after-content")
    try:
        for chunk in model.stream(at.text):
            pieces.append(chunk.text)
    except (openai.APIError, anthropic.APIError):
        assert "".join(pieces)
    else:
        raise AssertionError("it ended as if it were complete")


def embeddings(at: "Ground", place: str) -> None:
    embedder = OpenAIEmbeddings(
        model=f"{place}/sim-embed",
        base_url=f"{at.url}/v1",
        api_key=at.key,  # type: ignore[arg-type]
        max_retries=0,
        check_embedding_ctx_length=False,
    )
    try:
        vectors = embedder.embed_documents(["one", "two"])
    except openai.BadRequestError:
        assert place == "claude"
    else:
        assert [len(vector) for vector in vectors] == [256, 256]


_OF_EACH_API = (
    text,
    stream,
    stream_after_signs_of_life,
    picture,
    thinking,
    tools,
    streamed_tools,
    output_by_schema,
    errors,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    f"{api}: {check.__name__.replace('_', ' ')}": partial(check, api)
    for api in ("chat", "messages", "responses")
    for check in _OF_EACH_API
} | {"embeddings": embeddings}
