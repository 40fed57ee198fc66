"""Tests of `proxy/wire/sse.py`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import (
    EventSplitter,
    EventTooLarge,
    ServerSentEvent,
    build_comment,
    build_event,
    parse_block,
    starts_event_stream,
)
from tests.wire.splits import cut, cuts, every_cut

PLENTY = 1 << 20
Event = tuple[str, bytes]

LINES = st.sampled_from(
    [
        b"",
        b"",
        b"data: one",
        b"data:two",
        b"data:  two blanks",
        b"data",
        b"data:",
        b"data: ",
        b"data: a:b",
        b": comment",
        b":",
        b"event: error",
        b"event:named",
        b"event",
        b"id: 7",
        b"retry: 10",
        b"unknown: x",
        b" data: no field",
        "data: é…\u2028".encode(),
        b"data: \xff",
        b"data: \xef\xbb\xbf",
    ]
)
STREAMS = st.tuples(
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12),
    st.sampled_from([b"", b"data: cut", b"data", b"\n", b"\r"]),
).map(lambda parts: parts[0] + b"".join(a + b for a, b in parts[1]) + parts[2])


def read_by_the_standard(stream: bytes) -> list[Event]:
    """
    The algorithm of WHATWG HTML 9.2.6, line by line over the whole stream.

    The one difference: an event whose blank line is missing at the end is given too.
    """
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    events: list[Event] = []
    data, name = b"", ""
    for line in [*lines, b""]:
        if line == b"":
            if data != b"":
                events.append((name, data.removesuffix(b"\n")))
            data, name = b"", ""
        elif line.startswith(b":"):
            continue
        else:
            field, value = line, b""
            if b":" in line:
                field, value = line.split(b":", 1)
                if value.startswith(b" "):
                    value = value[1:]
            if field == b"data":
                data += value + b"\n"
            elif field == b"event":
                name = value.decode("utf-8", "replace")
    return events


def read(pieces: list[bytes], cap: int = PLENTY) -> list[Event]:
    splitter = EventSplitter(cap)
    found = [event for piece in pieces for event in splitter.feed(piece)]
    found += splitter.finish()
    return [("", e) if isinstance(e, bytes) else (e.name, e.data) for e in found]


@given(STREAMS)
def test_a_stream_gives_the_events_of_the_standard(stream: bytes) -> None:
    """Fed at once, any stream gives what the standard's own algorithm gives."""
    assert read([stream]) == read_by_the_standard(stream)


@given(st.data())
def test_any_split_gives_the_same_events(data: st.DataObject) -> None:
    """However the bytes were cut on their way, the events are the same."""
    stream = data.draw(STREAMS)
    assert read(data.draw(cuts(stream))) == read([stream])


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_single_cut_gives_the_same_events(end: bytes) -> None:
    """One stream with everything in it, cut at each place and into single bytes."""
    stream = end.join(
        [
            b"\xef\xbb\xbf: hello",
            b"",
            b"data: plain",
            b"",
            b"event: error",
            b"data:first",
            b"data: second",
            b"id: 1",
            b"retry: 5",
            b"",
            b"",
            b"",
            "data: é".encode(),
            b"",
            b"data",
        ]
    )
    expected = [("", b"plain"), ("error", b"first\nsecond"), ("", "é".encode()), ("", b"")]
    for pieces in every_cut(stream):
        assert read(pieces) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_given_as_soon_as_its_blank_line_has_begun(end: bytes) -> None:
    """No event waits for the next one, whichever way lines end."""
    splitter = EventSplitter(PLENTY)
    stream = b"data: x" + end + end
    assert splitter.feed(stream[: len(stream) - len(end) + 1]) == [b"x"]


def test_a_plain_event_is_given_as_its_bytes() -> None:
    """The common case makes no object; all others are a ServerSentEvent."""
    found = EventSplitter(PLENTY).feed(b"data: x\n\ndata:y\n\nevent: z\ndata: z\n\n")
    assert found == [b"x", ServerSentEvent(b"y"), ServerSentEvent(b"z", "z")]


@pytest.mark.parametrize("stream", [b"", b"\n\n\n", b": c\n\n", b"event: x\n\n", b"id: 1\n\n"])
def test_what_holds_no_data_is_no_event(stream: bytes) -> None:
    """Comments, blank lines and blocks without `data` give nothing."""
    assert read([stream]) == []


@given(
    st.integers(1, 40), st.lists(st.integers(0, 200), max_size=6), st.sampled_from([b"\n", b"\r\n"])
)
def test_the_cap_holds_the_same_for_every_split(size: int, places: list[int], end: bytes) -> None:
    """An event at the cap passes, one byte more does not, and what came before is kept."""
    line = b"data: " + b"x" * size
    good = b"data: ok" + end + end
    stream = good + line + end + end + b"data: after" + end + end
    cap = max(len(line), len("data: after"))
    assert len(read(cut(stream, places), cap)) == 3
    if len(line) > len("data: ok"):
        kept: list[ServerSentEvent | bytes] = []
        splitter = EventSplitter(len(line) - 1)
        with pytest.raises(EventTooLarge) as excess:
            for piece in cut(stream, places):
                kept += splitter.feed(piece)
        assert kept + excess.value.events == [b"ok"]


def test_an_event_that_never_ends_is_refused_at_the_cap() -> None:
    """The splitter never holds more than the cap and the piece that passed it."""
    splitter = EventSplitter(1000)
    with pytest.raises(EventTooLarge):
        for _ in range(1002):
            splitter.feed(b"x")


def test_an_event_of_many_pieces_costs_no_more_than_one_of_few() -> None:
    """8 MB in pieces of 512 bytes are joined once, not once per piece."""
    splitter = EventSplitter(16 * PLENTY)
    piece = b"x" * 512
    splitter.feed(b"data: ")
    started_s = time.process_time()
    for _ in range(16_384):
        splitter.feed(piece)
    (event,) = splitter.feed(b"\n\n")
    assert time.process_time() - started_s < 2.0
    assert event == b"x" * 512 * 16_384


def test_a_block_is_read_field_by_field() -> None:
    """One blank behind the colon belongs to it; the last `event` counts."""
    block = b"event: a\nevent: b\ndata:  x\nretry: 1"
    assert parse_block(block) == ServerSentEvent(b" x", "b")


@pytest.mark.parametrize("start", [b"data:", b"event: x", b"id:", b"retry: 1", b": c", b":"])
@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\r\n", b"\n \n"])
def test_a_body_that_begins_with_a_field_or_a_comment_is_a_stream(
    start: bytes, lead: bytes
) -> None:
    """It is known as soon as its colon is there, and not decided before."""
    text = lead + start
    length = text.index(b":") + 1
    assert starts_event_stream(text) is True
    assert starts_event_stream(text[:length]) is True
    for end in range(length):
        assert starts_event_stream(text[:end]) is None


@pytest.mark.parametrize("start", [b"{", b"[", b"<html>", b"date", b" x", b"retry=", b"\xff"])
def test_a_body_that_begins_with_anything_else_is_none(start: bytes) -> None:
    """JSON, pages and words are no stream."""
    assert starts_event_stream(start) is False


@given(st.binary().filter(lambda data: not set(data) & set(b"\r\n")))
def test_what_is_written_is_read_again(data: bytes) -> None:
    """An event that we build is the event that a reader gets, and a comment is none."""
    assert read([build_comment(b"ping") + build_event(data)]) == [("", data)]


def test_whole_named_events_are_split_at_once() -> None:
    """Names and data of events of two lines each; of anything else nothing is taken."""
    splitter = EventSplitter(100)
    splitter.feed(b"data: 0\n\n")
    named = b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"
    assert splitter.split_named(named) == [(b"a", b"1"), (b"b", b"2")]
    for odd in (
        *(b"event: a\ndata: 1\n", b"data: 1\n\n", b"event: a\n\n", b"event: a\r\ndata: 1\n\n"),
        *(b"event: a\ndata: 1\ndata: 2\n\n", b"event: a\nid: 1\ndata: 1\n\n"),
        b"event: a\ndata: %b\n\n" % (b"1" * 100),
    ):
        assert splitter.split_named(odd) is None
    assert splitter.feed(named) == [ServerSentEvent(b"1", "a"), ServerSentEvent(b"2", "b")]
