"""How errors are told to the client."""

import asyncio

import msgspec
import pytest

from proxy.domain.secret import Secret
from tests.fakes.proxy_server import (
    ANSWER,
    build_chat,
    build_provider,
    build_snapshot,
    proxying,
    serving,
)
from tests.fakes.raw_client import build_request, connecting
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_the_clients_own_mistake_comes_back_in_the_providers_words() -> None:
    """An upstream 400 reaches the client with message, param and code, keys masked."""
    fault = {
        "error": {
            "message": "Invalid value for 'top_p' sk-abcdefghijklmnop1234567890",
            "type": "invalid_request_error",
            "param": "top_p",
            "code": "invalid_value",
        }
    }
    async with (
        open_raw_upstream(answering(fault, 400)) as upstream,
        proxying(upstream.url) as server,
    ):
        status, _, body = await post(server.url, build_chat())
    error = msgspec.json.decode(body)["error"]
    assert status == 400
    assert error["message"].startswith("Invalid value for 'top_p'")
    assert (error["param"], error["code"]) == ("top_p", "invalid_value")
    assert b"sk-abc" not in body


async def test_retry_after_reaches_the_client_in_whole_seconds() -> None:
    """A provider's wait of 1.2 s is passed on as `Retry-After: 2`."""
    script = answering({"error": {"message": "slow down"}}, 429)
    script.extra = "retry-after-ms: 1200\r\n"
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, headers, _ = await post(server.url, build_chat())
    assert (status, headers["Retry-After"]) == (429, "2")


@pytest.mark.parametrize("streams", [True, False])
async def test_nothing_follows_an_answer_that_is_whole(streams: bool) -> None:
    """A server that stops while all of an answer lies unread adds no error of its own to it."""
    message = {"role": "assistant", "content": "x" * 16_000_000}
    whole = {**ANSWER, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    body = msgspec.json.encode(build_chat(stream=streams))
    async with open_raw_upstream(answering(whole)) as upstream, proxying(upstream.url) as server:
        async with connecting(server.port) as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(build_request(body))
            # Paused is what wrote the answer, in one go.
            while not any(c.writing_paused for c in server.runner.connections):  # noqa: ASYNC110
                await asyncio.sleep(0)
            server.runner.cut()
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            received = await client.read_end()
        (record,) = await server.observer.wait_for_records()
    assert record.ending == "interrupted"
    assert b"server_shutdown" not in received
    assert received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n" if streams else b"}")


async def test_a_provider_that_repeats_our_key_shows_it_to_nobody() -> None:
    """Whatever our key looks like, it is taken out of the words that a client gets."""
    key = "correct-horse-7"
    fault = {"error": {"message": f"bad header: {key}!", "param": key, "code": f"no_{key}"}}
    async with open_raw_upstream(answering(fault, 400)) as upstream:
        provider = build_provider(upstream.url, api_key=Secret(key))
        async with serving(build_snapshot(provider)) as server:
            status, _, body = await post(server.url, build_chat())
    assert status == 400
    assert key.encode() not in body
    assert b"bad header: ***!" in body
