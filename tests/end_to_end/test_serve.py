"""The process itself: how fast it starts, what it logs, what it keeps to itself, how it stops."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.served import (
    KEY,
    SLACK,
    START_PROMISE_S,
    WRONG_KEY,
    ServedProxy,
    ServedSimulator,
    build_config,
    serving,
    starting,
)

FIELDS_OF_003 = {
    "timestamp",
    "level",
    "logger",
    "request_id",
    "message",
    "provider",
    "model",
    "tokens",
    "duration",
    "status_code",
}


def build_chat(model: str = "simulator/sim-echo", **fields: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": model, "messages": ASK, **fields}


@asynccontextmanager
async def asking(
    served: ServedProxy, body: Any, path: str = "/v1/chat/completions", key: str = KEY
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one request on a connection of its own; leaving the block closes it."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(served.url, headers=headers) as session,
        session.post(path, json=body) as answer,
    ):
        yield answer


async def ask(served: ServedProxy, body: Any, **how: str) -> tuple[str, bytes]:
    """Return (request id, body) of an answer that is read to its end."""
    async with asking(served, body, **how) as answer:
        return answer.headers["x-request-id"], await answer.read()


def test_the_start_is_fast(served: ServedProxy) -> None:
    """From the start of the process to its first 200 it is no more than ten times the promise."""
    assert served.start_s <= START_PROMISE_S * SLACK


def test_the_start_is_told_once(tmp_path: Path) -> None:
    """The log says where it listens, with which configuration, and that the simulator is on."""
    with serving(tmp_path, build_config()) as served:
        text = served.program.wait_for_line(lambda line: '"serving"' in line)
    line = json.loads(text)
    assert line["addresses"] == served.url or served.url in str(line["addresses"])
    assert line["config"] == str(tmp_path / "config.yaml")
    about = [json.loads(text)["message"] for text in served.program.lines]
    assert sum("simulator is on" in message for message in about) == 1


async def test_every_request_has_one_line(tmp_path: Path, simulator: ServedSimulator) -> None:
    """However requests end there is exactly one JSON line for each, with the fields of the API."""
    expected: dict[str, tuple[str, int, str, str | None, str | None]] = {}
    with serving(tmp_path, build_config(simulator.port, log_level="DEBUG")) as served:
        good, _ = await ask(served, build_chat("local/sim-echo"))
        expected[good] = ("completed", 200, "INFO", "local", "sim-echo")
        streamed, _ = await ask(served, build_chat(stream=True))
        expected[streamed] = ("completed", 200, "INFO", "simulator", "sim-echo")
        vector, _ = await ask(served, {"model": "sim-embed", "input": "x"}, path="/v1/embeddings")
        expected[vector] = ("completed", 200, "INFO", "simulator", "sim-embed")
        refused, _ = await ask(served, build_chat(), key=WRONG_KEY)
        expected[refused] = ("failed", 401, "WARNING", None, None)
        wrong, _ = await ask(served, build_chat(temperature=9))
        expected[wrong] = ("failed", 400, "WARNING", None, None)
        unknown, _ = await ask(served, build_chat("gpt-4o"))
        expected[unknown] = ("failed", 404, "WARNING", None, None)
        broken, _ = await ask(served, build_chat("local/sim-echo", **knobs(fault="u24-500")))
        expected[broken] = ("failed", 502, "ERROR", "local", "sim-echo")
        fault = knobs(fault="u11-chunked-cut")
        cut, _ = await ask(served, build_chat("local/sim-echo", stream=True, **fault))
        expected[cut] = ("failed", 200, "ERROR", "local", "sim-echo")
        endless = knobs(fault="u17-endless", tokens_per_s=100)
        async with asking(served, build_chat("local/sim-story", stream=True, **endless)) as answer:
            await answer.content.readline()
            left = answer.headers["x-request-id"]
        expected[left] = ("client_closed", 200, "INFO", "local", "sim-story")
        for request_id in expected:
            await asyncio.to_thread(served.wait_for_request, request_id=request_id)
    lines = served.request_lines()
    assert sorted(line["request_id"] for line in lines) == sorted(expected)
    for line in lines:
        told = ("outcome", "status_code", "level", "provider", "model")
        assert tuple(line[name] for name in told) == expected[line["request_id"]]
        assert set(line) >= FIELDS_OF_003
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None
        assert line["timestamp"].endswith("Z")
        assert line["message"]
        assert line["duration"] >= 0
        assert (line["tokens"] or 0) > 0 or line["outcome"] != "completed"


async def test_no_key_and_no_prompt_is_ever_printed(
    tmp_path: Path, simulator: ServedSimulator
) -> None:
    """At level DEBUG, whatever a client sends and wherever it fails, output and state tell none."""
    faults = ["u12-bad-json", "u19-error-in-200", "u25-401", "u27-bad-param", "u31-big-header"]
    with serving(tmp_path, build_config(simulator.port, log_level="DEBUG", debug=True)) as served:
        for fault in faults:
            for stream in (False, True):
                body = build_chat("local/sim-echo", stream=stream, **knobs(fault=fault))
                await ask(served, body)
        await ask(served, build_chat(), path=f"/v1/chat/completions?api_key={KEY}")
        await ask(served, build_chat(KEY))
        await ask(served, build_chat("locked/sim-echo"))
        for junk in (
            f"GET /{KEY} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n",
            f"GET / HTTP/1.1\r\nAuthorization {KEY}\r\n\r\n",
            f"{KEY} / HTTP/1.1\r\n\r\n",
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\x00\r\n\r\n",
            f"POST / HTTP/1.1\r\nContent-Length: {KEY}\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(junk.encode())
            writer.write_eof()
            await reader.read()
            writer.close()
            await writer.wait_closed()
        last, _ = await ask(served, build_chat())
        await asyncio.to_thread(served.wait_for_request, request_id=last)
    # `serving` has looked through the output; what is kept on disk is held to the same.
    for path in (tmp_path / "state").rglob("*"):
        # The history's plain copies are the operator's own file, for its owner alone.
        if path.is_file() and path.name != "config.yaml":
            kept = path.read_bytes()
            assert KEY.encode() not in kept, path.name
            assert b"marmalade" not in kept, path.name


async def test_a_signal_lets_open_streams_end(tmp_path: Path) -> None:
    """After SIGTERM nobody new is let in, the stream that runs is finished, then the exit is 0."""
    pace = knobs(tokens_per_s=50, tokens=60)
    with serving(tmp_path, build_config()) as served:
        async with asking(served, build_chat("sim-story", stream=True, **pace)) as answer:
            await answer.content.readline()
            served.program.signal(signal.SIGTERM)
            await wait_until_refused(served.port)
            assert not answer.content.at_eof()
            rest = (await answer.content.read()).decode()
            request_id = answer.headers["x-request-id"]
        assert rest.endswith("data: [DONE]\n\n")
        assert '"finish_reason":"stop"' in rest
        assert await asyncio.to_thread(served.program.wait) == 0
    [line] = served.request_lines()
    assert (line["request_id"], line["outcome"]) == (request_id, "completed")


async def test_idle_connections_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """A client that keeps its connection open without a request does not delay the exit."""
    with serving(tmp_path, build_config()) as served:
        async with aiohttp.ClientSession(served.url) as session:
            async with session.get("/health") as answer:
                await answer.read()
            served.program.signal(signal.SIGTERM)
            assert await asyncio.to_thread(served.program.wait, 10.0) == 0


async def test_interrupt_is_a_good_end_too(tmp_path: Path) -> None:
    """SIGINT, as Ctrl-C sends it, ends the process with 0 and without a traceback."""
    with serving(tmp_path, build_config()) as served:
        served.program.signal(signal.SIGINT)
        assert await asyncio.to_thread(served.program.wait) == 0


async def test_a_second_signal_ends_soon(tmp_path: Path) -> None:
    """Who asks twice waits 5 s for open streams and no longer; each cut one has its line."""
    endless = knobs(fault="u17-endless", tokens_per_s=100)
    with starting(tmp_path, build_config()) as served:
        async with asking(served, build_chat("sim-story", stream=True, **endless)) as answer:
            await answer.content.readline()
            served.program.signal(signal.SIGTERM)
            await wait_until_refused(served.port)
            served.program.signal(signal.SIGTERM)
            assert await asyncio.to_thread(served.program.wait, 5.0 * SLACK) == 0
    assert served.program.stderr == ""
    [line] = served.request_lines()
    assert line["outcome"] == "interrupted"
    assert [text for text in served.program.lines if '"level":"ERROR"' in text] == []


async def wait_until_refused(port: int) -> None:
    """Return as soon as nobody listens any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            # It was waiting in the queue of the socket in the moment that this was closed.
            continue
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            # It was in the queue of the socket that is closed by now.
            continue
