"""Rows I35 and I36: a process that is held up, or out of files, does not blame its provider."""

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    DONE,
    build_chat,
    build_chunk,
    proxying,
)

pytestmark = pytest.mark.both_loops

CLOCK_S = 1.0
SHORT = Clocks(headers_s=CLOCK_S, first_token_s=CLOCK_S, idle_s=CLOCK_S, answer_s=CLOCK_S)
PROMPT = 20.0


class ThreadedUpstream:
    """A provider in a thread of its own: it answers also while this process' loop stands."""

    def __init__(self, early: bytes, answer: bytes) -> None:
        """Answer with `early` as soon as a request has come, and with the rest when it may."""
        self._early = early
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.answered = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self.may_answer.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            connection.sendall(self._early)
            self.asked.set()
            self.may_answer.wait(PROMPT)
            connection.sendall(self._answer)
            self.answered.set()
            while connection.recv(65536):
                continue


@contextmanager
def answering(head: str, body: bytes, early_body: bytes = b"") -> Iterator[ThreadedUpstream]:
    """Have a provider that gives one answer, whole or after the beginning of its body."""
    start = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + early_body
    upstream = ThreadedUpstream(start, body) if early_body else ThreadedUpstream(b"", start + body)
    try:
        yield upstream
    finally:
        upstream.close()


def stand_still(upstream: ThreadedUpstream) -> None:
    """Hold the loop up: the answer comes at once, and a clock runs out before anybody looks."""
    upstream.may_answer.set()
    assert upstream.answered.wait(PROMPT)
    threading.Event().wait(1.1 * CLOCK_S)  # nobody sets it: this is the fault itself


WHOLE = msgspec.json.encode(ANSWER)
STREAM = build_chunk("hello") + build_chunk(finish="stop") + DONE


@pytest.mark.parametrize(
    ("streams", "head", "body"),
    [
        (False, f"Content-Type: application/json\r\nContent-Length: {len(WHOLE)}", WHOLE),
        (True, f"Content-Type: text/event-stream\r\nContent-Length: {len(STREAM)}", STREAM),
        (True, f"Content-Length: {len(STREAM)}", STREAM),
    ],
    ids=["whole", "stream", "unnamed stream"],
)
async def test_i36_a_clock_that_we_were_late_for_is_no_failure(
    streams: bool, head: str, body: bytes
) -> None:
    """The answer lay in the socket before its clock ran out: the client gets it."""
    loop = asyncio.get_running_loop()
    with answering(head, body) as upstream:
        async with (
            proxying(upstream.url, clocks=SHORT) as server,
            aiohttp.ClientSession(headers=AUTH) as session,
        ):
            url = f"{server.url}/chat/completions"
            asking = asyncio.ensure_future(session.post(url, json=build_chat(stream=streams)))
            await loop.run_in_executor(None, upstream.asked.wait, PROMPT)
            stand_still(upstream)
            answer = await asking
            assert answer.status == 200
            assert b"hello" in await answer.read()
            (record,) = await server.observer.wait_for_records()
    assert record.ending == "completed"


async def test_i36_a_stream_that_we_were_late_for_goes_on() -> None:
    """The next event lay in the socket before the idle clock ran out: the stream is whole."""
    first, rest = build_chunk("hello"), build_chunk(finish="stop") + DONE
    head = f"Content-Type: text/event-stream\r\nContent-Length: {len(first + rest)}"
    with answering(head, rest, first) as upstream:
        async with (
            proxying(upstream.url, clocks=SHORT) as server,
            aiohttp.ClientSession(headers=AUTH) as session,
            session.post(f"{server.url}/chat/completions", json=build_chat(stream=True)) as answer,
        ):
            stand_still(upstream)
            assert (await answer.read()).endswith(DONE)


async def test_i36_a_provider_that_is_late_itself_is_told_apart() -> None:
    """Nothing has come when the clock runs out: that is the provider's, loop or no loop."""
    with answering("Content-Length: 0", b"") as upstream:
        async with (
            proxying(upstream.url, clocks=SHORT) as server,
            aiohttp.ClientSession(headers=AUTH) as session,
        ):
            url = f"{server.url}/chat/completions"
            async with session.post(url, json=build_chat(stream=True)) as answer:
                error = (await answer.json())["error"]
    assert error["code"] == "upstream_header_timeout"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL])
async def test_i35_what_we_are_out_of_is_not_the_providers_fault(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file or a port for a connection the error says so, and is ours."""

    def refuse(*_: object) -> None:
        raise OSError(number, "made up")

    async with (
        proxying("http://127.0.0.1:1/v1") as server,
        aiohttp.ClientSession(headers=AUTH) as session,
    ):
        # The client of this test has its connection before there are no more.
        async with session.get(f"{server.url}/models") as first:
            await first.read()
        monkeypatch.setattr("proxy.upstream.dialer.socket.socket", refuse)
        async with session.post(f"{server.url}/chat/completions", json=build_chat()) as answer:
            error = (await answer.json())["error"]
        monkeypatch.undo()
        records = await server.observer.wait_for_records(2)
    assert (answer.status, error["code"]) == (503, "upstream_not_dialled")
    assert records[-1].error_code == "upstream_not_dialled"
