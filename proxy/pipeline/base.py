"""
What the pipeline needs from a server: a request to read and a reply to write.

`server/lean_request.py` and `server/lean_reply.py` implement them, and `server/reply.py` does over
aiohttp; the pipeline imports no server.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from multidict import MultiMapping

from proxy.domain.exchange import Operation, PassedOperation, Upload
from proxy.domain.settings import Settings


class InboundRequest(Protocol):
    """One client request whose head has arrived."""

    operation: Operation
    endpoint: str
    """The route's pattern without its `/v1`, such as `/chat/completions`: a bounded label."""
    model: str | None
    """The model that the path names, which goes before the body's; None: it names none."""
    headers: MultiMapping[str]
    """Names are looked up in any case; `getall` gives every value where one came twice."""

    async def read_body(self, settings: Settings) -> bytes:
        """
        Return the whole body; what the head tells is checked before any of it is asked for.

        Raises:
            UnsupportedMediaType: not declared as JSON, or compressed.
            BodyTooLarge: declared or actual size above `max_body_bytes`, or crumbs of chunks.
            ExpectationFailed: an `Expect` that is not 100-continue.
            RequestTimeout: silent for longer than `client_clocks.body_s`, after that time
                slower than `min_body_bytes_per_s`, or not whole within `request_timeout_s`.
            InvalidRequest: its framing broke off.
        """


class PassingRequest(InboundRequest, Protocol):
    """One that passes to a provider as it comes; `operation` says how its errors are told."""

    method: str
    passed: PassedOperation
    rest: str
    """What the path has behind that of the operation, such as `/file-1/content`; safe as it is."""
    query: Mapping[str, str]
    """Decoded; of a name that came twice the first."""

    def open_upload(self, settings: Settings) -> Upload:
        """
        Return the body as it comes in; what the head tells is checked before it is asked for.

        Raises:
            UnsupportedMediaType: it is compressed.
            BodyTooLarge: its declared size is above `max_upload_bytes`; reading may raise it too.
            ExpectationFailed: an `Expect` that is not 100-continue.
        """


class ReplyWriter(Protocol):
    """
    The way back to one client; the mirror image of `upstream.base.OpenedResponse`.

    Either `send` once, or `start`, any number of `data`, then `end`. When the
    client leaves, the task that runs the request is cancelled; writes after that are lost
    silently.
    """

    started: bool
    """True once a status line has gone out: from then on no other can."""
    is_open: bool
    """True between `start` and `end`: an error can be told in the stream."""

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

    def end_at_once(self) -> None:
        """Complete a streamed answer without waiting for the client to take it."""


class PassingReply(ReplyWriter, Protocol):
    """The way back for bytes that mean nothing here."""

    async def start_sized(self, status: int, headers: Mapping[str, str], size_bytes: int) -> None:
        """Send status line and headers of an answer of known length; `data` and `end` follow."""

    def break_off(self) -> None:
        """End an answer that is not whole in such a way that its client cannot take it for one."""
