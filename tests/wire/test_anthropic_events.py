"""Tests of `proxy/wire/anthropic_events.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import (
    ProxyError,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import Counted, Event, Finished, Said
from proxy.domain.usage import Usage
from proxy.wire.anthropic_events import AnthropicEvents, AnthropicFeed, read_anthropic_events
from proxy.wire.json_text import MAX_VALUES
from tests.wire.anthropic_chunks import (
    HI,
    OVER,
    PING,
    TOOLS,
    block,
    end,
    event,
    start,
    stop,
    stream,
    text,
)
from tests.wire.splits import cuts, every_cut

LIMIT = 1 << 20
UNTIL_STOP = [value for value in HI if value is not OVER]


def read(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[Event], AnthropicEvents]:
    reader = AnthropicEvents(limit)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish(), reader


WHOLE_HI = read([stream(HI)])[0]
WHOLE_TOOLS = read([stream(TOOLS)])[0]


@pytest.mark.parametrize(("values", "whole"), [(HI, WHOLE_HI), (TOOLS, WHOLE_TOOLS)])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_split_gives_the_same_events(
    values: list[dict[str, Any]], whole: list[Event], line_end: bytes
) -> None:
    """However the bytes come, and however lines end, what is said is the same."""
    data = stream(values).replace(b"\n", line_end)
    for pieces in every_cut(data):
        events, reader = read(pieces)
        assert events == whole
        assert reader.is_over
        assert reader.error is None
        assert reader.event_count == len(values)
        assert not reader.anomalies


@given(cuts(stream(TOOLS)))
def test_any_split_gives_the_same_events(pieces: list[bytes]) -> None:
    """Any number of cuts changes nothing."""
    assert read(pieces)[0] == WHOLE_TOOLS


def test_nothing_counts_behind_the_end() -> None:
    """What a provider sends after `message_stop` is not looked at."""
    events, reader = read([stream(HI) + b"event: error\ndata: {}\n\n", stream(HI)])
    assert events == WHOLE_HI
    assert reader.error is None


def test_names_of_events_are_not_needed() -> None:
    """Servers that leave out the `event:` lines are understood by the types in the data."""
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in HI)
    assert read([data])[0] == WHOLE_HI


def test_comments_and_signs_of_life_say_nothing() -> None:
    """Comments, empty data and the terminal event of another dialect are passed over."""
    data = stream(HI).replace(event(PING), b": hm\n\ndata:\n\nid: 4\ndata: [DONE]\n\nretry: 3\n\n")
    events, reader = read([data])
    assert events == WHOLE_HI
    assert reader.event_count == len(HI) - 1


def test_an_event_of_several_lines_is_one() -> None:
    """Line ends between the tokens of JSON are allowed, inside a string they are not."""
    many = b'event: ping\ndata: {"type":\ndata: "ping"}\n\n'
    assert read([stream(HI).replace(event(PING), many)])[0] == WHOLE_HI
    cut = b'event: ping\ndata: {"type": "pi\ndata: ng"}\n\n'
    assert isinstance(read([cut])[1].error, UpstreamProtocolError)


@pytest.mark.parametrize("values", [HI, TOOLS])
def test_a_stream_that_is_cut_anywhere_is_truncated(values: list[dict[str, Any]]) -> None:
    """Before it has been said why the message stopped, no end of the body is a success."""
    data = stream(values)
    sure = data.index(b"event: message_delta")
    for place in range(sure):
        events, reader = read([data[:place]])
        assert isinstance(reader.error, UpstreamTruncated)
        assert not any(isinstance(found, Finished) for found in events)


def test_only_the_last_event_may_be_missing() -> None:
    """Once the reason is known and no block is open, `message_stop` adds nothing."""
    events, reader = read([stream(UNTIL_STOP)])
    assert events == WHOLE_HI
    assert reader.error is None
    whole = stream(HI)
    for place in range(len(stream(UNTIL_STOP)), len(whole)):
        assert read([whole[:place]])[0] == WHOLE_HI
    # The last event may lack its blank line, too.
    assert read([stream(UNTIL_STOP).rstrip(b"\n")])[0] == WHOLE_HI
    assert read([stream(HI).rstrip(b"\n")])[0] == WHOLE_HI


def test_an_empty_body_is_truncated() -> None:
    """Nothing at all is no answer."""
    assert isinstance(read([b""])[1].error, UpstreamTruncated)


@pytest.mark.parametrize(
    "garbage", [b"data: {\n\n", b"data: <html>\n\n", b"data: []\n\n", b'data: {"type":3}\n\n']
)
def test_garbage_is_no_answer(garbage: bytes) -> None:
    """What cannot be read ends the stream; what came before it has been returned."""
    begun = stream(HI[:4])
    events, reader = read([begun + garbage + stream(HI[4:])])
    assert isinstance(reader.error, UpstreamProtocolError)
    assert events == WHOLE_HI[: len(events)]
    assert Said("Hi ") in events


def test_a_broken_character_is_mended() -> None:
    """Half a character in an answer costs that character and nothing else."""
    data = stream(HI).replace("é".encode(), b"\xc3")
    events, reader = read([data])
    assert Said("ß �") in events
    assert reader.error is None
    assert reader.anomalies == {"utf8_replaced"}


def test_an_event_above_the_limit_is_refused() -> None:
    """The events before it have been returned."""
    large = [*HI[:4], text(0, "x" * 500), *HI[4:]]
    events, reader = read([stream(large)], limit=400)
    assert isinstance(reader.error, UpstreamTooLarge)
    assert events[-1] == Said("Hi ")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", UpstreamOverloaded),
        ("rate_limit_error", UpstreamRateLimited),
        ("api_error", UpstreamServerError),
        ("invalid_request_error", UpstreamRejected),
        ("tomorrows_error", UpstreamServerError),
    ],
)
def test_an_error_ends_a_stream_as_what_it_stands_for(kind: str, error: type[ProxyError]) -> None:
    """Its event is classified like an answer with its status would be."""
    failed = {"type": "error", "error": {"type": kind, "message": "secret words"}}
    for data in (event(failed), b"data: " + json.dumps(failed).encode() + b"\n\n"):
        for begun in (HI[:1], HI[:4]):
            events, reader = read([stream(begun) + data])
            found = reader.error
            assert isinstance(found, error)
            assert events == WHOLE_HI[: len(events)]
            # A stream that has begun tells nobody the provider's words.
            assert len(begun) == 1 or "secret" not in found.message


def test_an_error_before_content_has_the_providers_words() -> None:
    """What a client can mend is told in the words of who refused it."""
    failed = {"type": "error", "error": {"type": "invalid_request_error", "message": "bad tool"}}
    _, reader = read([event(failed)])
    assert isinstance(reader.error, UpstreamRejected)
    assert reader.error.message == "bad tool"


def test_an_error_event_without_words_is_one() -> None:
    """The name of an event is enough to know that it failed."""
    _, reader = read([stream(HI[:4]) + b"event: error\ndata: oops\n\n"])
    assert isinstance(reader.error, UpstreamServerError)


def test_content_is_what_passes_the_commit_point() -> None:
    """The start, pings and an empty block are no content; words, and an end, are."""
    feed = AnthropicFeed(LIMIT)
    feed.feed(stream(HI[:3]))
    assert not feed.has_content
    feed.feed(stream(HI[3:4]))
    assert feed.has_content
    empty = AnthropicFeed(LIMIT)
    empty.feed(stream([start(), end(), OVER]))
    assert empty.has_content


@given(st.binary(max_size=300), st.integers(0, len(stream(TOOLS))))
def test_no_bytes_make_a_reader_raise(noise: bytes, place: int) -> None:
    """Whatever stands in a stream is an answer or an error."""
    data = stream(TOOLS)
    events, reader = read([data[:place] + noise + data[place:]])
    is_finished = any(isinstance(found, Finished) for found in events)
    assert is_finished == (reader.error is None)


def test_a_whole_answer_is_read() -> None:
    """A message gives its events; a broken character in it is mended and told."""
    answer = {
        "type": "message",
        "id": "msg_1",
        "model": "m",
        "content": [{"type": "text", "text": "Hé"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    body = json.dumps(answer, ensure_ascii=False).encode()
    events, anomalies = read_anthropic_events(body)
    assert events[1:] == [
        Said("Hé"),
        Counted(Usage(3, 4)),
        Finished("stop", raw="end_turn"),
    ]
    assert anomalies == ()
    events, anomalies = read_anthropic_events(body.replace("é".encode(), b"\xc3"))
    assert events[1] == Said("H�")
    assert anomalies == ("utf8_replaced",)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"<html>", b'{"content":"text"}', b'{"content":[1]}']
)
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    """Any other body with status 200 is the provider's fault."""
    with pytest.raises((UpstreamProtocolError, UpstreamTruncated)):
        read_anthropic_events(body)


@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 40))
def test_no_body_makes_reading_fail_otherwise(noise: bytes, place: int, gap: int) -> None:
    """Whatever a body is, it gives events with an end, or an error of the one tree."""
    body = b'{"type":"message","id":"m","model":"x","content":[{"type":"text","text":"Hi"},'
    body += b'{"type":"tool_use","id":"t","name":"f","input":{"a":[1]}}],"stop_reason":"tool_use"}'
    try:
        events, _ = read_anthropic_events(body[:place] + noise + body[place + gap :])
    except UpstreamError:
        return
    assert isinstance(events[-1], Finished)


def test_a_block_left_open_is_truncated() -> None:
    """An end that comes before the end of a block is none."""
    values = [start(), block(0, "text"), text(0, "Hi"), end()]
    assert isinstance(read([stream(values)])[1].error, UpstreamTruncated)
    assert read([stream([*values, stop(0)])])[1].error is None


@pytest.mark.parametrize("head", [b"event: error\ndata: ", b"data:\ndata: "])
def test_too_many_values_are_not_taken_apart_anywhere(head: bytes) -> None:
    """An error, and an event of several lines, of millions of empty lists is not decoded."""
    reader = AnthropicEvents(1 << 24)
    assert reader.feed(head + b"[" + b"[]," * MAX_VALUES + b"[]]\n\n") == []
    assert isinstance(reader.error, UpstreamTooLarge)
