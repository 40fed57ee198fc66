"""However an answer is cut into reads, transports tell the same of it: hypothesis chooses how."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from proxy.upstream.http_connection import HttpConnection
from proxy.upstream.origin import read_target
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request
from tests.upstream.differential.comparing import AIOHTTP, OWN
from tests.upstream.differential.playing import (
    CaseServer,
    Events,
    Side,
    play_case,
    read_headers,
    serving_cases,
    show_ending,
)
from tests.upstream.differential.responses import Case, build_case

SEED = 20261127
MOST_BYTES = 12_000
"""Of longer answers not each byte comes alone."""
AT_ONCE = 24
SOCKET_CASES = 250
CUTS = 3
REQUEST = build_request(80)
TARGET = read_target(REQUEST.method, REQUEST.url)


class _Wire:
    """A transport without a socket, and who takes connections back; nothing is ever in its way."""

    def __init__(self) -> None:
        self.is_cut = False
        self.is_free = False
        self.is_paused = False

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def setsockopt(self, *_: object) -> None:
        """Set nothing."""

    def get_extra_info(self, _: str) -> "_Wire":
        """Return what sockets are asked of."""
        return self

    def get_write_buffer_size(self) -> int:
        """Return that all has been sent."""
        return 0

    def pause_reading(self) -> None:
        """Take note that nothing may come."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Take note that something may come."""
        self.is_paused = False

    def abort(self) -> None:
        """Take note that it is over."""
        self.is_cut = True

    def take_back(self, connection: HttpConnection, *, is_reusable: bool) -> None:
        """Take note of whether the connection could be used again."""
        self.is_free = is_reusable

    def forget(self, connection: HttpConnection) -> None:
        """Take note that it closed while it was free."""
        self.is_free = False


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that makes futures, and never runs."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _feed(loop: asyncio.AbstractEventLoop, pieces: tuple[bytes, ...], ending: str) -> Events:
    """Return what our connection tells of an answer that comes in these reads."""
    wire: Any = _Wire()
    connection = HttpConnection(TARGET.origin, wire, loop)
    connection.connection_made(wire)
    sink = RecordingSink()
    answer = connection.send(TARGET.first_lines + b"\r\n", REQUEST, sink)
    is_open = False
    for piece in pieces:
        assert not wire.is_paused
        if wire.is_cut:
            break
        connection.data_received(piece)
        if not is_open and answer.arrived.done() and answer.arrived.result() is None:
            is_open = True
            answer.resume()
    is_waiting = not wire.is_cut and not wire.is_free
    if not wire.is_cut and (ending == "close" or (ending == "stay" and is_waiting)):
        connection.eof_received()
    if not wire.is_cut and ending == "reset":
        connection.connection_lost(ConnectionResetError())
    if not is_open and answer.arrived.result() is None:
        is_open = True
        answer.resume()
    refusal = answer.arrived.result()
    return Events(
        refusal="" if refusal is None else show_ending(refusal),
        status=answer.head.status if is_open else 0,
        headers=read_headers(answer.head.headers, "latin-1") if is_open else (),
        body=sink.body,
        ending=" ".join(show_ending(each) for each in sink.endings),
        reused=wire.is_free,
        sent=1,
    )


def _tell_apart(whole: Events, cut: Events, *, is_lossy: bool = False) -> str:
    """
    Return how two tellings of one answer contradict each other, "" if they do not.

    A whole answer is told in one way. Of a broken one each tells the same error, and perhaps
    what was good before it, as far as that was read before. A lossy transport may tell no
    answer where bytes behind it came in one read with its end.
    """
    if is_lossy and _is_lost(whole, cut):
        return ""
    if whole.ending == "complete" or cut.ending == "complete":
        return "" if whole == cut else "a whole answer is told in two ways"
    if (whole.refusal or whole.ending) != (cut.refusal or cut.ending):
        return "an answer breaks in two ways"
    if whole.status and cut.status and (whole.status, whole.headers) != (cut.status, cut.headers):
        return "there are two heads"
    shorter, longer = sorted((whole.body, cut.body), key=len)
    return "" if longer.startswith(shorter) else "there are two bodies"


def _is_lost(whole: Events, cut: Events) -> bool:
    told, lost = (whole, cut) if cut.refusal else (cut, whole)
    is_dropped = told.ending == "complete" and not told.reused
    return is_dropped and lost.refusal == "UpstreamProtocolError:upstream_protocol_error"


def _cut_at(data: bytes, places: list[int]) -> tuple[bytes, ...]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return tuple(data[start:end] for start, end in pairwise(edges))


def _has_blank_behind(loop: asyncio.AbstractEventLoop, case: Case) -> bool:
    """Say whether an answer is whole without its last byte, which is an end of line."""
    data = case.data
    return data.endswith((b"\r", b"\n")) and _feed(loop, (data[:-1],), "stay").reused


@settings(max_examples=1000, deadline=None)
@given(
    number=st.integers(0, 10**6),
    places=st.lists(st.integers(0, 10**6), max_size=12),
    is_each_byte=st.booleans(),
)
def test_our_connection_tells_the_same_of_any_segments(
    loop: asyncio.AbstractEventLoop, number: int, places: list[int], is_each_byte: bool
) -> None:
    """
    Right or wrong, whole or cut, an answer is told alike in one read and in many.

    But for a blank line behind it: that costs the connection only if it is read by itself.
    """
    case = build_case(SEED, number)
    data = case.data
    if is_each_byte and len(data) <= MOST_BYTES:
        places = list(range(len(data)))
    whole = _feed(loop, (data,), case.ending)
    cut = _feed(loop, _cut_at(data, places), case.ending)
    if whole.reused and not cut.reused and _has_blank_behind(loop, case):
        cut = replace(cut, reused=True)
    assert not (fault := _tell_apart(whole, cut)), f"{fault}:\n{whole}\n{cut}"


@pytest.mark.both_loops
@pytest.mark.parametrize("side", [AIOHTTP, OWN], ids=["aiohttp", "own"])
async def test_transports_tell_the_same_of_any_segments(side: Side) -> None:
    """
    Through sockets, too, an answer is told alike in one segment and in many.

    But for the connection, which bytes behind an answer cost sooner or later, and for aiohttp,
    which may lose an answer to them.
    """
    random = Random(SEED)
    left = iter(range(SOCKET_CASES))
    faults = []

    async def play(server: CaseServer) -> None:
        for number in left:
            case = build_case(SEED, number)
            whole = await play_case(server, side, replace(case, pieces=_cut_at(case.data, [])))
            for _ in range(CUTS):
                places = [random.randrange(10**6) for _ in range(random.randrange(1, 9))]
                cut = replace(case, pieces=_cut_at(case.data, places))
                told = await play_case(server, side, cut)
                assert told.after == whole.after == "right"
                if told.ending == whole.ending == "complete":
                    told = replace(told, reused=whole.reused)
                told = replace(told, waited=whole.waited)
                if fault := _tell_apart(whole, told, is_lossy=side is AIOHTTP):
                    faults.append(f"{number}: {fault}\n  {whole}\n  {told}\n  {cut.pieces}")

    async with serving_cases() as server:
        await asyncio.gather(*(play(server) for _ in range(AT_ONCE)))
    assert not faults, "\n".join(faults)[:5000]
