"""Conversations whose clients do not send back what the model has thought."""

from typing import Any

import aiohttp
import msgspec
import pytest

from tests.fakes.proxy_server import AUTH, ProxyServer, build_provider, build_snapshot, serving
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")

MODEL = "claude-sonnet-4-5"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "I must look", "signature": "c2ln"},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "I must look"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "c2ln"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
)
ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 9000,
    "reasoning_effort": "low",
    "tools": [TOOL],
    "messages": [{"role": "user", "content": "hi"}],
}


def answer_again(messages: list[dict[str, Any]], call_id: str = "toolu_1") -> dict[str, Any]:
    """Return the next request of a client that sends back calls and results, and no thoughts."""
    call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": call_id, "content": "1"}
    return {**ASKED, "messages": [*messages, said, result]}


def stream() -> Recorder:
    """Return a script that streams the same message."""
    events = [
        f"event: {each['type']}\ndata: ".encode() + msgspec.json.encode(each) + b"\n\n"
        for each in EVENTS
    ]
    return Recorder(*events)


async def ask(server: ProxyServer, **more: Any) -> tuple[int, Any]:
    status, headers, _ = await post(server.url, {**ASKED, **more})
    return status, headers


@pytest.mark.parametrize("streams", [False, True])
async def test_thoughts_come_back_with_the_call_they_led_to(streams: bool) -> None:
    """A client of OpenAI's format loses them; Anthropic gets them back unchanged all the same."""
    script = stream() if streams else answering(MESSAGE)
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="anthropic", models=(MODEL,))
        async with serving(build_snapshot(provider)) as server:
            assert (await ask(server, stream=streams))[0] == 200
            again = answer_again(ASKED["messages"])
            status, headers = await ask(server, messages=again["messages"], stream=streams)
    assert status == 200
    assert "x-llm-proxy-reasoning" not in headers
    sent = script.body(1)
    assert sent["messages"][1] == {"role": "assistant", "content": BLOCKS}
    assert sent["thinking"]["type"] != "disabled"


async def test_what_nobody_has_kept_is_told_as_missing() -> None:
    """A call of another server's, or one that was forgotten: the header says so."""
    script = answering(MESSAGE)
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="anthropic", models=(MODEL,))
        async with serving(build_snapshot(provider)) as server:
            again = answer_again(ASKED["messages"], "toolu_9")
            _, headers = await ask(server, messages=again["messages"])
            assert headers["x-llm-proxy-reasoning"] == "missing"
            del again["reasoning_effort"]
            _, headers, _ = await post(server.url, again)
    assert "x-llm-proxy-reasoning" not in headers


PASSED = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}


def deepseek(streams: bool, thought: str | None) -> Recorder:
    """Return a script that calls a tool in DeepSeek's format, after a thought or without."""
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function}
    said: dict[str, Any] = {"role": "assistant", "content": ""}
    said |= {"reasoning_content": thought} if thought else {}
    if not streams:
        message = {**said, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return answering({**PASSED, "choices": [choice]})
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": said, "finish_reason": None},
        {"index": 0, "delta": {"tool_calls": [{"index": 0, **call}]}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
    ]
    chunk = {**PASSED, "object": "chat.completion.chunk"}
    events = [msgspec.json.encode({**chunk, "choices": [choice]}) for choice in choices]
    return Recorder(*(b"data: " + each + b"\n\n" for each in events), b"data: [DONE]\n\n")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("thought", ["I must look", None])
async def test_deepseek_gets_its_thoughts_back_where_bytes_pass(
    streams: bool, thought: str | None
) -> None:
    """The raw messages get `reasoning_content`; where nothing was thought nothing is missing."""
    script = deepseek(streams, thought)
    again = answer_again(ASKED["messages"], "call_1")["messages"]
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="deepseek", models=(MODEL,))
        async with serving(build_snapshot(provider)) as server:
            _, headers = await ask(server, messages=again, stream=streams)
            assert headers["x-llm-proxy-reasoning"] == "missing"
            status, headers = await ask(server, messages=again, stream=streams)
    assert status == 200
    assert "x-llm-proxy-reasoning" not in headers
    assert script.body(0)["messages"] == again
    assert script.body(1)["messages"][1].get("reasoning_content") == thought


async def test_thoughts_of_one_provider_go_to_no_other() -> None:
    """A failover to a provider that wants none sends the messages as they came."""
    first, second = deepseek(False, "I must look"), answering({**PASSED, "choices": []})
    again = answer_again(ASKED["messages"], "call_1")["messages"]
    async with open_raw_upstream(first) as one, open_raw_upstream(second) as two:
        a = build_provider(one.url, name="a", type="deepseek", models=(MODEL,))
        b = build_provider(two.url, name="b", models=(MODEL,))
        async with serving(build_snapshot(a, b)) as server:
            await ask(server)
            first.status = 500
            await ask(server, messages=again)
    assert first.body(1)["messages"][1]["reasoning_content"] == "I must look"
    assert second.body(0)["messages"] == again


@pytest.mark.parametrize("is_stored", [True, False])
async def test_of_a_response_that_is_not_stored_no_thought_is_kept(is_stored: bool) -> None:
    """Its client has them in the response itself, and wants nobody else to have them."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    asked = {"model": MODEL, "input": "hi", "reasoning": {"effort": "low"}, "tools": [tool]}
    async with open_raw_upstream(answering(MESSAGE)) as upstream:
        provider = build_provider(upstream.url, type="anthropic", models=(MODEL,))
        async with (
            serving(build_snapshot(provider)) as server,
            aiohttp.ClientSession(server.url + "/", headers=AUTH) as session,
            session.post("responses", json=asked | {"store": is_stored}) as answer,
        ):
            assert answer.status == 200
            kept = server.runtime.reasoning.find("default", "anthropic", "toolu_1")
    assert (kept is not None) is is_stored


async def test_an_answer_that_breaks_leaves_nothing_behind() -> None:
    """What was thought in a stream without its end is not kept."""
    script = stream()
    script.chunks = script.chunks[:-2]
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="anthropic", models=(MODEL,))
        async with serving(build_snapshot(provider)) as server:
            await ask(server, stream=True)
            assert server.runtime.reasoning.find("default", "anthropic", "toolu_1") is None
