"""A request's body on its way out while it still comes in: what both transports do alike."""

import asyncio
from typing import Any, Protocol

from proxy.domain.errors import UpstreamTimeout
from proxy.domain.exchange import Upload
from proxy.upstream.deadline import Deadline


class Outlet(Protocol):
    """A connection that a body is written to."""

    async def write(self, data: bytes) -> None:
        """
        Send bytes, and wait as long as the peer takes none.

        Raises:
            UpstreamDisconnected: it has closed.
        """


def build_framing(size_bytes: int | None) -> bytes:
    """Return the header that tells where the body of an upload ends."""
    if size_bytes is None:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % size_bytes


async def send_upload(
    upload: Upload, outlet: Outlet, head: asyncio.Future[Any], stall_s: float
) -> bool:
    """
    Send a body piece by piece, until it is over or the answer to it is there.

    Args:
        upload: the body; what it raises comes out of here.
        outlet: where it goes.
        head: done when the answer's head has come, or will never come: that ends the sending.
        stall_s: how long the peer may take nothing at all.

    Returns:
        Whether all of it was sent. If not, the connection is good for nothing but its answer.

    Raises:
        UpstreamTimeout: the peer took nothing for `stall_s`; `code` is upstream_stalled.
    """
    pump = asyncio.get_running_loop().create_task(_pump(upload, outlet, stall_s))
    try:
        await asyncio.wait((pump, head), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not pump.done():
            pump.cancel()
            # It holds the client's body: nobody else may read that before it has let go.
            await asyncio.wait((pump,))
        if not pump.cancelled():
            # Looked at, also where the client has left: its body breaks in the same moment in
            # which this task is cancelled, and asyncio would log that as nobody's.
            pump.exception()
    if head.done():
        # Who has answered needs no more, whatever has become of the rest.
        return not pump.cancelled() and pump.exception() is None
    pump.result()
    return True


async def _pump(upload: Upload, outlet: Outlet, stall_s: float) -> None:
    is_chunked = upload.size_bytes is None
    while data := await upload.read():
        with _Patience(stall_s):
            await outlet.write(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
    if is_chunked:
        with _Patience(stall_s):
            await outlet.write(b"0\r\n\r\n")


class _Patience(Deadline):
    """A Deadline whose end is the peer's fault."""

    def __exit__(self, *raised: Any) -> None:
        try:
            super().__exit__(*raised)
        except TimeoutError:
            raise UpstreamTimeout(code="upstream_stalled") from None
