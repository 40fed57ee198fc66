"""
Asks a server with thousands of raw cases over a few connections, and judges every answer.

A case is bytes to send. It is over when it has been answered, or when the server has closed
the connection; a server that waits for more than will come is told so by closing our side.
Whatever the server then still does must happen within HANG_S.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator

from msgspec import Struct, field

HANG_S = 20.0
PATIENCE_S = 0.1
"""How long a case may go unanswered before our side of the connection is closed."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [ -~]{0,40}\Z")
_ERROR_KEYS = {"message", "type", "param", "code"}
_BANNERS = (b"aiohttp", b"python")
_MOST_FINDINGS = 5


class Answer(Struct):
    """One answer of the server, whole."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Case(Struct, frozen=True):
    """What is sent; `is_whole` says that it is one well-framed request, which gets its answer."""

    name: str
    data: bytes
    is_whole: bool
    may_succeed: bool = True


class Tally(Struct):
    """What a run has met: how many answers of which status, their ids, and what was wrong."""

    statuses: Counter[int] = field(default_factory=Counter)
    request_ids: list[bytes] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    finding_count: int = 0
    case_count: int = 0
    unanswered_count: int = 0

    def note(self, what: str) -> None:
        """Keep a finding; of very many only the first few."""
        self.finding_count += 1
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(what)

    def take(self, case: Case, answer: Answer) -> None:
        """Count an answer to a case, and note what is wrong with it."""
        self.statuses[answer.status] += 1
        if request_id := answer.headers.get(b"x-request-id"):
            self.request_ids.append(request_id)
        fault = find_fault(answer)
        if fault is None and answer.status < 300 and not case.may_succeed:
            fault = "a success for what is no valid request"
        if fault is not None:
            self.note(f"{case.name}: {fault}: {answer.status} {answer.body[:200]!r}")


def find_fault(answer: Answer) -> str | None:
    """Return what is wrong with an answer, None if it is as every answer must be."""
    if answer.status >= 500:
        return "a fault of the server"
    if any(banner in answer.headers.get(b"server", b"").lower() for banner in _BANNERS):
        return "the server names its parts"
    if answer.status >= 400:
        return None if _is_error(answer) else "no error in our shape"
    if answer.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        return None if answer.body.endswith(b"data: [DONE]\n\n") else "a stream that was cut"
    return None


def _is_error(answer: Answer) -> bool:
    if not answer.headers.get(b"content-type", b"").startswith(b"application/json"):
        return False
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return isinstance(error, dict) and set(error) == _ERROR_KEYS and bool(error["message"])


class Connection(asyncio.Protocol):
    """One connection, and the answers that have come over it and were not yet taken."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._news: asyncio.Future[bool] | None = None
        self._transport: asyncio.Transport | None = None
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._buffer += data
        self._tell()

    def eof_received(self) -> None:
        """Called by the loop: a server that has nothing more to say has closed."""
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.is_closed = True
        self._tell()

    @property
    def has_rest(self) -> bool:
        """Bytes have come that are no whole answer yet."""
        return bool(self._buffer)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self._transport is not None
        self._transport.write(data)

    def end(self) -> None:
        """Close our side."""
        if self._transport is not None and not self.is_closed:
            try:
                self._transport.write_eof()
            except OSError:
                self._transport.abort()

    def abort(self) -> None:
        """Give the connection up."""
        if self._transport is not None and not self.is_closed:
            self._transport.abort()

    async def wait_for_news(self, within_s: float) -> bool:
        """Return True as soon as something has come, False if nothing has in time."""
        if self.is_closed:
            return True
        loop = asyncio.get_running_loop()
        self._news = loop.create_future()
        timer = loop.call_later(within_s, self._tell, False)
        try:
            return await self._news
        finally:
            timer.cancel()
            self._news = None

    def take_answers(self) -> Iterator[Answer]:
        """Yield every whole answer that has come."""
        while self._buffer:
            taken = _parse_answer(self._buffer, self.is_closed)
            if taken is None:
                return
            answer, size = taken
            del self._buffer[:size]
            if answer.status >= 200:
                yield answer

    def _tell(self, is_news: bool = True) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(is_news)


def _parse_answer(data: bytearray, is_over: bool) -> tuple[Answer, int] | None:
    """Return the first answer and its size, None if it is not whole."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    line, *lines = bytes(data[:head_end]).split(b"\r\n")
    found = _STATUS_LINE.match(line)
    if found is None:
        raise ValueError(f"no status line: {line[:80]!r}")
    status, start = int(found[1]), head_end + 4
    headers = {}
    for text in lines:
        name, _, value = text.partition(b":")
        headers[name.lower()] = value.strip()
    if status < 200 or status in (204, 304):
        return Answer(status, headers, b""), start
    if headers.get(b"transfer-encoding") == b"chunked":
        return _parse_chunks(data, start, status, headers)
    if (length := headers.get(b"content-length")) is not None:
        end = start + int(length)
        return (Answer(status, headers, bytes(data[start:end])), end) if end <= len(data) else None
    return (Answer(status, headers, bytes(data[start:])), len(data)) if is_over else None


def _parse_chunks(
    data: bytearray, start: int, status: int, headers: dict[bytes, bytes]
) -> tuple[Answer, int] | None:
    parts: list[bytes] = []
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end], 16)
        start = line_end + 2 + size + 2
        if start > len(data):
            return None
        if not size:
            return Answer(status, headers, b"".join(parts)), start
        parts.append(bytes(data[line_end + 2 : start - 2]))
    return None


async def run_cases(
    port: int, build: Callable[[int], Case], numbers: range, connections: int
) -> Tally:
    """Send the cases of these numbers over so many connections at once; return what came."""
    tally = Tally()
    left = iter(numbers)
    await asyncio.gather(*(_ask_on(port, build, left, tally) for _ in range(connections)))
    return tally


async def _ask_on(
    port: int, build: Callable[[int], Case], numbers: Iterator[int], tally: Tally
) -> None:
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    for number in numbers:
        case = build(number)
        tally.case_count += 1
        if connection is None or connection.is_closed:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        # Only every eighth broken case gets a connection of its own to be looked at to its end:
        # the others leave their rests to the next one, which is one more way to be broken.
        is_last = not case.is_whole and number % 8 == 0
        try:
            is_kept = await _ask(connection, case, tally, is_last)
        except ValueError as error:
            tally.note(f"{case.name}: not HTTP: {error}")
            is_kept = False
        if not is_kept:
            connection.abort()
            connection = None
    if connection is not None:
        connection.abort()


async def _ask(connection: Connection, case: Case, tally: Tally, is_last: bool) -> bool:
    """Send one case and take its answers; return whether the connection can take another."""
    connection.send(case.data)
    is_answered = False
    while not connection.is_closed:
        if not await connection.wait_for_news(HANG_S if case.is_whole else PATIENCE_S):
            break
        for answer in connection.take_answers():
            tally.take(case, answer)
            is_answered = True
            is_last |= answer.headers.get(b"connection") == b"close"
        if is_answered and not connection.has_rest and not is_last:
            return not connection.is_closed
    if case.is_whole and not is_answered:
        tally.note(f"{case.name}: no answer")
    connection.end()
    deadline_s = asyncio.get_running_loop().time() + HANG_S
    while not connection.is_closed:
        if not await connection.wait_for_news(deadline_s - asyncio.get_running_loop().time()):
            tally.note(f"{case.name}: neither answered nor closed")
            return False
    for answer in connection.take_answers():
        tally.take(case, answer)
        is_answered = True
    tally.unanswered_count += not is_answered
    return False
