"""Tests of `proxy/wire/openai_events.py`: OpenAI's answers as events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import (
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    LogProbs,
    Said,
    Started,
)
from proxy.domain.usage import Usage
from proxy.wire import openai_calls
from proxy.wire.base import Ask
from proxy.wire.openai_events import OpenAIEvents, read_openai_events
from proxy.wire.openai_stream import OpenAIStream
from tests.wire.chunks import DONE, HI, REGULAR, ROLE, STOP, USAGE, USAGE_EVENT, chunk, event
from tests.wire.splits import every_cut

START = Started("chatcmpl-1", "m", 1)
END = Finished("stop", raw="stop")
COUNT = Counted(Usage(3, 4))
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def open_reader(choices: int = 1) -> OpenAIEvents:
    ask = Ask("chat", "m", {}, streams=True, choices=choices, wants_usage=True)
    ask.keeps_chunk_usage = True
    return OpenAIEvents(OpenAIStream(ask, 1 << 20))


def read(*pieces: bytes, choices: int = 1) -> tuple[list[Event], OpenAIEvents]:
    reader = open_reader(choices)
    events = [found for piece in pieces for found in reader.feed(piece)]
    return events + reader.finish(), reader


def test_a_stream_is_its_events() -> None:
    """Start, text, end and usage are told in this order, and nothing of the role."""
    events, reader = read(REGULAR + USAGE_EVENT + DONE)
    assert events == [START, Said("Hi"), Said(" \u2013 é"), END, COUNT]
    assert (reader.error, reader.is_over, reader.event_count) == (None, True, 5)


def test_the_split_of_the_bytes_is_of_no_matter() -> None:
    """However the bytes are cut, the events say the same."""
    calls = event(chunk({"tool_calls": [CALL]})) + event(chunk({}, "tool_calls"))
    whole = ROLE + HI + calls + USAGE_EVENT + DONE
    expected, _ = read(whole)
    for pieces in every_cut(whole):
        assert read(*pieces)[0] == expected


def test_a_chunk_may_hold_everything() -> None:
    """Text, a call, the end and usage in one event are all told."""
    delta = {"role": "assistant", "content": "Hi", "tool_calls": [CALL]}
    events, _ = read(event(chunk(delta, "tool_calls", usage=USAGE)) + DONE)
    assert events == [
        START,
        Said("Hi"),
        CallStarted(0, "c", "f"),
        CallArguments(0, "{}"),
        CallEnded(0),
        Finished("tool_calls", raw="tool_calls"),
        COUNT,
    ]


def test_choices_are_told_apart() -> None:
    """Each choice has its own text, calls and end."""
    stream = event(chunk({"content": "a"}, index=0)) + event(chunk({"content": "b"}, index=1))
    ends = event(chunk({}, "stop", index=1)) + event(chunk({}, "length", index=0))
    events, reader = read(stream + ends + DONE, choices=2)
    assert reader.error is None
    assert events[1:] == [
        Said("a", 0),
        Said("b", 1),
        Finished("stop", 1, raw="stop"),
        Finished("length", 0, raw="length"),
    ]


def test_nothing_follows_the_end_of_a_choice() -> None:
    """What a provider says of a choice behind its finish reason is passed over."""
    events, _ = read(HI + STOP + HI + STOP + DONE)
    assert events == [START, Said("Hi"), END]


def test_a_terminal_event_ends_what_has_no_reason() -> None:
    """A stream that ends with `[DONE]` and named no reason is an ordinary end."""
    events, reader = read(HI + DONE)
    assert (events, reader.error) == ([START, Said("Hi"), Finished("stop")], None)


def test_usage_on_every_chunk_is_told_as_it_comes() -> None:
    """Cumulative counts are there before the stream has ended; the last holds."""
    reader = open_reader()
    counts = {"prompt_tokens": 3, "completion_tokens": 1}
    events = reader.feed(event(chunk({"content": "Hi"}, usage=counts)))
    assert events == [START, Said("Hi"), Counted(Usage(3, 1))]


def test_details_of_usage_are_told() -> None:
    """Cached tokens are within those of the prompt, reasoning within those of the answer."""
    counts = USAGE | {
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    events, _ = read(HI + STOP + event(chunk() | {"choices": [], "usage": counts}) + DONE)
    assert events[-1] == Counted(Usage(3, 4, cached_tokens=2, reasoning_tokens=1))


def test_log_probabilities_follow_their_text() -> None:
    """What stands beside a delta is told behind what the delta says."""
    value = chunk({"content": "Hi"})
    value["choices"][0]["logprobs"] = {"content": []}
    events, _ = read(event(value) + STOP + DONE)
    assert [type(found) for found in events] == [Started, Said, LogProbs, Finished]


def test_perplexitys_sources_are_cited_at_the_end() -> None:
    """Addresses beside the choices are sources, told once."""
    sources = {"citations": ["https://a", "https://b"]}
    hi, stop = chunk({"content": "Hi"}) | sources, chunk({}, "stop") | sources
    events, _ = read(event(hi) + event(stop) + DONE)
    found = [each.citation.url for each in events if isinstance(each, Cited)]
    assert found == ["https://a", "https://b"]


@pytest.mark.parametrize("size", range(1, len(HI + STOP) - 20, 7))
def test_a_stream_without_its_end_is_truncated(size: int) -> None:
    """A body that ends before its finish reason is an error, whatever was told before."""
    _, reader = read((HI + STOP)[:size])
    assert isinstance(reader.error, UpstreamTruncated)
    assert not reader.is_over


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (event({"error": {"message": "x", "type": "rate_limit_error"}}), UpstreamRateLimited),
        (event(chunk({}, "error")), UpstreamServerError),
        (b"data: {no json\n\n", UpstreamProtocolError),
        (b'data: {"choices":[{"index":"a"}]}\n\n', UpstreamProtocolError),
    ],
)
def test_what_went_wrong_stands_in_error(data: bytes, error: type[Exception]) -> None:
    """Events before a fault are told, nothing behind it is."""
    reader = open_reader()
    assert reader.feed(HI + data + HI) == [START, Said("Hi")]
    assert isinstance(reader.error, error)
    assert reader.feed(HI) == [] == reader.finish()


def test_calls_beyond_the_cap_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """More calls than are kept stop the stream; nothing is raised."""
    monkeypatch.setattr(openai_calls, "MAX_CALLS", 0)
    reader = open_reader()
    assert reader.feed(HI + event(chunk({"tool_calls": [CALL]}))) == [START, Said("Hi")]
    assert isinstance(reader.error, UpstreamTooLarge)
    assert reader.feed(HI) == [] == reader.finish()


def test_broken_text_is_mended() -> None:
    """Half a character is no reason to lose an answer, and is noted."""
    events, reader = read(HI.replace(b"Hi", b"H\xe2\x80") + STOP + DONE)
    assert events[1] == Said("H\ufffd")
    assert reader.anomalies == {"utf8_replaced"}


@given(st.binary(max_size=80))
def test_nothing_raises(data: bytes) -> None:
    """Whatever the bytes are, an error stands in `error`."""
    read(b"data: " + data + b"\n\n")
    read(HI, data)


def whole(*choices: dict[str, Any], **more: Any) -> bytes:
    value = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return json.dumps({**value, "choices": choices, **more}, indent=1).encode()


def choice(message: dict[str, Any], reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": message, "finish_reason": reason, **more}


def test_a_whole_answer_is_its_events() -> None:
    """All that a message says is told, then its end, then usage."""
    message = {"role": "assistant", "content": "Hi", "tool_calls": [{**CALL, "index": None}]}
    assert read_openai_events(whole(choice(message, "tool_calls"), usage=USAGE)) == [
        START,
        Said("Hi"),
        CallStarted(0, "c", "f"),
        CallArguments(0, "{}"),
        CallEnded(0),
        Finished("tool_calls", raw="tool_calls"),
        COUNT,
    ]


def test_a_whole_answer_needs_no_reason() -> None:
    """JSON that is whole is an answer that is whole."""
    assert read_openai_events(whole(choice({"content": "a"}, None)))[-1] == Finished("stop")


def test_choices_without_good_numbers_get_their_place() -> None:
    """Choices that are all numbered 0 are told apart by their order."""
    events = read_openai_events(whole(choice({"content": "a"}), choice({"content": "b"})))
    assert [event for event in events if isinstance(event, Said)] == [Said("a", 0), Said("b", 1)]


def test_raw_values_have_no_line_ends() -> None:
    """What is passed on as it came fits into one line of a stream."""
    events = read_openai_events(
        whole(choice({"content": "a"}, logprobs={"content": [{"token": "a"}]}))
    )
    (found,) = [each for each in events if isinstance(each, LogProbs)]
    assert b"\n" not in bytes(found.raw)
    assert json.loads(bytes(found.raw)) == {"content": [{"token": "a"}]}


def test_no_object_is_no_answer() -> None:
    """Members of another shape are the provider's fault."""
    with pytest.raises(UpstreamProtocolError):
        read_openai_events(b'{"choices":[{"message":"Hi"}]}')


def test_a_stream_may_end_once_its_choices_have() -> None:
    """Without `[DONE]` nothing is missing either."""
    reader = open_reader()
    reader.feed(ROLE + HI)
    assert not reader.may_end
    reader.feed(STOP)
    assert reader.may_end and not reader.is_over


def test_a_long_id_is_not_said() -> None:
    """Clients' chunks repeat it: one event of a megabyte must not make all others as large."""
    long = chunk(id="x" * 1000, model="y" * 1000, created=10**1000)
    assert read(event(long))[0][:1] == [Started()]
