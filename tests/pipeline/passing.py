"""Requests that pass as they come, byte by byte, and the proxy between them and an upstream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import ProxyServer, build_provider, build_snapshot, serving
from tests.fakes.raw_client import RawAnswer, build_request, exchange
from tests.fakes.raw_upstream import RawUpstream, Script, open_raw_upstream

FORM_TYPE = "multipart/form-data; boundary=b"
TRANSCRIPTIONS = "POST /v1/audio/transcriptions HTTP/1.1"
MODERATIONS = "POST /v1/moderations HTTP/1.1"
FILES = "GET /v1/files HTTP/1.1"


def build_field(name: str, value: bytes) -> bytes:
    """Return one part of a form."""
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), value)


FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
MODEL = build_field("model", b"m")


def build_form(*parts: bytes) -> bytes:
    """Return a form of these parts."""
    return b"--b\r\n" + b"\r\n--b\r\n".join(parts) + b"\r\n--b--\r\n"


FORM = build_form(MODEL, FILE)


@asynccontextmanager
async def passing(
    script: Script, *, clocks: Clocks | None = None, **settings: Any
) -> AsyncIterator[tuple[ProxyServer, RawUpstream]]:
    """Serve the model `m` of a raw upstream that offers everything."""
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(
            upstream.url, type="openai_compatible", clocks=clocks or Clocks(), models=("m", "n/1")
        )
        async with serving(build_snapshot(provider, **settings)) as server:
            yield server, upstream


async def ask(
    server: ProxyServer,
    body: bytes,
    *fields: str,
    line: str = TRANSCRIPTIONS,
    content_type: str = FORM_TYPE,
) -> RawAnswer:
    """Send one request on a connection of its own and return its answer, which has a length."""
    data = build_request(body, "Connection: close", *fields, content_type=content_type, line=line)
    (answer,) = await exchange(server.port, data)
    return answer


async def judge(server: ProxyServer, *fields: str) -> RawAnswer:
    """Ask for a moderation."""
    body = b'{"model":"m","input":"x"}'
    return await ask(server, body, *fields, line=MODERATIONS, content_type="application/json")
