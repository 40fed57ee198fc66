"""Tests of the yardstick: it changes nothing on the way."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from bench.bare_passthrough import build_app


async def echo(request: web.Request) -> web.Response:
    """Answer with what was asked, in the status that the path asks for."""
    text = f"{request.method} {request.path_qs} {request.headers['Authorization']} "
    body = text.encode() + await request.read()
    return web.Response(status=418, body=body, content_type="application/json")


async def stream(request: web.Request) -> web.StreamResponse:
    """Answer with an event stream."""
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    await reply.write(b"data: 1\n\n")
    await reply.write(b"data: [DONE]\n\n")
    await reply.write_eof()
    return reply


async def test_requests_and_answers_pass_unchanged() -> None:
    """Method, path, query, key and body reach the upstream; status, type and body come back."""
    upstream = web.Application()
    upstream.router.add_post("/v1/chat/completions", echo)
    async with TestServer(upstream) as server:
        app = build_app(f"http://{server.host}:{server.port}")
        async with TestClient(TestServer(app)) as client:
            answer = await client.post(
                URL("/v1/chat/completions?a=%2F", encoded=True),
                data=b"{}",
                headers={"Authorization": "Bearer k"},
            )
            assert (answer.status, answer.content_type) == (418, "application/json")
            assert await answer.read() == b"POST /v1/chat/completions?a=%2F Bearer k {}"


async def test_streams_pass_whole() -> None:
    """An event stream keeps its type and every byte."""
    upstream = web.Application()
    upstream.router.add_post("/v1/chat/completions", stream)
    async with TestServer(upstream) as server:
        app = build_app(f"http://{server.host}:{server.port}")
        async with TestClient(TestServer(app)) as client:
            answer = await client.post("/v1/chat/completions", data=b"{}")
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert await answer.read() == b"data: 1\n\ndata: [DONE]\n\n"
