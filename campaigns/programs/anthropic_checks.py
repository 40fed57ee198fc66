"""
Asks a running proxy through whatever version of Anthropic's SDK this interpreter has.

Run by `campaigns/old_sdk.py` in an environment that holds nothing of this project: only
`anthropic` and the standard library are imported. Each check asks a provider of each format.
Prints the SDK's version, then one JSON line for each check. Reads PROXY_URL, PROXY_KEY,
PROXY_ADMIN_KEY, LEDGER_URL and LEDGER_KEY from the environment.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import anthropic
from anthropic import Anthropic, AsyncAnthropic

URL, KEY = os.environ["PROXY_URL"], os.environ["PROXY_KEY"]
ADMIN_KEY = os.environ["PROXY_ADMIN_KEY"]
LEDGER_URL, LEDGER_KEY = os.environ["LEDGER_URL"], os.environ["LEDGER_KEY"]
PLACES = ("claude", "plain", "gemini", "azure")
TEXT = "Say this again, word for word, please."
ASK: Any = [{"role": "user", "content": TEXT}]
MAX_TOKENS = 2000
LEAVE_WITHIN_S = 1.0  # ten times the promise, as in the tests
TOOLS: Any = [
    {
        "name": "get_weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


def client(**options: Any) -> Anthropic:
    return Anthropic(**{"base_url": URL, "api_key": KEY, "max_retries": 0, **options})


def ask(place: str, model: str, messages: Any = ASK, **fields: Any) -> Any:
    """Return the answer of one provider's model; the breakers are closed first."""
    close_breakers()
    return client().messages.create(
        model=f"{place}/{model}", messages=messages, **{"max_tokens": MAX_TOKENS, **fields}
    )


def stream_events(place: str, model: str, **fields: Any) -> Any:
    """Return the SDK's helper for a stream, for a `with`."""
    close_breakers()
    return client().messages.stream(
        model=f"{place}/{model}", max_tokens=MAX_TOKENS, messages=ASK, **fields
    )


def text(place: str) -> None:
    answer = ask(place, "sim-echo")
    assert [block.text for block in answer.content] == [TEXT]
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def text_async(place: str) -> None:
    async def run() -> Any:
        async with AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0) as sdk:
            return await sdk.messages.create(
                model=f"{place}/sim-echo", max_tokens=MAX_TOKENS, messages=ASK
            )

    assert asyncio.run(run()).content[0].text == TEXT


def stream(place: str) -> None:
    events = list(ask(place, "sim-echo", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"], kinds
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == TEXT
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens > 0


def stream_helper(place: str) -> None:
    with stream_events(place, "sim-echo") as events:
        texts = list(events.text_stream)
        answer = events.get_final_message()
    assert "".join(texts) == answer.content[0].text == TEXT
    assert answer.stop_reason == "end_turn"


def tools(place: str) -> None:
    first = ask(place, "sim-tools@2calls", tools=TOOLS)
    check_calls(first)
    ids = [block.id for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call_id, "content": result}
        for call_id, result in zip(ids, ("rain", "noon"), strict=True)
    ]
    turn = [
        *ASK,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = ask(place, "sim-tools@2calls", turn, tools=TOOLS)
    assert second.content[0].text == "The tool answered: noon"


def streamed_tools(place: str) -> None:
    with stream_events(place, "sim-tools@2calls", tools=TOOLS) as events:
        answer = events.get_final_message()
    check_calls(answer)


def check_calls(answer: Any) -> None:
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert set(calls[0].input) == {"city"}
    assert calls[1].input == {}


def thinking(place: str) -> None:
    answer = ask(place, "sim-echo@5thoughts", thinking=THINKING)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking and answer.content[0].signature


def limit(place: str) -> None:
    answer = ask(place, "sim-echo", max_tokens=3)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def count_tokens(place: str) -> None:
    count = client().messages.count_tokens(model=f"{place}/sim-echo", messages=ASK)
    assert count.input_tokens > 0


def models(place: str) -> None:
    names = [model.id for model in client().models.list(limit=3)]
    assert len(names) == len(set(names)) and "sim-echo" in names
    assert client().models.retrieve(f"{place}/sim-echo").type == "model"


def raw_response(place: str) -> None:
    raw = client().messages.with_raw_response.create(
        model=f"{place}/sim-echo", max_tokens=MAX_TOKENS, messages=ASK
    )
    assert raw.headers["request-id"] == raw.parse()._request_id


def errors_by_status(place: str) -> None:
    wanted: list[tuple[type[anthropic.APIStatusError], int, str]] = [
        (anthropic.BadRequestError, 400, "sim-fault-u27-context-length"),
        (anthropic.NotFoundError, 404, "unknown"),
        (anthropic.RateLimitError, 429, "sim-fault-u21-429-seconds"),
        (anthropic.InternalServerError, 502, "sim-fault-u24-500"),
        (anthropic.InternalServerError, 503, "sim-fault-u23-503"),
    ]
    for kind, status, model in wanted:
        try:
            ask(place, model)
        except anthropic.APIStatusError as error:
            assert isinstance(error, kind) and error.status_code == status, (model, error)
            body: Any = error.body
            assert body["type"] == "error" and body["error"]["message"], body
        else:
            raise AssertionError(f"no error for {model}")
    try:
        client(api_key="sk-wrong").messages.create(
            model=f"{place}/sim-echo", max_tokens=5, messages=ASK
        )
    except anthropic.AuthenticationError as error:
        assert error.request_id
    else:
        raise AssertionError("a wrong key was taken")


def broken_streams(place: str) -> None:
    names = ("u7-reset-after-content", "u10-eof-chunked", "u12-bad-json", "u20-error-later")
    for name in names:
        kinds = []
        try:
            for event in ask(place, f"sim-fault-{name}", stream=True):
                kinds.append(event.type)
        except anthropic.APIStatusError as error:
            body: Any = error.body
            assert body["error"]["type"] in {"api_error", "overloaded_error"}, (name, body)
        else:
            raise AssertionError(f"{name} ended as if it were complete")
        assert "content_block_delta" in kinds and "message_stop" not in kinds, (name, kinds)


def early_close(place: str) -> None:
    ask_ledger("DELETE", "")
    stream = ask(place, "sim-fault-u17-endless@100tps", stream=True)
    next(iter(stream))
    left_at = time.time()
    stream.close()
    [entry] = ask_ledger("GET", "?ended=1&within_ms=10000")["entries"]
    assert entry["outcome"] == "client_closed", entry["outcome"]
    took_s = entry["ended_at"] - left_at
    assert took_s <= LEAVE_WITHIN_S, f"the provider was let go of after {took_s:.3f} s"


def ask_ledger(method: str, query: str) -> Any:
    headers = {"Authorization": f"Bearer {LEDGER_KEY}"}
    request = Request(f"{LEDGER_URL}/ledger{query}", method=method, headers=headers)
    with urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


def close_breakers() -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with urlopen(Request(f"{URL}/admin/breakers/*/reset", headers=headers, method="POST")):
        pass


CHECKS: list[Callable[[str], None]] = [
    text,
    text_async,
    stream,
    stream_helper,
    tools,
    streamed_tools,
    thinking,
    limit,
    count_tokens,
    models,
    raw_response,
    errors_by_status,
    broken_streams,
    early_close,
]


def main() -> None:
    print(json.dumps({"version": anthropic.__version__}), flush=True)
    for check in CHECKS:
        for place in PLACES:
            verdict = "ok"
            try:
                check(place)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is the check's finding
                verdict = f"{type(error).__name__}: {error}"
            name = f"{check.__name__.replace('_', ' ')}, {place}"
            print(json.dumps({"check": name, "verdict": verdict}), flush=True)


if __name__ == "__main__":
    main()
