"""Tests of `proxy/wire/anthropic_stream.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import (
    UpstreamError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.anthropic_stream import AnthropicStream, read_anthropic_answer, read_token_count
from proxy.wire.base import Ask
from tests.wire.anthropic_chunks import HI, OVER, TOOLS, end, event, stream, text
from tests.wire.splits import every_cut, read_all

MESSAGES = Raw(b'[{"role":"user","content":"Hello there!"}]')
ANSWER: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi", "new": [1.10]}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 4},
}


def open_stream() -> AnthropicStream:
    return AnthropicStream(Ask("messages", "m", {"messages": MESSAGES}, streams=True), 1 << 20)


@pytest.mark.parametrize("values", [HI, TOOLS])
def test_whole_events_pass_untouched(values: list[dict[str, Any]]) -> None:
    """At every split the client gets the very bytes, pings and `event:` lines among them."""
    data = stream(values)
    for pieces in every_cut(data):
        reader = open_stream()
        assert read_all(reader, pieces) == data
        assert reader.error is None
        assert reader.is_over
        assert reader.is_complete
        assert reader.has_content
        assert not reader.has_said_more
        assert reader.event_count == len(values)


def test_an_event_gets_its_name_where_it_has_none() -> None:
    """Clients go by names: data alone gets the line that they look for."""
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in HI)
    out = read_all(open_stream(), [data])
    names = [line[7:].decode() for line in out.split(b"\n") if line.startswith(b"event: ")]
    assert names == [value["type"] for value in HI]


def test_unknown_events_pass_too() -> None:
    """What is new between provider and client is theirs."""
    new = b'event: weather\ndata: {"type":"weather","delta":"sunny"}\n\n'
    data = event(HI[0]) + new + stream(HI[1:])
    assert read_all(open_stream(), [data]) == data


def test_usage_is_known_from_the_start_and_in_the_end() -> None:
    """Counts stand as last reported; what was said since then is seen."""
    reader = open_stream()
    reader.feed(stream(HI[:1]))
    assert reader.usage == Usage(12, 1)
    assert not reader.has_said_more
    reader.feed(stream([*HI[1:3], text(0, "x" * 40)]))
    assert reader.has_said_more
    assert reader.estimate_usage().output_tokens == 10
    assert reader.estimate_usage().input_tokens > 0
    reader.feed(stream(HI[5:]))
    assert reader.usage == Usage(12, 48)


def test_a_missing_last_event_is_added() -> None:
    """Where nothing but `message_stop` is missing, the client gets that from us, once."""
    data = stream(HI)
    reader = open_stream()
    assert reader.feed(data[: -len(event(OVER))]) == data[: -len(event(OVER))]
    assert not reader.is_over
    assert reader.is_complete
    assert reader.finish() == event(OVER)
    assert reader.is_over
    assert reader.finish() == reader.feed(data) == b""
    assert reader.error is None


def test_a_cut_stream_is_truncated() -> None:
    """Only whole events have been passed on, and no end."""
    data = stream(TOOLS)
    for place in range(data.index(b"event: message_delta")):
        reader = open_stream()
        out = read_all(reader, [data[:place]])
        assert data.startswith(out)
        assert isinstance(reader.error, UpstreamTruncated)
        assert not reader.is_complete


def test_an_error_is_not_passed_on() -> None:
    """It is told in our own words by who ends the stream; what was good has been sent."""
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader = open_stream()
    assert reader.feed(stream([*HI[:4], failed, *HI[4:]])) == stream(HI[:4])
    assert isinstance(reader.error, UpstreamOverloaded)
    assert reader.feed(stream(HI)) == reader.finish() == b""


def test_a_broken_character_is_mended() -> None:
    """The client gets text that it can read."""
    reader = open_stream()
    out = read_all(reader, [stream(HI).replace("é".encode(), b"\xc3")])
    assert out == stream(HI).replace("é".encode(), "�".encode())
    assert reader.anomalies == {"utf8_replaced"}


def test_an_end_without_counts_is_estimated() -> None:
    """A stream that has only counted its start is billed for what it has said."""
    values = [*HI[:3], text(0, "x" * 400), HI[5], end(usage=[]), OVER]
    reader = open_stream()
    reader.feed(stream(values))
    assert reader.usage == Usage(12, 100, source="estimated")


def test_a_whole_answer_passes_untouched() -> None:
    """Its bytes are the client's; its counts are ours to bill."""
    body = json.dumps(ANSWER, indent=1).encode()
    ask = Ask("messages", "m", {"messages": MESSAGES})
    answer = read_anthropic_answer(ask, body)
    assert answer.body == body
    assert answer.usage == Usage(43, 4, 40)
    assert answer.anomalies == ()


def test_a_whole_answer_without_counts_is_estimated() -> None:
    """Where nothing that can be billed from came, bytes are counted."""
    ask = Ask("messages", "m", {"messages": MESSAGES})
    content = [{"type": "text", "text": "x" * 40}]
    answer = read_anthropic_answer(
        ask, json.dumps(ANSWER | {"content": content, "usage": {"input_tokens": -1}}).encode()
    )
    assert (answer.usage.output_tokens, answer.usage.source) == (10, "estimated")
    assert answer.anomalies == ("usage_anomaly",)


def test_a_whole_answer_that_is_none_is_refused() -> None:
    """A message that does not say why it stopped, an error, and anything else."""
    ask = Ask("messages", "m", {"messages": MESSAGES})
    for value in (ANSWER | {"stop_reason": None}, {"type": "error", "error": {}}, {}):
        with pytest.raises(UpstreamError):
            read_anthropic_answer(ask, json.dumps(value).encode())


def test_a_count_of_tokens_passes_and_costs_nothing() -> None:
    """The count is the client's; it consumes no tokens."""
    answer = read_token_count(b'{"input_tokens": 123, "new": 1}')
    assert answer.body == b'{"input_tokens": 123, "new": 1}'
    assert answer.usage == Usage(0, 0)
    for body in (b"{}", b"", b'{"input_tokens":-1}', b'{"input_tokens":"3"}'):
        with pytest.raises(UpstreamProtocolError):
            read_token_count(body)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("message_stop2", "message_stop"),
        (None, "message_stop"),
        (None, "content_block_delta"),
        ("x\n\nevent: message_stop\ndata: {}", ""),
    ],
)
def test_no_name_says_more_than_its_event(kind: str | None, name: str) -> None:
    """An event is called what we have read it as: no `event:` line, and no type, ends an answer."""
    value = {"delta": {"type": "text_delta", "text": "unseen"}} | ({"type": kind} if kind else {})
    data = f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
    out = read_all(open_stream(), [stream(HI[:4]) + data])
    names = [line[7:].decode() for line in out.split(b"\n") if line.startswith(b"event: ")]
    assert names == [value["type"] for value in HI[:4]] + ["message_stop2"] * (
        kind == "message_stop2"
    )


def test_a_ping_without_a_type_passes() -> None:
    """A sign of life is one by its name alone."""
    assert open_stream().feed(b"event: ping\ndata: {}\n\n") == b"event: ping\ndata: {}\n\n"
