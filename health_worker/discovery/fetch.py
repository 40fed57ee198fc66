"""
What a source's API is asked over: the transports of providers, with bounded bodies.

The operator has named these addresses, so a name may lead into any private network; metadata
services and the like stay out of reach.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from health_worker.discovery.base import SourceFailed
from health_worker.probe import describe_fault
from proxy.domain.catalog import Provider
from proxy.domain.errors import ProxyError
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.upstream.base import OpenedResponse
from proxy.upstream.factory import open_transport
from proxy.version import __version__

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Of one answer, and of what waits in a stream to be read."""
ANSWER_S = 10.0

_PRIVATE = (
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
    "::1/128", "fc00::/7",
)  # fmt: skip
_TOO_LARGE = "its answer is too large"


class Answer(Struct, frozen=True):
    """One whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Asks one API; made inside a running loop."""

    def __init__(self, base_url: str, ca_file: str | None = None) -> None:
        """
        Take where the API is.

        Args:
            base_url: what paths are put behind.
            ca_file: whom to trust besides, in PEM.
        """
        self._base_url = base_url.rstrip("/")
        provider = Provider(
            name="discovery",
            type="openai_compatible",
            base_url=base_url,
            private_networks=_PRIVATE,
            ca_file=ca_file,
        )
        self._transport = open_transport(provider)

    async def get(
        self, path: str, headers: Mapping[str, str], within_s: float = ANSWER_S
    ) -> Answer:
        """
        Return the whole answer to a GET, whatever its status.

        Raises:
            SourceFailed: there was none within `within_s`, or a larger one than is read.
        """
        lines = Lines(within_s)
        request = self._build(path, headers, within_s, streams=False)
        try:
            async with asyncio.timeout(within_s):
                opened = await self._open(request, lines, within_s)
                try:
                    body = await lines.read_all()
                finally:
                    opened.close()
        except TimeoutError:
            raise SourceFailed(f"no answer within {within_s:g} s") from None
        return Answer(opened.head.status, opened.head.headers, body)

    async def stream(
        self, path: str, headers: Mapping[str, str], head_s: float = ANSWER_S
    ) -> "Stream":
        """
        Return an answer that comes line by line; whoever gets it closes it.

        Raises:
            SourceFailed: no head came within `head_s`.
        """
        lines = Lines(head_s)
        request = self._build(path, headers, head_s, streams=True)
        return Stream(await self._open(request, lines, head_s), lines)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    def _build(
        self, path: str, headers: Mapping[str, str], within_s: float, *, streams: bool
    ) -> OutboundRequest:
        return OutboundRequest(
            provider="discovery",
            method="GET",
            url=self._base_url + path,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"llm-proxy-api/{__version__}",
                **headers,
            },
            body=b"",
            streams=streams,
            clocks=Clocks(headers_s=within_s, answer_s=within_s),
        )

    async def _open(
        self, request: OutboundRequest, lines: "Lines", within_s: float
    ) -> OpenedResponse:
        try:
            opened = await self._transport.open(request, lines)
        except ProxyError as error:
            raise SourceFailed(describe_fault(error, within_s)) from error
        opened.resume()
        return opened


class Lines:
    """A BodySink (see `upstream/base.py`) that is read as a whole, or line by line."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._rest = bytearray()
        self._whole: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._has_ended = False
        self._fault: str | None = None

    def data(self, chunk: bytes) -> None:
        """Take bytes; more than are read fail it."""
        self._size += len(chunk)
        if self._size > MAX_BODY_BYTES:
            self._finish(_TOO_LARGE)
        elif not self._has_ended:
            self._rest += chunk
            self._news.set()

    def end(self) -> None:
        """Take note that all of it has come."""
        self._finish(None)

    def fail(self, error: ProxyError) -> None:
        """Take note that it broke."""
        self._finish(describe_fault(error, self._within_s))

    async def read_all(self) -> bytes:
        """Return the whole body. Raises SourceFailed where it broke."""
        while not self._has_ended:
            await self._wait()
        self._raise_fault()
        return bytes(self._rest)

    async def read_line(self) -> bytes | None:
        """Return the next line, None behind the last. Raises SourceFailed where it broke."""
        while not self._split():
            if self._has_ended:
                self._raise_fault()
                return None
            await self._wait()
        line = self._whole.popleft()
        self._size -= len(line)
        return line

    @property
    def has_line(self) -> bool:
        """`read_line` would not have to wait for the next one."""
        return self._split()

    def _split(self) -> bool:
        if not self._whole and b"\n" in self._rest:
            *whole, rest = bytes(self._rest).split(b"\n")
            self._size -= len(whole)  # of the line ends
            self._whole.extend(line for line in whole if line)
            self._rest = bytearray(rest)
        return bool(self._whole)

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _finish(self, fault: str | None) -> None:
        if not self._has_ended:
            self._has_ended, self._fault = True, fault
            self._news.set()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise SourceFailed(self._fault)


class Stream:
    """An answer whose lines come one by one."""

    def __init__(self, opened: OpenedResponse, lines: Lines) -> None:
        self._opened = opened
        self._lines = lines

    @property
    def status(self) -> int:
        """Of the answer."""
        return self._opened.head.status

    @property
    def has_line(self) -> bool:
        """`read_line` would not have to wait."""
        return self._lines.has_line

    async def read_line(self, within_s: float) -> bytes | None:
        """
        Return the next line, None behind the last.

        Raises:
            SourceFailed: it broke, or nothing came within `within_s`.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._lines.read_line()
        except TimeoutError:
            raise SourceFailed(f"nothing came for {within_s:g} s") from None

    def close(self) -> None:
        """Drop what still comes."""
        self._opened.close()
