"""
Asks a running proxy through whatever version of OpenAI's SDK this interpreter has.

Run by `campaigns/old_sdk.py` in an environment that holds nothing of this project: only
`openai` and the standard library are imported. Prints the SDK's version, then one JSON line
for each check. Reads PROXY_URL, PROXY_KEY, PROXY_ADMIN_KEY, LEDGER_URL and LEDGER_KEY from the
environment.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

URL, KEY = os.environ["PROXY_URL"], os.environ["PROXY_KEY"]
ADMIN_KEY = os.environ["PROXY_ADMIN_KEY"]
LEDGER_URL, LEDGER_KEY = os.environ["LEDGER_URL"], os.environ["LEDGER_KEY"]
TEXT = "Say this again, word for word, please."
ASK: Any = [{"role": "user", "content": TEXT}]
MANY = 200
LEAVE_WITHIN_S = 1.0  # ten times the promise, as in the tests
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
ECHO, STORY, TOOLS, EMBED = [f"local/sim-{name}" for name in ("echo", "story", "tools", "embed")]


class Book(BaseModel):
    title: str
    year: int


def client(**options: Any) -> OpenAI:
    return OpenAI(**{"base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0, **options})


def async_client() -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


def knobs(**values: Any) -> dict[str, Any]:
    return {"metadata": {"sim": {"tokens_per_s": 0, "first_token_ms": 0, **values}}}


def text_of(chunks: list[Any]) -> str:
    return "".join([c.choices[0].delta.content or "" for c in chunks if c.choices])


def chat() -> None:
    answer = client().chat.completions.create(model=ECHO, messages=ASK)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage is not None and answer.usage.total_tokens > 0


def chat_without_v1() -> None:
    answer = client(base_url=URL).chat.completions.create(model=ECHO, messages=ASK)
    assert answer.choices[0].message.content == TEXT


def chat_with_two_choices() -> None:
    answer = client().chat.completions.create(model=ECHO, messages=ASK, n=2)
    assert [choice.message.content for choice in answer.choices] == [TEXT, TEXT]


def stream() -> None:
    chunks = list(client().chat.completions.create(model=ECHO, messages=ASK, stream=True))
    assert text_of(chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


def stream_with_usage() -> None:
    *_, last = client().chat.completions.create(
        model=ECHO, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == [] and last.usage is not None


def stream_helper() -> None:
    with client().chat.completions.stream(model=ECHO, messages=ASK) as events:
        kinds = {event.type for event in events}
        answer = events.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    message = answer.choices[0].message
    assert (message.role, message.content) == ("assistant", TEXT)


def tools() -> None:
    first = client().chat.completions.create(model=TOOLS, messages=ASK, tools=[TOOL])
    assert first.choices[0].finish_reason == "tool_calls"
    message: Any = first.choices[0].message
    [call] = message.tool_calls
    assert set(json.loads(call.function.arguments)) == {"city"}
    turn = [
        *ASK,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    second = client().chat.completions.create(model=TOOLS, messages=turn, tools=[TOOL])
    assert second.choices[0].message.content == "The tool answered: rain"


def streamed_tools() -> None:
    with client().chat.completions.stream(model=TOOLS, messages=ASK, tools=[TOOL]) as events:
        message: Any = events.get_final_completion().choices[0].message
    [call] = message.tool_calls
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def parse() -> None:
    answer = client().chat.completions.parse(
        model=STORY, messages=ASK, response_format=Book, extra_body=knobs()
    )
    assert isinstance(answer.choices[0].message.parsed, Book)


def embeddings() -> None:
    packed = client().embeddings.create(model=EMBED, input=["one", "two"])
    plain = client().embeddings.create(model=EMBED, input=["one", "two"], encoding_format="float")
    short = client().embeddings.create(model=EMBED, input="one", dimensions=8)
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert len(short.data[0].embedding) == 8
    assert abs(sum(value * value for value in packed.data[0].embedding) - 1) < 1e-5


def legacy_completions() -> None:
    whole = client().completions.create(model=ECHO, prompt=TEXT)
    chunks = list(client().completions.create(model=ECHO, prompt=TEXT, stream=True))
    assert whole.choices[0].text == TEXT
    assert "".join([chunk.choices[0].text for chunk in chunks]) == TEXT


def models() -> None:
    names = [model.id for model in client().models.list()]
    assert "team/fast" in names
    assert client().models.retrieve("team/fast").id == "team/fast"


def raw_response() -> None:
    raw = client().chat.completions.with_raw_response.create(model=ECHO, messages=ASK)
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def streaming_response() -> None:
    with client().chat.completions.with_streaming_response.create(
        model=ECHO, messages=ASK, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


def errors_by_status() -> None:
    wanted: list[tuple[type[openai.APIStatusError], int, str, str | None]] = [
        (openai.BadRequestError, 400, ECHO, "u27-context-length"),
        (openai.NotFoundError, 404, "unknown", None),
        (openai.RateLimitError, 429, ECHO, "u21-429-seconds"),
        (openai.InternalServerError, 502, ECHO, "u24-500"),
        (openai.InternalServerError, 503, ECHO, "u23-503"),
        (openai.InternalServerError, 504, "hasty/sim-echo", "u4-black-hole"),
        (openai.InternalServerError, 503, ECHO, "u19-error-in-200"),
    ]
    for kind, status, model, name in wanted:
        fields: dict[str, Any] = fault(name) if name else {}
        try:
            client().chat.completions.create(model=model, messages=ASK, **fields)
        except openai.APIStatusError as error:
            assert (type(error), error.status_code) == (kind, status), (model, name)
        else:
            raise AssertionError(f"no error for {model}, {name}")
    try:
        client().chat.completions.create(model=ECHO, messages=ASK, temperature=9)
    except openai.BadRequestError as error:
        assert error.param == "temperature"
    else:
        raise AssertionError("a temperature of 9 was taken")
    try:
        client(api_key="sk-wrong").models.list()
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
    else:
        raise AssertionError("a wrong key was taken")


def fault(name: str) -> dict[str, Any]:
    """Return what asks for a fault, before which no other is held against the provider."""
    close_breakers()
    return {"extra_body": knobs(fault=name)}


def close_breakers() -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with urlopen(Request(f"{URL}/admin/breakers/*/reset", headers=headers, method="POST")):
        pass


def broken_streams() -> None:
    for name in ("u7-reset-after-content", "u10-eof-chunked", "u12-bad-json", "u20-error-later"):
        chunks = []
        try:
            for chunk in client().chat.completions.create(
                model=ECHO, messages=ASK, stream=True, **fault(name)
            ):
                chunks.append(chunk)
        except openai.APIError as error:
            assert error.code, name
        else:
            raise AssertionError(f"{name} ended as if it were complete")
        assert chunks, name


def early_close() -> None:
    _ask_ledger("DELETE", "")
    stream = client().chat.completions.create(
        model=STORY, messages=ASK, stream=True, extra_body=knobs(fault="u17-endless")
    )
    next(iter(stream))
    left_at = time.time()
    stream.close()
    _check_ledger(left_at)


def cancelled_task() -> None:
    async def leave() -> float:
        async with async_client() as sdk:
            stream: Any = await sdk.chat.completions.create(
                model=STORY, messages=ASK, stream=True, extra_body=knobs(fault="u17-endless")
            )
            seen = asyncio.Event()

            async def read() -> None:
                async for _ in stream:
                    seen.set()

            task = asyncio.ensure_future(read())
            await seen.wait()
            left_at = time.time()
            task.cancel()
            await asyncio.wait([task])
            await stream.close()
            return left_at

    _ask_ledger("DELETE", "")
    _check_ledger(asyncio.run(leave()))


def _check_ledger(left_at: float) -> None:
    [entry] = _ask_ledger("GET", "?ended=1&within_ms=10000")["entries"]
    assert entry["outcome"] == "client_closed", entry["outcome"]
    took_s = entry["ended_at"] - left_at
    assert took_s <= LEAVE_WITHIN_S, f"the provider was let go of after {took_s:.3f} s"


def _ask_ledger(method: str, query: str) -> Any:
    headers = {"Authorization": f"Bearer {LEDGER_KEY}"}
    request = Request(f"{LEDGER_URL}/ledger{query}", method=method, headers=headers)
    with urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def many_streams() -> None:
    async def ask(sdk: AsyncOpenAI, tag: str) -> str:
        stream: Any = await sdk.chat.completions.create(
            model=ECHO,
            messages=[{"role": "user", "content": tag}],
            stream=True,
            extra_body=knobs(tokens_per_s=40),
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "stop"
        return text_of(chunks)

    async def ask_all(tags: list[str]) -> list[str]:
        async with async_client() as sdk:
            return await asyncio.gather(*[ask(sdk, tag) for tag in tags])

    tags = [f"tag {number} " + f"word{number} " * 20 for number in range(MANY)]
    assert asyncio.run(ask_all(tags)) == tags


CHECKS: list[Callable[[], None]] = [
    chat,
    chat_without_v1,
    chat_with_two_choices,
    stream,
    stream_with_usage,
    stream_helper,
    tools,
    streamed_tools,
    parse,
    embeddings,
    legacy_completions,
    models,
    raw_response,
    streaming_response,
    errors_by_status,
    broken_streams,
    early_close,
    cancelled_task,
    many_streams,
]


def main() -> None:
    print(json.dumps({"version": openai.__version__}), flush=True)
    for check in CHECKS:
        verdict = "ok"
        close_breakers()
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the check's finding
            verdict = f"{type(error).__name__}: {error}"
        print(json.dumps({"check": check.__name__.replace("_", " "), "verdict": verdict}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
