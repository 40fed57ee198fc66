"""LiteLLM's SDK as a client: `openai/` and `anthropic/` models, and its `responses()`."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import litellm
import openai
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "litellm"
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
    },
]


class Book(BaseModel):
    title: str
    year: int
    authors: list[str]


def ask(at: "Ground", api: str, model: str, messages: Any = None, **options: Any) -> Any:
    """Return what `completion` has for one of the two prefixes."""
    return litellm.completion(
        model=f"{api}/{model}",
        messages=messages or [{"role": "user", "content": at.text}],
        **build_options(at, api, options),
    )


def build_options(at: "Ground", api: str, options: dict[str, Any]) -> dict[str, Any]:
    base = at.url if api == "anthropic" else f"{at.url}/v1"
    return {"api_base": base, "api_key": at.key, "max_tokens": at.max_tokens, **options}


def text(api: str, at: "Ground", place: str) -> None:
    answer = ask(at, api, f"{place}/sim-echo")
    assert answer.choices[0].message.content == at.text, answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer.usage


def text_async(api: str, at: "Ground", place: str) -> None:
    async def run() -> Any:
        return await litellm.acompletion(
            model=f"{api}/{place}/sim-echo",
            messages=[{"role": "user", "content": at.text}],
            **build_options(at, api, {}),
        )

    assert asyncio.run(run()).choices[0].message.content == at.text


def stream(api: str, at: "Ground", place: str, model: str = "sim-echo") -> None:
    options = {"include_usage": True}
    chunks = list(ask(at, api, f"{place}/{model}", stream=True, stream_options=options))
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == at.text, pieces
    usage = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    assert usage and usage[-1].completion_tokens > 0, usage


def stream_after_signs_of_life(api: str, at: "Ground", place: str) -> None:
    stream(api, at.find_slow(), place, at.slow)


def picture(api: str, at: "Ground", place: str) -> None:
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{at.picture}"}}
    parts = [{"type": "text", "text": "What is it?"}, shown]
    answer = ask(at, api, f"{place}/sim-look", [{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == at.picture_seen, answer


def thinking(api: str, at: "Ground", place: str) -> None:
    more: dict[str, Any] = {}
    if api == "anthropic":
        # It goes by the model's name, which says nothing to it here.
        more["allowed_openai_params"] = ["thinking"]
        more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    answer = ask(at, api, f"{place}/sim-echo@5thoughts", **more)
    message = answer.choices[0].message
    assert (message.reasoning_content, message.content) == (at.thought, at.text), message


def tools(api: str, at: "Ground", place: str) -> None:
    first = ask(at, api, f"{place}/sim-tools@2calls", tools=TOOLS)
    check_calls(first)
    message = first.choices[0].message
    turn = [{"role": "user", "content": at.text}, message.model_dump(exclude_none=True)]
    for call, result in zip(message.tool_calls, ("rain", "noon"), strict=True):
        turn.append({"role": "tool", "tool_call_id": call.id, "content": result})
    second = ask(at, api, f"{place}/sim-tools@2calls", turn, tools=TOOLS)
    assert second.choices[0].message.content == "The tool answered: noon", second


def streamed_tools(api: str, at: "Ground", place: str) -> None:
    chunks = list(ask(at, api, f"{place}/sim-tools@2calls", tools=TOOLS, stream=True))
    check_calls(litellm.stream_chunk_builder(chunks))


def check_calls(answer: Any) -> None:
    assert answer.choices[0].finish_reason == "tool_calls", answer
    calls = answer.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"], calls
    assert set(json.loads(calls[0].function.arguments)) == {"city"}, calls
    assert json.loads(calls[1].function.arguments) == {}, calls


def output_by_schema(api: str, at: "Ground", place: str) -> None:
    answer = ask(at, api, f"{place}/sim-story@0tps,0ms", response_format=Book)
    Book.model_validate_json(answer.choices[0].message.content)


def errors(api: str, at: "Ground", place: str) -> None:
    wanted: list[tuple[str, Any, int]] = [
        ("no-such-model", litellm.NotFoundError, 404),
        ("sim-fault-u21-429-seconds", litellm.RateLimitError, 429),
        ("sim-fault-u27-context-length", litellm.ContextWindowExceededError, 400),
    ]
    for model, kind, status in wanted:
        check_error(partial(ask, at, api, f"{place}/{model}"), kind, status)
    wrong = partial(ask, at, api, f"{place}/sim-echo", api_key=at.wrong_key)
    check_error(wrong, litellm.AuthenticationError, 401)


def check_error(call: Callable[[], Any], kind: Any, status: int) -> None:
    try:
        call()
    except openai.OpenAIError as error:
        assert isinstance(error, kind), f"{type(error).__name__}: {error}"
        assert getattr(error, "status_code", None) == status, error
    else:
        raise AssertionError(f"no {kind.__name__}")


def asked_once(api: str, at: "Ground", place: str) -> None:
    call = partial(ask, at, api, f"{place}/sim-fault-u23-503")
    assert at.count_asked(call) == 1


def broken_stream(api: str, at: "Ground", place: str) -> None:
    pieces = []
    try:
        for chunk in ask(at, api, f"{place}/sim-fault-u7-reset-after-content", stream=True):
            pieces.append(chunk.choices[0].delta.content or "")
    except openai.OpenAIError:
        assert "".join(pieces)
    else:
        raise AssertionError("it ended as if it were complete")


def embeddings(at: "Ground", place: str) -> None:
    options = {"api_base": f"{at.url}/v1", "api_key": at.key}
    try:
        answer = litellm.embedding(
            model=f"openai/{place}/sim-embed", input=["one", "two"], **options
        )
    except litellm.BadRequestError:
        assert place == "claude"
    else:
        assert [len(item["embedding"]) for item in answer.data] == [256, 256]


def ask_responses(at: "Ground", model: str, **options: Any) -> Any:
    base = {"api_base": f"{at.url}/v1", "api_key": at.key}
    return litellm.responses(model=f"openai/{model}", input=at.text, **base, **options)


def responses_text(at: "Ground", place: str) -> None:
    answer = ask_responses(at, f"{place}/sim-echo")
    assert answer.output_text == at.text, answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage


def responses_stream(at: "Ground", place: str) -> None:
    events = list(ask_responses(at, f"{place}/sim-echo", stream=True))
    pieces = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(pieces) == at.text, pieces
    assert events[-1].type == "response.completed", events[-1]


def responses_tools(at: "Ground", place: str) -> None:
    offered = [{"type": "function", **tool["function"]} for tool in TOOLS]
    answer = ask_responses(at, f"{place}/sim-tools@2calls", tools=offered)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_time"], answer.output


_OF_EACH_PREFIX = (
    text,
    text_async,
    stream,
    stream_after_signs_of_life,
    picture,
    thinking,
    tools,
    streamed_tools,
    output_by_schema,
    errors,
    asked_once,
    broken_stream,
)
CHECKS: dict[str, Callable[["Ground", str], None]] = {
    f"{api}/: {check.__name__.replace('_', ' ')}": partial(check, api)
    for api in ("openai", "anthropic")
    for check in _OF_EACH_PREFIX
} | {
    "openai/: embeddings": embeddings,
    "responses: text": responses_text,
    "responses: stream": responses_stream,
    "responses: tools": responses_tools,
}
