"""Sending a body that still comes in; what it is over real connections is in the contract."""

import asyncio
import gc

import pytest

from proxy.domain.errors import BodyTooLarge, UpstreamTimeout
from proxy.upstream.upload import build_framing, send_upload
from tests.fakes.made_upload import MadeUpload


class _Outlet:
    """Takes what is written, or nothing at all."""

    def __init__(self, *, is_stuck: bool = False) -> None:
        self.written = b""
        self._is_stuck = is_stuck

    async def write(self, data: bytes) -> None:
        """Take bytes."""
        if self._is_stuck:
            await asyncio.Event().wait()
        self.written += data


class _BreakingUpload:
    """Waits until it is broken."""

    size_bytes: int | None = None

    def __init__(self) -> None:
        self.broken: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        """Fail, once it is time."""
        return await self.broken


def _make_head() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("size_bytes", "line"),
    [(7, b"Content-Length: 7\r\n"), (None, b"Transfer-Encoding: chunked\r\n")],
)
def test_the_framing_tells_where_a_body_ends(size_bytes: int | None, line: bytes) -> None:
    """A known size is announced, an unknown one is sent in chunks."""
    assert build_framing(size_bytes) == line


async def test_a_body_is_sent_whole() -> None:
    """Pieces go out in their order, and it is told that all of them did."""
    outlet = _Outlet()
    assert await send_upload(MadeUpload([b"ab", b"c"], 3), outlet, _make_head(), 60)
    assert outlet.written == b"abc"


async def test_a_head_that_is_there_stops_the_body() -> None:
    """An answer that has come makes the rest needless, and it is told that not all went out."""
    head = _make_head()
    upload = MadeUpload([b"ab"], 3, waits=True)
    sending = asyncio.ensure_future(send_upload(upload, _Outlet(), head, 60))
    await upload.is_waiting.wait()
    head.set_result(None)
    assert not await sending
    assert upload.was_cancelled


async def test_what_fails_beside_an_answer_is_not_told() -> None:
    """Of an upload that breaks once the answer is there only the answer counts."""
    head = _make_head()
    head.set_result(None)
    assert not await send_upload(MadeUpload([], error=BodyTooLarge()), _Outlet(), head, 60)


async def test_an_upload_that_breaks_is_raised() -> None:
    """What reading a body raises comes out as it is."""
    with pytest.raises(BodyTooLarge):
        await send_upload(MadeUpload([b"a"], error=BodyTooLarge()), _Outlet(), _make_head(), 60)


async def test_a_body_that_breaks_as_its_client_leaves_is_no_news() -> None:
    """Where both happen at once nothing is left behind that asyncio would log."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told_of: told.append(str(told_of)))
    upload = _BreakingUpload()
    sending = asyncio.ensure_future(send_upload(upload, _Outlet(), _make_head(), 60))
    for _ in range(3):
        await asyncio.sleep(0)
    upload.broken.set_exception(ConnectionResetError())
    sending.cancel()
    await asyncio.wait((sending,))
    assert sending.cancelled()
    del sending, upload
    gc.collect()
    assert told == []


async def test_a_peer_that_takes_nothing_is_given_up() -> None:
    """A write that does not end within the time is upstream_stalled."""
    with pytest.raises(UpstreamTimeout) as caught:
        await send_upload(MadeUpload([b"a"], 1), _Outlet(is_stuck=True), _make_head(), 0.01)
    assert caught.value.code == "upstream_stalled"
