"""Tests of `proxy/wire/cohere_events.py`: where events end, and where answers do."""

import json

import pytest
from hypothesis import given, settings

from proxy.domain import errors as e
from proxy.domain.events import Event, Finished, Said
from proxy.wire.cohere_events import CohereEvents, read_cohere_events
from proxy.wire.json_text import MAX_VALUES
from tests.wire.cohere_answers import START, call, content, end, stream, whole
from tests.wire.splits import cuts

ANSWER = stream(
    START,
    content("text", "Hé \u2013 \U0001f600", "content-start"),
    content("text", " there"),
    {"type": "content-end", "index": 0},
    call("tool-call-start", name="f"),
    call("tool-call-delta", arguments='{"a":1}'),
    {"type": "tool-call-end", "index": 0},
    end("TOOL_CALL"),
)


def read(*pieces: bytes, cap: int = 1 << 20) -> tuple[list[Event], CohereEvents]:
    reader = CohereEvents(cap)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.finish(), reader


@settings(max_examples=30)
@given(pieces=cuts(ANSWER))
def test_the_split_of_the_bytes_is_of_no_matter(pieces: list[bytes]) -> None:
    """However a stream is cut, it says the same."""
    events, reader = read(*pieces)
    assert events == read(ANSWER)[0]
    assert reader.error is None and reader.is_over and reader.may_end
    assert reader.event_count == 8


def test_nothing_matters_behind_the_end() -> None:
    """Terminators of other dialects, and whatever else comes, are passed over."""
    events, reader = read(ANSWER + b"data: [DONE]\n\n", b"data: {nonsense\n\n")
    assert reader.error is None and events == read(ANSWER)[0]


def test_the_last_event_may_lack_its_blank_line() -> None:
    """It is whole, or it is cut off."""
    events, reader = read(ANSWER.rstrip())
    assert reader.error is None and isinstance(events[-1], Finished)
    _, reader = read(ANSWER.rstrip()[:-5])
    assert isinstance(reader.error, e.UpstreamTruncated)


@pytest.mark.parametrize("count", range(7))
def test_a_stream_without_its_end_is_truncated(count: int) -> None:
    """Nothing but `message-end` makes an answer complete."""
    begun = b"".join(each + b"\n\n" for each in ANSWER.split(b"\n\n")[:count])
    _, reader = read(begun)
    assert isinstance(reader.error, e.UpstreamTruncated) and not reader.may_end


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"event: error\ndata: boom\n\n", e.UpstreamServerError),
        (b'event: error\ndata: {"message":"too many tokens"}\n\n', e.UpstreamRejected),
        (b"data: {\n\n", e.UpstreamProtocolError),
        (b"data: []\n\n", e.UpstreamProtocolError),
        (b'data: {"message":"boom"}\n\n', e.UpstreamServerError),
    ],
)
def test_what_goes_wrong_stands_in_error(data: bytes, kind: type[e.ProxyError]) -> None:
    """Nothing is raised, and nothing is read behind it."""
    events, reader = read(stream(START) + data + stream(end()))
    assert type(reader.error) is kind
    assert len(events) == 1


def test_a_client_that_has_seen_text_gets_our_words() -> None:
    """The provider's own would help nobody then."""
    error = stream(end("ERROR", error="too many tokens: alice's prompt"))
    _, early = read(stream(START) + error)
    _, late = read(stream(START, content("text", "a")) + error)
    assert early.error is not None and "alice" in early.error.message
    assert late.error is not None and "alice" not in late.error.message
    assert late.error.code == "context_length_exceeded"


def test_broken_text_is_mended() -> None:
    """One character that is cut in two costs no answer."""
    broken = stream(content("text", "aXb")).replace(b"X", b"\xff")
    events, reader = read(stream(START) + broken + stream(end()))
    assert events[1] == Said("a\ufffdb")
    assert reader.error is None and reader.anomalies == {"utf8_replaced"}


def test_there_is_an_end_to_an_event() -> None:
    """Neither its bytes nor its values are without number."""
    events, reader = read(stream(START, content("text", "a" * 2000)), cap=1000)
    assert isinstance(reader.error, e.UpstreamTooLarge) and len(events) == 1
    huge = b'data: {"type":"x","a":[' + b"1," * MAX_VALUES + b"1]}\n\n"
    _, reader = read(huge, cap=1 << 30)
    assert isinstance(reader.error, e.UpstreamTooLarge)


def test_a_whole_answer_is_read() -> None:
    """Text that is no UTF-8 is mended, and said to be."""
    body = json.dumps(whole(content=[{"type": "text", "text": "aXb"}])).encode()
    events, anomalies = read_cohere_events(body)
    assert events[1] == Said("aXb") and anomalies == ()
    events, anomalies = read_cohere_events(body.replace(b"X", b"\xff"))
    assert events[1] == Said("a\ufffdb") and anomalies == ("utf8_replaced",)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"message":{"content":3}}', b"\xff"])
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    """Whatever it is, it is not Cohere's."""
    with pytest.raises(e.UpstreamProtocolError):
        read_cohere_events(body)


def test_an_answer_of_countless_values_is_refused() -> None:
    """It would take more memory than it has bytes."""
    with pytest.raises(e.UpstreamTooLarge):
        read_cohere_events(b'{"a":[' + b"1," * MAX_VALUES + b"1]}")
