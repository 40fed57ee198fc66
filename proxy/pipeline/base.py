"""
What the pipeline needs from a server: a request to read and a reply to write.

`server/reply.py` implements both over aiohttp; the pipeline imports no server.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from proxy.domain.exchange import Operation


class InboundRequest(Protocol):
    """One client request whose head has arrived."""

    operation: Operation
    endpoint: str
    """The route's pattern without its `/v1`, such as `/chat/completions`: a bounded label."""
    headers: Mapping[str, str]
    """Case-insensitive; the first value where a name came twice."""

    async def read_body(self, limit_bytes: int) -> bytes:
        """
        Return the whole body.

        Raises:
            BodyTooLarge: declared or actual size above `limit_bytes`.
            UnsupportedMediaType: the body is compressed.
            RequestTimeout: the body came too slowly.
        """


class ReplyWriter(Protocol):
    """
    The way back to one client; the mirror image of `upstream.base.OpenedResponse`.

    Either `send` once, or `start`, any number of `data`, then `end`. When the
    client leaves, the task that runs the request is cancelled; writes after that are lost
    silently.
    """

    started: bool
    """True once a status line has gone out: from then on an error can only be in-stream."""

    @property
    def is_client_gone(self) -> bool:
        """The client's connection is closed."""

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a complete answer."""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of a streamed answer."""

    def data(self, chunk: bytes) -> None:
        """Queue the next bytes of a streamed answer: one write to the socket, no waiting."""

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have `pause` called when the client reads too slowly, `resume` when it caught up."""

    async def end(self) -> None:
        """Complete a streamed answer."""
