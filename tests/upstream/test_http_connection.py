"""What a connection does with what its loop tells it; no sockets."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from proxy.domain.errors import ProxyError, UpstreamDisconnected, UpstreamProtocolError
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.upstream.http_answer import Answer
from proxy.upstream.http_connection import HttpConnection
from proxy.upstream.origin import Origin
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import take_turns

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\n"
REQUEST = OutboundRequest(
    provider="p",
    method="POST",
    url="http://a.test/",
    headers={},
    body=b"{}",
    streams=False,
    clocks=Clocks(),
)
HEAD = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n"


class FakeTransport(asyncio.Transport):
    """Writes down what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.asked: list[str] = []
        self.unsent_bytes = 0

    def write(self, data: Any) -> None:
        """Take bytes."""
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        """Return what a test says is unsent."""
        return self.unsent_bytes

    def abort(self) -> None:
        """Take note."""
        self.asked.append("abort")

    def pause_reading(self) -> None:
        """Take note."""
        self.asked.append("pause")

    def resume_reading(self) -> None:
        """Take note."""
        self.asked.append("resume")


class FakeOwner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def take_back(self, connection: HttpConnection, *, is_reusable: bool) -> None:
        """Take note."""
        self.told.append("reusable" if is_reusable else "closed")

    def forget(self, connection: HttpConnection) -> None:
        """Take note."""
        self.told.append("forgotten")


class Ground:
    """A connection that was just made."""

    def __init__(self) -> None:
        self.owner = FakeOwner()
        self.transport = FakeTransport()
        self.sink = RecordingSink()
        loop = asyncio.get_running_loop()
        self.connection = HttpConnection(Origin("http", "a.test", 80), self.owner, loop)
        self.connection.connection_made(self.transport)

    def send(self) -> Answer:
        """Send a request whose body is wanted at once."""
        answer = self.connection.send(HEAD, REQUEST, self.sink)
        answer.resume()
        return answer

    @property
    def ending(self) -> list[type[ProxyError] | type[None]]:
        """How the body has ended."""
        return [type(each) for each in self.sink.endings]


async def test_a_request_is_one_write() -> None:
    """Head and body go out together."""
    ground = Ground()
    ground.send()
    assert ground.transport.written == HEAD + b"{}"


async def test_it_is_free_before_anybody_is_told_of_the_end() -> None:
    """Whoever hears of the end may ask again at once, over the same connection."""
    ground = Ground()
    order: list[str] = []
    ground.owner.told = order
    ground.sink.end = lambda: order.append("end")  # type: ignore[method-assign]
    ground.send()
    ground.connection.data_received(OK + b"hello")
    assert order == ["reusable", "end"]
    assert ground.transport.asked == []


Event = Callable[[HttpConnection], object]
LOST: Event = lambda connection: connection.connection_lost(None)  # noqa: E731
RESET: Event = lambda connection: connection.connection_lost(ConnectionResetError())  # noqa: E731
ENDED: Event = lambda connection: connection.eof_received()  # noqa: E731


@pytest.mark.parametrize(
    ("received", "event", "ending"),
    [
        (OK + b"he", ENDED, UpstreamDisconnected),
        (OK + b"he", LOST, UpstreamDisconnected),
        (OK + b"he", RESET, UpstreamDisconnected),
        (UNTIL_END + b"he", ENDED, type(None)),
        # A reset is no end: who was cut off is told from who has finished (U7).
        (UNTIL_END + b"he", RESET, UpstreamDisconnected),
        (UNTIL_END + b"he", LOST, UpstreamDisconnected),
    ],
)
async def test_an_end_is_told_from_a_break(received: bytes, event: Event, ending: type) -> None:
    """Only an end that TCP says is one completes a body that has no length."""
    ground = Ground()
    ground.send()
    ground.connection.data_received(received)
    event(ground.connection)
    ground.connection.connection_lost(None)
    assert (ground.sink.body, ground.ending) == (b"he", [ending])
    assert ground.owner.told == ["closed"]


@pytest.mark.parametrize("event", [ENDED, LOST, RESET])
async def test_no_head_is_a_disconnect(event: Event) -> None:
    """Whoever waits for the head is told, once."""
    ground = Ground()
    answer = ground.connection.send(HEAD, REQUEST, ground.sink)
    ground.connection.data_received(b"HTTP/1.1 200")
    event(ground.connection)
    assert isinstance(answer.arrived.result(), UpstreamDisconnected)
    assert ground.owner.told == ["closed"]


async def test_junk_fails_behind_what_was_good() -> None:
    """The good part is pushed, then the error; the connection is closed."""
    ground = Ground()
    ground.send()
    ground.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    ground.connection.data_received(b"2\r\nhe\r\nzz\r\n")
    assert (ground.sink.body, ground.ending) == (b"he", [UpstreamProtocolError])
    await take_turns(1)
    assert (ground.owner.told, ground.transport.asked) == (["closed"], ["abort"])


async def test_junk_in_the_read_of_the_head_is_no_answer() -> None:
    """Where nothing has been shown the request fails, so that another provider can be asked."""
    ground = Ground()
    answer = ground.connection.send(HEAD, REQUEST, ground.sink)
    ground.connection.data_received(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nzz\r\n"
    )
    assert isinstance(answer.arrived.result(), UpstreamProtocolError)
    assert ground.sink.chunks == []


async def test_bytes_that_nobody_asked_for_close_it() -> None:
    """On a free connection whatever comes closes it, and its pool forgets it."""
    ground = Ground()
    ground.send()
    ground.connection.data_received(OK + b"hello")
    ground.connection.data_received(b"\r\n")
    assert ground.owner.told == ["reusable", "forgotten"]
    await take_turns(1)
    assert ground.transport.asked == ["abort"]


@pytest.mark.parametrize(
    ("received", "unsent_bytes"),
    [
        (OK + b"hello!", 0),
        (OK + b"hello", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 0),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0),
    ],
    ids=["surplus", "a request that is not sent whole", "close", "an old version"],
)
async def test_what_is_unfit_for_another_request_is_closed(
    received: bytes, unsent_bytes: int
) -> None:
    """The answer is whole all the same."""
    ground = Ground()
    ground.transport.unsent_bytes = unsent_bytes
    ground.send()
    ground.connection.data_received(received)
    assert (ground.sink.body, ground.ending) == (b"hello", [type(None)])
    await take_turns(1)
    assert (ground.owner.told, ground.transport.asked) == (["closed"], ["abort"])


async def test_a_pause_on_the_last_bytes_does_not_outlive_them() -> None:
    """A connection that was held up reads again before it is free."""
    ground = Ground()
    answer = ground.send()
    ground.connection.data_received(OK)
    answer.pause()
    ground.connection.data_received(b"hello")
    assert ground.transport.asked == ["pause", "resume"]
    assert (ground.owner.told, ground.ending) == (["reusable"], [type(None)])


async def test_who_leaves_takes_the_connection_along() -> None:
    """Closing an answer that is not complete cuts the connection off, once."""
    ground = Ground()
    answer = ground.send()
    ground.connection.data_received(OK + b"he")
    answer.close()
    answer.close()
    ground.connection.connection_lost(None)
    await take_turns(1)
    assert (ground.owner.told, ground.transport.asked) == (["closed"], ["abort"])
    assert ground.ending == []


async def test_a_connection_that_closed_meanwhile_fails_its_request() -> None:
    """Between being taken and being used it may close: its slots come back all the same."""
    ground = Ground()
    ground.connection.connection_lost(None)
    answer = ground.connection.send(HEAD, REQUEST, ground.sink)
    assert isinstance(answer.arrived.result(), UpstreamDisconnected)
    assert ground.owner.told == ["forgotten", "closed"]


async def test_it_is_not_closed_in_the_middle_of_a_read() -> None:
    """A loop that has more to do for a read, as over TLS, finds its transport as it was."""
    ground = Ground()
    ground.send()
    ground.connection.data_received(b"junk")
    assert ground.transport.asked == []
    ground.connection.data_received(OK + b"hello")
    assert ground.sink.chunks == []
    await take_turns(1)
    assert ground.transport.asked == ["abort"]


async def test_nothing_holds_on_to_what_is_over() -> None:
    """When a connection has closed, no ring of objects waits for the collector."""
    ground = Ground()
    answer = ground.send()
    ground.connection.data_received(OK + b"he")
    ground.connection.connection_lost(None)
    assert ground.connection._parser._parser is None
    assert ground.connection._answer is None
    assert isinstance(answer._source, type(answer._sink))
