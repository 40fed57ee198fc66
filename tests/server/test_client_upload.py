"""The body of a request as it comes in: what is refused by the head, by its size, by its pace."""

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from proxy.domain.settings import ClientClocks, Settings
from proxy.server.client_upload import ClientUpload
from tests.fakes.raw_client import build_head, connecting
from tests.fakes.raw_upstream import UpstreamConnection, stay_until_closed
from tests.fakes.upstream_scripts import answering
from tests.pipeline.passing import FILE, FORM, FORM_TYPE, MODEL, TRANSCRIPTIONS, build_form, passing

pytestmark = pytest.mark.usefixtures("no_leaks")

LONG = build_form(MODEL, FILE + bytes(50_000))


def _head(*fields: str, size_bytes: int | None = None) -> bytes:
    length = "Transfer-Encoding: chunked" if size_bytes is None else f"Content-Length: {size_bytes}"
    return build_head(length, *fields, content_type=FORM_TYPE, line=TRANSCRIPTIONS)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("fields", "size_bytes", "status"),
    [
        (("Content-Encoding: gzip",), 99, 415),
        ((), 100_000, 413),
        (("Expect: 100-continue",), 100_000, 413),
        (("Expect: tea",), 99, 417),
    ],
    ids=["compressed", "too long", "too long and not asked for", "another expectation"],
)
async def test_the_head_is_looked_at_before_the_body_comes(
    fields: tuple[str, ...], size_bytes: int, status: int
) -> None:
    """What the head tells is refused at once, and `100 Continue` is not said."""
    async with (
        passing(answering({}), max_upload_bytes=60_000) as (server, _),
        connecting(server.port, _head(*fields, size_bytes=size_bytes)) as client,
    ):
        assert (await client.read_head())[0] == status


async def test_a_request_without_a_body_is_an_empty_form() -> None:
    """It is over at once, each time, and told as what it is."""
    head = build_head(content_type=FORM_TYPE, line=TRANSCRIPTIONS)
    async with (
        passing(answering({})) as (server, _),
        connecting(server.port, head) as client,
    ):
        for _ in range(2):
            assert (await client.read_answer()).error["code"] == "invalid_form"
            await client.send(head)


async def test_a_client_that_waits_is_told_to_go_on() -> None:
    """`100 Continue` is said once, when the body is wanted."""
    script = answering({"text": "x"})
    async with (
        passing(script) as (server, _),
        connecting(server.port, _head("Expect: 100-continue", size_bytes=len(FORM))) as client,
    ):
        assert (await client.read_head())[0] == 100
        await client.send(FORM)
        assert (await client.read_answer()).status == 200
    assert script.requests[0][2] == FORM


async def test_chunks_pass_as_a_body_without_a_length() -> None:
    """However the client has cut them, the provider gets the same bytes."""
    seen = b""

    async def script(connection: UpstreamConnection) -> None:
        nonlocal seen
        await connection.read_head()
        while not seen.endswith(b"0\r\n\r\n"):
            seen += await connection.read_some()
        await connection.answer(b"{}")
        await stay_until_closed(connection)

    chunks = b"".join(_chunk(LONG[at : at + 999]) for at in range(0, len(LONG), 999))
    async with (
        passing(script) as (server, _),
        connecting(server.port, _head() + chunks + b"0\r\n\r\n") as client,
    ):
        assert (await client.read_answer()).status == 200
    body = b""
    while seen:
        size, _, rest = seen.partition(b"\r\n")
        body += rest[: int(size, 16)]
        seen = rest[int(size, 16) + 2 :]
    assert body == LONG


async def test_a_body_that_grows_too_long_is_ended() -> None:
    """Without a length it is stopped where the limit is, and the provider is let go of."""
    closed = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_head()
        await stay_until_closed(connection)
        closed.set()

    async with (
        passing(script, max_upload_bytes=30_000) as (server, _),
        connecting(server.port, _head() + _chunk(LONG[:20_000]) + _chunk(LONG[20_000:])) as client,
    ):
        answer = await client.read_answer()
        assert (answer.status, answer.error["code"]) == (413, "request_too_large")
        await closed.wait()


async def test_crumbs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of tiny chunks costs more than it is: it is a 413."""
    monkeypatch.setattr("proxy.server.client_upload.FREE_CHUNKS", 100)
    crumbs = b"".join(_chunk(LONG[at : at + 1]) for at in range(500))
    async with (
        passing(answering({})) as (server, _),
        connecting(server.port, _head() + crumbs) as client,
    ):
        answer = await client.read_answer()
    assert answer.status == 413
    assert "small chunks" in answer.error["message"]


async def test_chunks_that_are_none_are_a_400() -> None:
    """Broken framing ends the upload."""
    async with (
        passing(answering({})) as (server, _),
        connecting(server.port, _head() + _chunk(FORM[:50]) + b"zz\r\n") as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (400, "invalid_http")


async def test_a_silent_client_is_given_up() -> None:
    """Who sends nothing for `body_s` while its body is waited for gets a 408."""
    clocks = ClientClocks(body_s=0.1)
    async with (
        passing(answering({}), client_clocks=clocks) as (server, _),
        connecting(server.port, _head(size_bytes=len(FORM)) + FORM[:90]) as client,
    ):
        answer = await client.read_answer()
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")


async def test_a_slow_provider_is_not_the_clients_fault() -> None:
    """Only the time counts in which somebody waits for the body."""
    loop = asyncio.get_running_loop()
    content = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    request = make_mocked_request("POST", "/", {"Content-Length": "6"}, payload=content)
    upload = ClientUpload(request, Settings(client_clocks=ClientClocks(body_s=0.05)))
    for piece in (b"abc", b"def"):
        content.feed_data(piece)
        assert await upload.read() == piece
        # The provider takes longer than the client may.
        over = loop.create_future()
        loop.call_later(0.1, over.set_result, None)
        await over
    content.feed_eof()
    assert await upload.read() == b""
