"""Answers without aiohttp are the same bytes as over its connection; test_reply.py reads them."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.proxy_server import (
    ANSWER,
    DONE,
    ProxyServer,
    build_chunk,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_client import build_head, build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import answering

PLAIN = build_request()
MODELS = build_head(line="GET /v1/models HTTP/1.1", content_type=None)
SLACK_S = 10

SERIES = st.lists(
    st.sampled_from(
        [
            PLAIN,
            MODELS,
            build_request(b"{"),
            build_request(b"{}", line="POST /v1/embeddings HTTP/1.1"),
            build_request().replace(b"Bearer sk", b"Bearer no"),
            build_head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
            build_request(b"{}", line="POST /v1/nothing HTTP/1.1"),
            build_request(b"{}", "X_Odd:  a"),
            b"\r\n",
        ]
    ),
    min_size=1,
    max_size=5,
)
LAST = build_head("Connection: close", line="GET /v1/models HTTP/1.1", content_type=None)
VARYING = ("date", "x-request-id", "x-litellm-call-id")


async def ask_in_pieces(server: ProxyServer, pieces: list[bytes]) -> list[object]:
    """Send pieces in reads of their own, and return the answers without what always differs."""
    async with connecting(server.port) as client, asyncio.timeout(SLACK_S):
        for piece in pieces:
            await client.send(piece)
            for _ in range(8):
                await asyncio.sleep(0)
        answers = await client.read_answers()
    return [
        (a.status, [(n, v) for n, v in a.headers.items() if n not in VARYING], a.body)
        for a in answers
    ]


@settings(max_examples=60)
@given(SERIES, st.lists(st.integers(0, 2000), max_size=6))
def test_answers_are_the_same_as_over_aiohttps_alone(series: list[bytes], cuts: list[int]) -> None:
    """However a series of requests is cut: statuses, header names and order, bodies."""
    sent = b"".join(series) + LAST
    edges = sorted({0, len(sent), *(cut % len(sent) for cut in cuts)})
    pieces = [sent[begin:end] for begin, end in pairwise(edges)]

    async def compare() -> None:
        async with open_raw_upstream(answering(ANSWER)) as upstream:
            snapshot = build_snapshot(build_provider(upstream.url))
            async with serving(snapshot) as lean, serving(snapshot, connection="aiohttp") as other:
                assert await ask_in_pieces(lean, pieces) == await ask_in_pieces(other, pieces)

    asyncio.run(compare())


def test_a_stream_is_the_same_as_over_aiohttps_alone() -> None:
    """Byte by byte, but for its date and its id."""

    async def stream(connection: UpstreamConnection) -> None:
        while True:
            await connection.read_request()
            await connection.start_chunked()
            for chunk in (build_chunk("he"), build_chunk(finish="stop"), DONE, b""):
                await connection.chunk(chunk)

    varying = tuple(f"{name}:".encode() for name in VARYING)

    async def ask(server: ProxyServer) -> list[bytes]:
        body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
        async with connecting(server.port, build_request(body, "Connection: close")) as client:
            lines = (await client.read_end()).split(b"\r\n")
        return [line for line in lines if not line.lower().startswith(varying)]

    async def compare() -> None:
        async with open_raw_upstream(stream) as upstream:
            snapshot = build_snapshot(build_provider(upstream.url))
            async with serving(snapshot) as lean, serving(snapshot, connection="aiohttp") as other:
                first, second = await ask(lean), await ask(other)
        head = first.index(b"")
        assert first[:head] == second[:head]
        assert [line for line in first[head:] if b"data" in line] != []

    asyncio.run(compare())
