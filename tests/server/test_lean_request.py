"""A request without aiohttp: how its body comes, how long it may take, what is kept unasked."""

import asyncio

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from proxy.domain.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from proxy.domain.settings import ClientClocks, Settings
from proxy.server.lean_head import PlainHead, PlainRoute
from proxy.server.lean_request import UNASKED_BYTES, LeanRequest

ROUTE = PlainRoute("chat", "/chat/completions")
HASTY_S = 0.2
SLACK = 50


class Wanted:
    """Notes that somebody began to wait."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self.event.set()


def build(size_bytes: int, begun: bytes = b"", kind: str = "application/json") -> LeanRequest:
    """Return a request whose body has this size."""
    headers = CIMultiDict({"Content-Type": kind})
    head = PlainHead(ROUTE, headers, size_bytes, 0, keeps_alive=True)
    return LeanRequest(head, begun, asyncio.get_running_loop(), Wanted())


async def read_with(request: LeanRequest, *pieces: bytes) -> bytes:
    """Have pieces of the body come after somebody has begun to wait for it."""
    reading = asyncio.ensure_future(request.read_body(Settings()))
    await asyncio.sleep(0)
    for piece in pieces:
        assert not reading.done()
        request.feed(piece)
    return await reading


@pytest.mark.parametrize("pieces", [[b"body"], [b"", b"bo", b"d", b"y"]])
async def test_a_body_is_what_came(pieces: list[bytes]) -> None:
    """However it was cut, and however much of it came with the head."""
    assert await read_with(build(4), *pieces) == b"body"
    assert await read_with(build(6, b"a "), *pieces) == b"a body"


async def test_a_body_that_is_whole_is_not_waited_for() -> None:
    """Nothing has to be read on for it."""
    wanted = Wanted()
    head = PlainHead(ROUTE, CIMultiDict({"Content-Type": "application/json"}), 2, 0, True)
    request = LeanRequest(head, b"{}", asyncio.get_running_loop(), wanted)
    assert await request.read_body(Settings()) == b"{}"
    assert wanted.count == 0


async def test_what_the_head_tells_is_refused_before_anything_is_waited_for() -> None:
    """A type that is not JSON, and a length above the cap."""
    with pytest.raises(UnsupportedMediaType):
        await build(2, kind="text/plain").read_body(Settings())
    with pytest.raises(BodyTooLarge):
        await build(11).read_body(replace(Settings(), max_body_bytes=10))


async def test_a_silent_body_is_too_late() -> None:
    """After `body_s` without a byte; what came until then moves the end, without a new timer."""
    settings = Settings(client_clocks=ClientClocks(body_s=HASTY_S), min_body_bytes_per_s=1)
    request = build(10)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    loop.call_later(HASTY_S / 2, request.feed, b"x")
    async with asyncio.timeout(HASTY_S * SLACK):
        with pytest.raises(RequestTimeout):
            await request.read_body(settings)
    assert loop.time() - started_s >= HASTY_S * 1.4


async def test_unasked_much_of_a_body_is_too_much() -> None:
    """Up to a limit it is kept for who may ask; whole or wanted there is no limit."""
    request = build(UNASKED_BYTES + 2)
    request.feed(b"x" * UNASKED_BYTES)
    assert not request.has_too_much
    request.feed(b"x")
    assert request.has_too_much
    reading = asyncio.ensure_future(request.read_body(Settings()))
    await asyncio.sleep(0)
    assert not request.has_too_much
    request.feed(b"x")
    assert len(await reading) == UNASKED_BYTES + 2
    assert not build(UNASKED_BYTES * 2, b"x" * UNASKED_BYTES * 2).has_too_much


async def test_the_rest_of_a_body_is_dropped_within_a_time() -> None:
    """It is told whether all of it came."""
    request = build(2)
    dropping = asyncio.ensure_future(request.drop_rest(HASTY_S * SLACK))
    await asyncio.sleep(0)
    request.feed(b"{}")
    assert await dropping
    assert not await build(2).drop_rest(0.0)
