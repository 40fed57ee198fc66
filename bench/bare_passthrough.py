"""
The yardstick: the least that a proxy of aiohttp server and aiohttp client can do.

It authenticates nobody, decides nothing, counts nothing and logs nothing. Whatever our own
server takes on top of this is the price of its features.

    python -m bench.bare_passthrough PORT UPSTREAM_URL
"""

import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from yarl import URL

FORWARDED = ("Content-Type", "Authorization", "Accept")
MAX_BODY_BYTES = 32 * 1024 * 1024


def build_app(upstream: str) -> web.Application:
    """Return an application that passes every request to `upstream`, an origin URL."""
    session_key = web.AppKey("session", ClientSession)

    async def pass_through(request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        async with request.app[session_key].request(
            request.method,
            URL(upstream + request.path_qs, encoded=True),
            data=await request.read(),
            headers=headers,
            allow_redirects=False,
        ) as answer:
            content_type = answer.headers.get("Content-Type", "")
            answer_headers = {"Content-Type": content_type}
            if not content_type.startswith("text/event-stream"):
                body = await answer.read()
                return web.Response(status=answer.status, headers=answer_headers, body=body)
            reply = web.StreamResponse(status=answer.status, headers=answer_headers)
            await reply.prepare(request)
            while chunk := await answer.content.readany():
                await reply.write(chunk)
            await reply.write_eof()
            return reply

    async def open_session(app: web.Application) -> None:
        app[session_key] = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        )

    async def close_session(app: web.Application) -> None:
        await app[session_key].close()

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", pass_through)
    app.on_startup.append(open_session)
    app.on_cleanup.append(close_session)
    return app


def main() -> None:
    """Serve on the loopback port of the command line until a signal ends it."""
    port, upstream = int(sys.argv[1]), sys.argv[2]
    web.run_app(
        build_app(upstream),
        host="127.0.0.1",
        port=port,
        backlog=4096,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
