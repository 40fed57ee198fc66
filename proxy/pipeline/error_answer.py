"""An answer that is no success: as much of what it says as is worth waiting for."""

import time

from proxy.domain.errors import ProxyError, UpstreamError
from proxy.pipeline.inflate import Inflater, check_encoding
from proxy.pipeline.whole_answer import BodyCollector
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.wire.openai_error import read_error_answer

MAX_ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_S = 5.0


class Inlet:
    """The BodySink that a request is opened with; its target is chosen when the head is known."""

    __slots__ = ("target",)

    target: BodySink

    def data(self, chunk: bytes) -> None:
        """Pass it on."""
        self.target.data(chunk)

    def end(self) -> None:
        """Pass it on."""
        self.target.end()

    def fail(self, error: ProxyError) -> None:
        """Pass it on."""
        self.target.fail(error)


async def read_error(opened: OpenedResponse, inlet: Inlet | Inflater) -> UpstreamError:
    """
    Return what an answer with an error status means, and let go of it.

    Args:
        opened: the answer, still paused.
        inlet: what its body goes to; nothing has been chosen for that yet.
    """
    head = opened.head
    # Of a redirect nothing but its status is said, or waited for.
    body = await _read_words(opened, inlet) if head.status >= 400 else b""
    return read_error_answer(head.status, head.headers, body, time.time())


async def _read_words(opened: OpenedResponse, inlet: Inlet | Inflater) -> bytes:
    """Return as much of an error's body as came in time and could be read."""
    try:
        source: OpenedResponse = opened
        encoding = check_encoding(opened.head.headers.get("content-encoding") or "")
        if encoding:
            source = inlet.target = inflater = Inflater(opened, encoding)
            inlet = inflater
        inlet.target = collector = BodyCollector(source, MAX_ERROR_BODY_BYTES, keeps_start=True)
        return await collector.collect(ERROR_BODY_S)
    except ProxyError:
        # The status has said enough; its body would only have had the words.
        return b""
