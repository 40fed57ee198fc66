"""The pipeline's way back to a client (see `pipeline/base.py`) over a connection of our own."""

from collections.abc import Callable, Mapping

from proxy.server.lean_request import LeanRequest
from proxy.server.outflow import Outflow
from proxy.server.request_body import SHORT_BODY_BYTES
from proxy.server.written_answer import JOINED_BODY_BYTES, UNWANTED_BODY, build_reply_head


class LeanReply:
    """A ReplyWriter; its client speaks HTTP/1.1, so a stream has chunks."""

    __slots__ = ("_extra_headers", "_outflow", "_request", "is_open", "keeps_alive", "started")

    def __init__(
        self, request: LeanRequest, outflow: Outflow, extra_headers: Mapping[str, str]
    ) -> None:
        self._request = request
        self._outflow = outflow
        self._extra_headers = extra_headers
        self.started = False
        self.is_open = False
        self.keeps_alive = False
        """Whether the answer has said that the connection goes on."""

    @property
    def is_client_gone(self) -> bool:
        """The client has closed the connection; that we have closed it does not count."""
        return self._outflow.is_lost

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a complete answer."""
        head = self._begin(status, headers, f"Content-Length: {len(body)}\r\n")
        if len(body) <= JOINED_BODY_BYTES:
            self._outflow.write(head + body)
        else:
            self._outflow.write(head)
            self._outflow.write(body)
            await self._outflow.drain()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status line and headers of a streamed answer."""
        self._outflow.write(self._begin(status, headers, "Transfer-Encoding: chunked\r\n"))
        self.is_open = True

    def data(self, chunk: bytes) -> None:
        """Write the next bytes of a streamed answer: one write, no waiting."""
        if chunk:
            self._outflow.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Have `pause` and `resume` called as the client's reading asks for it."""
        outflow = self._outflow
        outflow.on_pause, outflow.on_resume = pause, resume
        if outflow.writing_paused:
            pause()

    async def end(self) -> None:
        """Complete a streamed answer."""
        self.end_at_once()
        await self._outflow.drain()

    def end_at_once(self) -> None:
        """Complete a streamed answer, whether the client takes it or not."""
        self._outflow.on_pause = self._outflow.on_resume = None
        self.is_open = False
        self._outflow.write(b"0\r\n\r\n")

    def _begin(self, status: int, headers: Mapping[str, str], framing: str) -> bytes:
        """Return the head of an answer (see `build_reply_head` for what it raises)."""
        request = self._request
        keeps_alive = request.keeps_alive
        if request.missing_bytes and (
            status in UNWANTED_BODY or request.size_bytes > SHORT_BODY_BYTES
        ):
            keeps_alive = False
        if not keeps_alive:
            framing += "Connection: close\r\n"
        head = build_reply_head(status, self._extra_headers, headers, framing)
        self.started = True
        self.keeps_alive = keeps_alive
        return head
