"""Streams as OpenAI's SDK sees them: whole, broken, given up, and two hundred at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk

from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.served import (
    LEAVE_PROMISE_S,
    PROMPT,
    SLACK,
    ServedProxy,
    ServedSimulator,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

MANY = 200


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    """Return the joined content of a stream with one choice."""
    return "".join([c.choices[0].delta.content or "" for c in chunks if c.choices])


async def test_a_stream_is_whole(sdk: AsyncOpenAI, place: str) -> None:
    """Role once, content, one finish reason; one id over all chunks; no usage unasked."""
    stream = await sdk.chat.completions.create(model=f"{place}/sim-echo", messages=ASK, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [c.choices[0].delta.role for c in chunks if c.choices[0].delta.role] == ["assistant"]
    assert text_of(chunks) == PROMPT
    assert [c.choices[0].finish_reason for c in chunks].count("stop") == 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks if chunk.usage is not None] == []


async def test_usage_comes_where_it_is_asked_for(sdk: AsyncOpenAI, place: str) -> None:
    """With `include_usage` the last chunk, and only that, has no choice and the usage."""
    model = f"{place}/sim-echo"
    whole = await sdk.chat.completions.create(model=model, messages=ASK)
    stream = await sdk.chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert last.choices == []
    assert last.usage == whole.usage is not None
    assert [c for c in chunks if not c.choices or c.usage is not None] == []


async def test_usage_is_logged_unasked(sdk: AsyncOpenAI, served: ServedProxy, place: str) -> None:
    """The log knows the tokens of a stream whose client did not ask for them."""
    raw = await sdk.chat.completions.with_raw_response.create(
        model=f"{place}/sim-echo", messages=ASK, stream=True
    )
    async for _ in raw.parse():
        pass
    line = served.wait_for_request(request_id=raw.headers["x-request-id"])
    assert line["tokens"] == line["prompt_tokens"] + line["completion_tokens"] > 2
    assert line["ttft_s"] <= line["duration"]


async def test_the_stream_helper_tells_events(sdk: AsyncOpenAI, place: str) -> None:
    """`stream()` tells chunks, content as it grows, and its end; the last completion is whole."""
    async with sdk.chat.completions.stream(
        model=f"{place}/sim-echo",
        messages=ASK,
        stream_options={"include_usage": True},
    ) as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_completion()
    kinds = {event.type for event in events}
    assert {"chunk", "content.delta", "content.done"} <= kinds
    done = [event for event in events if event.type == "content.done"]
    assert [event.content for event in done] == [PROMPT]
    assert answer.choices[0].message.content == PROMPT
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


def test_the_stream_helper_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous helper ends with the same completion."""
    with sync_sdk.chat.completions.stream(model=f"{place}/sim-echo", messages=ASK) as stream:
        texts = [event.delta for event in stream if event.type == "content.delta"]
        answer = stream.get_final_completion()
    assert "".join(texts) == answer.choices[0].message.content == PROMPT


async def test_with_streaming_response(sdk: AsyncOpenAI, place: str) -> None:
    """The raw lines are events and nothing else; the last is `[DONE]`."""
    async with sdk.chat.completions.with_streaming_response.create(
        model=f"{place}/sim-echo", messages=ASK, stream=True
    ) as response:
        kind = response.headers["content-type"]
        lines = [line async for line in response.iter_lines() if line]
    assert kind.startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)
    assert lines.count("data: [DONE]") == 1
    assert lines[-1] == "data: [DONE]"


def test_with_streaming_response_sync(sync_sdk: OpenAI, place: str) -> None:
    """A JSON answer can be read the same way, once its head has been looked at."""
    with sync_sdk.chat.completions.with_streaming_response.create(
        model=f"{place}/sim-echo", messages=ASK
    ) as response:
        assert response.headers["content-type"] == "application/json"
        assert response.request_id is not None
        assert response.parse().choices[0].message.content == PROMPT


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("u7-reset-after-content", "upstream_disconnected"),
        ("u11-chunked-cut", "upstream_disconnected"),
        ("u11-length-short", "upstream_disconnected"),
        ("u10-eof-chunked", "upstream_truncated"),
        ("u10-eof-close", "upstream_truncated"),
        ("u12-bad-json", "upstream_protocol_error"),
        ("u20-error-later", "upstream_overloaded"),
    ],
)
async def test_a_broken_stream_is_an_error(
    sdk: AsyncOpenAI, served: ServedProxy, place: str, fault: str, code: str
) -> None:
    """What was good comes first, then APIError with the cause: never a clean end."""
    raw = await sdk.chat.completions.with_raw_response.create(
        model=f"{place}/sim-echo", messages=ASK, stream=True, extra_body=knobs(fault=fault)
    )
    chunks = []
    with pytest.raises(openai.APIError) as broken:
        async for chunk in raw.parse():
            chunks.append(chunk)
    assert (broken.value.code, type(broken.value)) == (code, openai.APIError)
    assert broken.value.message
    assert PROMPT.startswith(text_of(chunks)) and text_of(chunks)
    line = served.wait_for_request(request_id=raw.headers["x-request-id"])
    assert (line["outcome"], line["error_code"], line["level"]) == ("failed", code, "ERROR")


def test_a_broken_stream_is_an_error_sync(sync_sdk: OpenAI, place: str) -> None:
    """The synchronous client raises too, for text completions as for chat."""
    fault = knobs(fault="u11-chunked-cut")
    with pytest.raises(openai.APIError):
        list(
            sync_sdk.completions.create(
                model=f"{place}/sim-echo", prompt=PROMPT, stream=True, extra_body=fault
            )
        )


async def test_a_stalled_stream_is_an_error(sdk: AsyncOpenAI) -> None:
    """Silence in the middle of an answer runs into the provider's idle clock and is told."""
    stream = await sdk.chat.completions.create(
        model="hasty/sim-echo",
        messages=ASK,
        stream=True,
        extra_body=knobs(fault="u8-stall-after-content"),
    )
    with pytest.raises(openai.APIError) as stalled:
        async for _ in stream:
            pass
    assert stalled.value.code == "upstream_stalled"


async def leave_stream(sdk: AsyncOpenAI, arrived: Callable[[], Awaitable[None]]) -> float:
    """Take three chunks of an endless stream and close it; return the moment of leaving."""
    stream = await sdk.chat.completions.create(
        model="local/sim-story",
        messages=ASK,
        stream=True,
        extra_body=knobs(fault="u17-endless", tokens_per_s=100),
    )
    chunks = aiter(stream)
    for _ in range(3):
        await anext(chunks)
    left_at = time.time()
    await stream.close()
    return left_at


async def leave_before_the_head(sdk: AsyncOpenAI, arrived: Callable[[], Awaitable[None]]) -> float:
    """Cancel a stream whose provider has not answered at all."""
    return await _cancel(
        sdk.chat.completions.create(
            model="local/sim-echo",
            messages=ASK,
            stream=True,
            extra_body=knobs(fault="u4-black-hole"),
        ),
        arrived,
    )


async def leave_before_the_first_token(
    sdk: AsyncOpenAI, arrived: Callable[[], Awaitable[None]]
) -> float:
    """Cancel a stream whose provider has sent its head and thinks."""
    return await _cancel(
        sdk.chat.completions.create(
            model="local/sim-echo",
            messages=ASK,
            stream=True,
            extra_body=knobs(fault="u6-headers-then-silence"),
        ),
        arrived,
    )


async def leave_json(sdk: AsyncOpenAI, arrived: Callable[[], Awaitable[None]]) -> float:
    """Cancel a request for a whole answer that takes a minute."""
    return await _cancel(
        sdk.chat.completions.create(
            model="local/sim-echo", messages=ASK, extra_body=knobs(first_token_ms=60_000)
        ),
        arrived,
    )


async def leave_embeddings(sdk: AsyncOpenAI, arrived: Callable[[], Awaitable[None]]) -> float:
    """Cancel a request for embeddings that never come."""
    return await _cancel(
        sdk.embeddings.create(
            model="local/sim-embed", input=PROMPT, extra_body=knobs(fault="u4-black-hole")
        ),
        arrived,
    )


async def _cancel(asking: Awaitable[object], arrived: Callable[[], Awaitable[None]]) -> float:
    task = asyncio.ensure_future(asking)
    await arrived()
    left_at = time.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return left_at


@pytest.mark.parametrize(
    "leave",
    [
        leave_stream,
        leave_before_the_head,
        leave_before_the_first_token,
        leave_json,
        leave_embeddings,
    ],
)
async def test_a_client_that_leaves_ends_the_providers_work(
    sdk: AsyncOpenAI,
    served: ServedProxy,
    simulator: ServedSimulator,
    leave: Callable[[AsyncOpenAI, Callable[[], Awaitable[None]]], Awaitable[float]],
) -> None:
    """The provider's connection is closed within 100 ms, and the request has its log line."""
    await simulator.clear_ledger()
    mark = served.mark
    left_at = await leave(sdk, simulator.wait_for_request)
    [entry] = await simulator.read_ledger(ended=1)
    line = await asyncio.to_thread(served.wait_for_request, mark, outcome="client_closed")
    assert entry["outcome"] == "client_closed"
    assert entry["ended_at"] - left_at <= LEAVE_PROMISE_S * SLACK
    assert (line["provider"], line["attempts"], line["level"]) == ("local", 1, "INFO")
    assert line["status_code"] == (200 if leave is leave_stream else 499)


async def test_a_client_that_leaves_ends_the_simulator(
    sdk: AsyncOpenAI, served: ServedProxy
) -> None:
    """The provider inside the worker is let go of as well, and the request has its log line."""
    mark = served.mark
    stream = await sdk.chat.completions.create(
        model="simulator/sim-story",
        messages=ASK,
        stream=True,
        extra_body=knobs(fault="u17-endless", tokens_per_s=100),
    )
    await anext(aiter(stream))
    await stream.close()
    line = await asyncio.to_thread(served.wait_for_request, mark, outcome="client_closed")
    assert line["provider"] == "simulator"


async def test_two_hundred_streams_at_once(
    sdk: AsyncOpenAI, served: ServedProxy, place: str
) -> None:
    """All are open at the same time, each ends well, and each has its own text and no other's."""
    opened = asyncio.Barrier(MANY)

    async def ask(tag: str) -> tuple[str, str | None, str]:
        raw = await sdk.chat.completions.with_raw_response.create(
            model=f"{place}/sim-echo",
            messages=[{"role": "user", "content": tag}],
            stream=True,
            extra_body=knobs(tokens_per_s=40),
        )
        chunks = aiter(raw.parse())
        seen = [await anext(chunks)]
        await opened.wait()
        seen += [chunk async for chunk in chunks]
        request_id: str = raw.headers["x-request-id"]
        return text_of(seen), seen[-1].choices[0].finish_reason, request_id

    mark = served.mark
    tags = [f"tag {number}: " + f"word{number} " * 20 for number in range(MANY)]
    answers = await asyncio.gather(*[ask(tag) for tag in tags])
    assert [text for text, _, _ in answers] == tags
    assert {reason for _, reason, _ in answers} == {"stop"}
    ids = {request_id for _, _, request_id in answers}
    assert len(ids) == MANY
    for request_id in ids:
        line = served.wait_for_request(mark, request_id=request_id)
        assert (line["outcome"], line["status_code"]) == ("completed", 200)
