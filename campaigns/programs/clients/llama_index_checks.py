"""LlamaIndex's OpenAILike, Anthropic and OpenAIResponses, its function agent and embeddings."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, LLMMetadata, TextBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAIResponses
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "llama-index-core"
CALLED: list[str] = []


class Book(BaseModel):
    title: str
    year: int
    authors: list[str]


class OurClaude(Anthropic):  # type: ignore[misc]
    """It knows the models of Anthropic by name, and no others."""

    @property
    def metadata(self) -> Any:
        return LLMMetadata(
            context_window=200_000, is_chat_model=True, is_function_calling_model=True
        )


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    CALLED.append("get_weather")
    return f"{city}: rain"


def get_time() -> str:
    """Tell the time."""
    CALLED.append("get_time")
    return "noon"


def build_model(at: "Ground", api: str, model: str, key: str | None = None) -> Any:
    """Return the class for one of the three APIs."""
    common: dict[str, Any] = {"model": model, "api_key": key or at.key, "max_retries": 0}
    if api == "messages":
        return OurClaude(base_url=at.url, max_tokens=at.max_tokens, **common)
    if api == "responses":
        return OpenAIResponses(api_base=f"{at.url}/v1", context_window=100_000, **common)
    return OpenAILike(
        api_base=f"{at.url}/v1", is_chat_model=True, is_function_calling_model=True, **common
    )


def ask(at: "Ground") -> list[Any]:
    return [ChatMessage(role="user", content=at.text)]


def text(api: str, at: "Ground", place: str) -> None:
    answer = build_model(at, api, f"{place}/sim-echo").chat(ask(at))
    assert answer.message.content == at.text, answer
    usage: Any = answer.raw.get("usage") if isinstance(answer.raw, dict) else answer.raw.usage
    assert usage, answer.raw


def text_async(api: str, at: "Ground", place: str) -> None:
    answer = asyncio.run(build_model(at, api, f"{place}/sim-echo").achat(ask(at)))
    assert answer.message.content == at.text, answer


def stream(api: str, at: "Ground", place: str, model: str = "sim-echo") -> None:
    pieces = list(build_model(at, api, f"{place}/{model}").stream_chat(ask(at)))
    assert "".join(piece.delta or "" for piece in pieces) == at.text, pieces


def stream_after_signs_of_life(api: str, at: "Ground", place: str) -> None:
    stream(api, at.find_slow(), place, at.slow)


def picture(api: str, at: "Ground", place: str) -> None:
    shown = ImageBlock(image=at.picture.encode(), image_mimetype="image/png")
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), shown])
    answer = build_model(at, api, f"{place}/sim-look").chat([message])
    assert answer.message.content == at.picture_seen, answer


def agent(api: str, at: "Ground", place: str, streaming: bool = True) -> None:
    async def run() -> Any:
        model = build_model(at, api, f"{place}/sim-tools@2calls")
        worker = FunctionAgent(tools=[get_weather, get_time], llm=model, streaming=streaming)
        return await worker.run(user_msg=at.text)

    CALLED.clear()
    answer = asyncio.run(run())
    assert sorted(CALLED) == ["get_time", "get_weather"], CALLED
    assert str(answer).startswith("The tool answered: "), answer


def agent_without_streams(api: str, at: "Ground", place: str) -> None:
    agent(api, at, place, streaming=False)


def output_by_tool(api: str, at: "Ground", place: str) -> None:
    program = FunctionCallingProgram.from_defaults(
        output_cls=Book,
        llm=build_model(at, api, f"{place}/sim-tools"),
        prompt_template_str=at.text,
        tool_choice=None,
    )
    assert isinstance(program(), Book)


def errors(api: str, at: "Ground", place: str) -> None:
    wanted: list[tuple[str, int, str]] = [
        (f"{place}/no-such-model", 404, at.key),
        (f"{place}/sim-fault-u21-429-seconds", 429, at.key),
        (f"{place}/sim-echo", 401, at.wrong_key),
    ]
    for model, status, key in wanted:
        try:
            build_model(at, api, model, key).chat(ask(at))
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            assert error.status_code == status, error
        else:
            raise AssertionError(f"no error for {model}")


def broken_stream(api: str, at: "Ground", place: str) -> None:
    pieces = []
    model = build_model(at, api, f"{place}/sim-fault-u7-reset-after-content")
    try:
        for piece in model.stream_chat(ask(at)):
            pieces.append(piece.delta or "")
    except (openai.APIError, anthropic.APIError):
        assert "".join(pieces)
    else:
        raise AssertionError("it ended as if it were complete")


def embeddings(at: "Ground", place: str) -> None:
    embedder = OpenAIEmbedding(
        model_name=f"{place}/sim-embed", api_base=f"{at.url}/v1", api_key=at.key, max_retries=0
    )
    try:
        vectors = embedder.get_text_embedding_batch(["one", "two"])
    except openai.BadRequestError:
        assert place == "claude"
    else:
        assert [len(vector) for vector in vectors] == [256, 256]


_OF_EACH_API = (
    text,
    text_async,
    stream,
    stream_after_signs_of_life,
    picture,
    agent,
    agent_without_streams,
    output_by_tool,
    errors,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    f"{api}: {check.__name__.replace('_', ' ')}": partial(check, api)
    for api in ("chat", "messages", "responses")
    for check in _OF_EACH_API
} | {"embeddings": embeddings}
