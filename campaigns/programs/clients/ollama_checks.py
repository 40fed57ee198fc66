"""The `ollama` client, which asks the proxy as if it were a local Ollama."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ollama import AsyncClient, Client, ResponseError
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "ollama"


class Book(BaseModel):
    title: str
    year: int
    authors: list[str]


def get_weather(city: str) -> str:
    """
    Tell the weather of a city.

    Args:
        city: its name
    """
    return f"{city}: rain"


def get_time() -> str:
    """Tell the time."""
    return "noon"


FUNCTIONS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "get_time": get_time}


def build_client(at: "Ground", key: str | None = None, kind: Any = Client) -> Any:
    return kind(host=at.url, headers={"Authorization": f"Bearer {key or at.key}"})


def ask(at: "Ground") -> list[Any]:
    return [{"role": "user", "content": at.text}]


def chat(at: "Ground", place: str) -> None:
    answer = build_client(at).chat(f"{place}/sim-echo", ask(at))
    assert answer.message.content == at.text, answer
    assert answer.done and answer.done_reason == "stop", answer
    assert answer.prompt_eval_count > 0 and answer.eval_count > 0, answer


def chat_async(at: "Ground", place: str) -> None:
    async def run() -> Any:
        return await build_client(at, kind=AsyncClient).chat(f"{place}/sim-echo", ask(at))

    assert asyncio.run(run()).message.content == at.text


def stream(at: "Ground", place: str, model: str = "sim-echo") -> None:
    parts = list(build_client(at).chat(f"{place}/{model}", ask(at), stream=True))
    assert "".join(part.message.content for part in parts) == at.text, parts
    assert parts[-1].done and parts[-1].eval_count > 0, parts[-1]


def stream_after_signs_of_life(at: "Ground", place: str) -> None:
    stream(at.find_slow(), place, at.slow)


def generate(at: "Ground", place: str) -> None:
    answer = build_client(at).generate(f"{place}/sim-echo", at.text)
    assert answer.response == at.text and answer.done, answer
    parts = list(build_client(at).generate(f"{place}/sim-echo", at.text, stream=True))
    assert "".join(part.response for part in parts) == at.text, parts


def tools(at: "Ground", place: str) -> None:
    client, model = build_client(at), f"{place}/sim-tools@2calls"
    first = client.chat(model, ask(at), tools=list(FUNCTIONS.values()))
    turn = [*ask(at), first.message]
    for call in first.message.tool_calls:
        result = FUNCTIONS[call.function.name](**call.function.arguments)
        turn.append({"role": "tool", "content": result, "tool_name": call.function.name})
    assert len(turn) == 4, first
    second = client.chat(model, turn, tools=list(FUNCTIONS.values()))
    assert second.message.content == "The tool answered: noon", second


def streamed_tools(at: "Ground", place: str) -> None:
    model = f"{place}/sim-tools@2calls"
    parts = build_client(at).chat(model, ask(at), tools=list(FUNCTIONS.values()), stream=True)
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [call.function.name for call in calls] == list(FUNCTIONS), calls


def thinking(at: "Ground", place: str) -> None:
    answer = build_client(at).chat(f"{place}/sim-echo@5thoughts", ask(at), think=True)
    assert answer.message.thinking and answer.message.content == at.text, answer


def output_by_schema(at: "Ground", place: str) -> None:
    model = f"{place}/sim-story@0tps,0ms"
    answer = build_client(at).chat(model, ask(at), format=Book.model_json_schema())
    Book.model_validate_json(answer.message.content)


def picture(at: "Ground", place: str) -> None:
    message = {"role": "user", "content": "What is it?", "images": [at.picture]}
    answer = build_client(at).chat(f"{place}/sim-look", [message])
    assert answer.message.content == at.picture_seen, answer


def limit(at: "Ground", place: str) -> None:
    answer = build_client(at).chat(f"{place}/sim-echo", ask(at), options={"num_predict": 3})
    assert (answer.done_reason, answer.eval_count) == ("length", 3), answer


def embeddings(at: "Ground", place: str) -> None:
    try:
        answer = build_client(at).embed(f"{place}/sim-embed", ["one", "two"])
    except ResponseError as error:
        assert (place, error.status_code) == ("claude", 400), error
    else:
        assert [len(vector) for vector in answer.embeddings] == [256, 256]


def models(at: "Ground", place: str) -> None:
    names = [model.model for model in build_client(at).list().models]
    assert any(name.removesuffix(":latest") == "sim-echo" for name in names), names
    assert build_client(at).show(f"{place}/sim-echo") is not None


def errors(at: "Ground", place: str) -> None:
    for model, status in (("no-such-model", 404), ("sim-fault-u21-429-seconds", 429)):
        check_error(at, f"{place}/{model}", status)
    check_error(at, f"{place}/sim-echo", 401, at.wrong_key)


def check_error(at: "Ground", model: str, status: int, key: str | None = None) -> None:
    for streams in (False, True):
        try:
            list(build_client(at, key).chat(model, ask(at), stream=streams))
        except ResponseError as error:
            assert error.status_code == status and error.error, error
        else:
            raise AssertionError(f"no error for {model}")


def broken_stream(at: "Ground", place: str) -> None:
    pieces = []
    model = f"{place}/sim-fault-u7-reset-after-content"
    try:
        for part in build_client(at).chat(model, ask(at), stream=True):
            pieces.append(part.message.content)
    except ResponseError as error:
        assert "".join(pieces) and error.error
    else:
        raise AssertionError("it ended as if it were complete")


_ALL = (
    chat,
    chat_async,
    stream,
    stream_after_signs_of_life,
    generate,
    tools,
    streamed_tools,
    thinking,
    picture,
    output_by_schema,
    limit,
    embeddings,
    models,
    errors,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    check.__name__.replace("_", " "): check for check in _ALL
}
