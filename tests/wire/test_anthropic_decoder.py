"""Tests of `proxy/wire/anthropic_decoder.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.domain.errors import (
    ProxyError,
    UpstreamOverloaded,
    UpstreamProtocolError,
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
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.anthropic_decoder import AnthropicDecoder
from proxy.wire.json_text import MAX_VALUES
from proxy.wire.openai_calls import MAX_CALLS
from tests.wire.anthropic_chunks import (
    HI,
    OVER,
    PING,
    TOOLS,
    arguments,
    block,
    delta,
    end,
    start,
    stop,
    text,
)


def decode(values: list[Any], unwraps: str | None = None) -> list[Event]:
    decoder = AnthropicDecoder(unwraps)
    return [event for value in values for event in decoder.decode(json.dumps(value).encode())]


def decode_answer(unwraps: str | None = None, **fields: Any) -> list[Event]:
    usage = {"input_tokens": 3, "output_tokens": 4}
    answer = {"type": "message", "id": "msg_1", "model": "m", "content": [], "usage": usage}
    body = json.dumps(answer | {"stop_reason": "end_turn"} | fields).encode()
    return AnthropicDecoder(unwraps).decode_answer(body)


def test_text_is_said_as_it_comes() -> None:
    """An answer of words is its start, its words, its counts and its end."""
    assert decode(HI) == [
        Started("msg_1", "claude-x"),
        Counted(Usage(12, 1)),
        Said("Hi "),
        Said("ß é"),
        Counted(Usage(12, 48)),
        Finished("stop", raw="end_turn"),
    ]


def test_thoughts_and_calls_come_in_their_order() -> None:
    """Thoughts end with their signature; calls are numbered by themselves, none without `{}`."""
    assert decode(TOOLS) == [
        Started("msg_1", "claude-x"),
        Counted(Usage(50, 1, 7)),
        Thinking("Let me ", "anthropic"),
        Thinking("see", "anthropic"),
        ThoughtEnded("anthropic", "c2ln"),
        ThoughtEnded("anthropic", "ZGF0YQ==", is_redacted=True),
        Said("Looking"),
        CallStarted(0, "toolu_1", "find"),
        CallArguments(0, '{"a":'),
        CallArguments(0, "1}"),
        CallEnded(0),
        CallStarted(1, "toolu_2", "now"),
        CallArguments(1, "{}"),
        CallEnded(1),
        Counted(Usage(68, 48, 7)),
        Finished("tool_calls", raw="tool_use"),
    ]


def test_a_whole_message_says_the_same() -> None:
    """Blocks that come whole give the same events as those that come in pieces."""
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": 1}]},
        {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]
    assert decode_answer(content=content, stop_reason="tool_use") == [
        Started("msg_1", "m"),
        Thinking("Hm", "anthropic"),
        ThoughtEnded("anthropic", "c2ln"),
        ThoughtEnded("anthropic", "ZGF0YQ==", is_redacted=True),
        Said("Hi"),
        CallStarted(0, "toolu_1", "find"),
        CallArguments(0, '{"a": 1}'),
        CallEnded(0),
        CallStarted(1, "toolu_2", "now"),
        CallArguments(1, "{}"),
        CallEnded(1),
        Counted(Usage(3, 4)),
        Finished("tool_calls", raw="tool_use"),
    ]
    assert decode_answer() == [
        Started("msg_1", "m"),
        Counted(Usage(3, 4)),
        Finished("stop", raw="end_turn"),
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("compaction", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_each_stop_reason_has_its_finish_reason(said: str, reason: str) -> None:
    """What is not known ends an answer like any other; the provider's own word is kept."""
    finished = decode([start(), end(said), OVER])[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.raw) == (reason, said)


def test_an_answer_with_calls_never_just_stops() -> None:
    """Where there are calls, an ordinary end means that they are to be made."""
    called = [block(0, "tool_use", id="t", name="f", input={}), stop(0)]
    for said, reason in (("end_turn", "tool_calls"), ("max_tokens", "length")):
        finished = decode([start(), *called, end(said), OVER])[-1]
        assert isinstance(finished, Finished)
        assert finished.reason == reason


def test_the_stop_sequence_that_was_met_is_told() -> None:
    """A client may want to know which of its own words have ended the answer."""
    told = end("stop_sequence", stop_sequence="END")
    assert decode([start(), told, OVER])[-1] == Finished(
        "stop", stop_sequence="END", raw="stop_sequence"
    )


def test_a_refusal_brings_its_words() -> None:
    """A stream without any block is a refusal if it says so; why goes before its end."""
    details = {"type": "refusal", "category": "cyber", "explanation": "That I cannot do."}
    events = decode([start(), end("refusal", stop_details=details), OVER])
    assert events[-2:] == [
        Refused("That I cannot do."),
        Finished("content_filter", raw="refusal"),
    ]
    events = decode_answer(stop_reason="refusal", stop_details=details)
    assert events[-2:] == [
        Refused("That I cannot do."),
        Finished("content_filter", raw="refusal"),
    ]


def test_a_tool_of_ours_is_the_answers_text() -> None:
    """The arguments of the tool that stands for a schema are said, and it was no call."""
    values = [
        start(),
        block(0, "tool_use", id="t", name="answer", input={}),
        arguments(0, '{"a":'),
        arguments(0, "1}"),
        stop(0),
        block(1, "tool_use", id="u", name="answer", input={}),
        arguments(1, '{"a":2}'),
        stop(1),
        end("tool_use"),
        OVER,
    ]
    events = decode(values, unwraps="answer")
    assert [event for event in events if not isinstance(event, Counted)] == [
        Started("msg_1", "claude-x"),
        Said('{"a":'),
        Said("1}"),
        Finished("stop", raw="tool_use"),
    ]
    content = [{"type": "tool_use", "id": "t", "name": "answer", "input": {"a": 1}}]
    whole = decode_answer("answer", content=content, stop_reason="tool_use")
    assert whole[1] == Said('{"a": 1}')
    assert whole[-1] == Finished("stop", raw="tool_use")


def test_beside_a_tool_of_ours_others_are_called() -> None:
    """Only what bears our tool's name is text; a client's own tools are called as ever."""
    called = [block(0, "tool_use", id="t", name="find", input={"a": 1}), stop(0)]
    events = decode([start(), *called, end("tool_use"), OVER], unwraps="answer")
    assert CallStarted(0, "t", "find") in events
    assert CallArguments(0, '{"a": 1}') in events
    assert events[-1] == Finished("tool_calls", raw="tool_use")


def test_citations_have_the_place_of_their_block() -> None:
    """A source stands for the text of its block, in characters of the whole text."""
    place = {"type": "web_search_result_location", "url": "https://a.b", "title": "T"}
    values = [
        start(),
        *(block(0, "text", text=""), text(0, "né "), stop(0)),
        block(1, "text", text="", citations=[]),
        delta(1, "citations_delta", citation=place),
        text(1, "cited"),
        stop(1),
        *(end(), OVER),
    ]
    raw = Raw(json.dumps(place).encode())
    expected = Cited(Citation("https://a.b", "T", None, 3, 8, raw, "anthropic"))
    assert expected in decode(values)
    content = [
        {"type": "text", "text": "né "},
        {"type": "text", "text": "cited", "citations": [place]},
    ]
    assert expected in decode_answer(content=content)


def test_what_is_new_is_passed_over() -> None:
    """Events, blocks and deltas of tomorrow say nothing and break nothing, whatever their shape."""
    values = [
        {"type": "weather", "delta": "sunny", "index": "x", "message": 4},
        start(),
        block(0, "hologram", text={"x": 1}, id=4),
        delta(0, "hologram_delta", text=[1]),
        delta(0, "text_delta", text="not said"),
        arguments(0, "{}"),
        stop(0),
        block(1, "compaction", content="..."),
        delta(1, "compaction_delta", content="..."),
        stop(1),
        block(2, "text", text=""),
        delta(2, "shine_delta", text={"x": 1}),
        text(2, "Hi"),
        stop(2),
        {"type": "message_delta", "delta": {"container": {"id": "c"}}},
        end(),
        OVER,
    ]
    assert [event for event in decode(values) if not isinstance(event, Counted)] == [
        Started("msg_1", "claude-x"),
        Said("Hi"),
        Finished("stop", raw="end_turn"),
    ]


def test_an_id_that_is_missing_is_made() -> None:
    """A call that cannot be answered is none: it gets an id if the provider has given none."""
    called = [block(0, "tool_use", name="f", input={}), stop(0)]
    events = decode([start(), *called, end("tool_use"), OVER])
    begun = next(event for event in events if isinstance(event, CallStarted))
    assert begun.id.startswith("call_")


def test_a_stream_that_counts_only_its_start_is_estimated() -> None:
    """One token at the start is not what an answer has cost: the rest is told by its bytes."""
    values = [start(), block(0, "text", text=""), text(0, "x" * 400), stop(0)]
    ended = [*values, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, OVER]
    assert decode(ended)[-2] == Counted(Usage(12, 100, source="estimated"))


def test_counts_that_cannot_be_are_set_aside() -> None:
    """They are an anomaly, and the counts before them hold."""
    decoder = AnthropicDecoder()
    values = [start(), end(usage={"output_tokens": -1}), OVER]
    events = [event for value in values for event in decoder.decode(json.dumps(value).encode())]
    assert decoder.anomalies == {"usage_anomaly"}
    assert Counted(Usage(12, 1)) in events


@pytest.mark.parametrize(
    "values",
    [
        [block(0, "text", text="")],
        [text(0, "Hi")],
        [end()],
        [start(), start()],
        [start(), text(0, "Hi")],
        [start(), stop(0)],
        [start(), block(0, "text"), block(0, "text")],
        [start(), {"type": "content_block_delta", "index": 0}],
        [start(), {"type": "content_block_start", "index": 0}],
        [start(), block(0, "text"), delta(0, "text_delta", text=5)],
        [start(), {"type": "content_block_start", "index": "a", "content_block": {"type": "x"}}],
    ],
)
def test_events_out_of_their_order_are_no_answer(values: list[Any]) -> None:
    """What is missing in the middle of a stream is noticed."""
    with pytest.raises(UpstreamProtocolError):
        decode(values)


@pytest.mark.parametrize(
    "values",
    [
        [start(), OVER],
        [start(), end(None), OVER],
        [start(), block(0, "text"), text(0, "Hi"), end(), OVER],
        [start(), end(), block(0, "text"), text(0, "Hi"), OVER],
    ],
)
def test_an_end_before_its_time_is_truncated(values: list[Any]) -> None:
    """`message_stop` alone makes no complete answer."""
    with pytest.raises(UpstreamTruncated):
        decode(values)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, UpstreamOverloaded),
        ({"type": "error", "error": {"type": "api_error"}}, UpstreamServerError),
        ({"error": {"message": "boom", "type": "server_error"}}, UpstreamServerError),
    ],
)
def test_an_error_is_raised_as_what_it_stands_for(value: Any, error: type[ProxyError]) -> None:
    """In a stream and in the place of a whole message alike, also in another dialect's shape."""
    with pytest.raises(error):
        decode([start(), PING, value])
    with pytest.raises(error):
        AnthropicDecoder().decode_answer(json.dumps(value).encode())


def test_an_error_within_an_event_is_one() -> None:
    """Gateways put one beside what they send, or in the place of a reason to stop."""
    error = {"type": "overloaded_error"}
    for event in (PING, text(0, "Hi"), end(), OVER):
        with pytest.raises(UpstreamOverloaded):
            decode([start(), block(0, "text"), event | {"error": error}])
    with pytest.raises(UpstreamOverloaded):
        decode([start(), {"message": "of another shape", "error": error}])
    with pytest.raises(UpstreamOverloaded):
        decode([start(), {"type": "error", "message": "of another shape", "error": error}])
    with pytest.raises(UpstreamServerError):
        decode([start(), end("error"), OVER])
    with pytest.raises(UpstreamServerError):
        decode_answer(stop_reason="error")
    nothings: tuple[Any, ...] = (None, {}, False)
    assert decode([start(), *({**PING, "error": nothing} for nothing in nothings)])


def test_a_whole_message_must_be_one() -> None:
    """Without content there is no message, without a reason to stop no end."""
    with pytest.raises(UpstreamProtocolError):
        AnthropicDecoder().decode_answer(b'{"type": "message"}')
    with pytest.raises(UpstreamTruncated):
        decode_answer(stop_reason=None)


def test_too_many_values_are_not_taken_apart() -> None:
    """An event, and an answer, of millions of empty lists is refused before it is decoded."""
    bomb = b'{"type":"ping","x":[' + b"[]," * MAX_VALUES + b"[]]}"
    with pytest.raises(UpstreamTooLarge):
        AnthropicDecoder().decode(bomb)
    with pytest.raises(UpstreamTooLarge) as excess:
        AnthropicDecoder().decode_answer(bomb)
    assert excess.value.code == "answer_too_large"


def test_blocks_that_never_end_are_not_kept_for_ever() -> None:
    """A stream that begins block after block and ends none is refused before it fills memory."""
    with pytest.raises(UpstreamTooLarge):
        decode([start(), *(block(index, "text", text="") for index in range(1000))])


def test_sources_are_kept_to_a_limit_and_without_their_events() -> None:
    """Of sources without end only so many are kept, none with what else its event has held."""
    source = {"type": "char_location", "cited_text": "x" * 10_000}
    cited = delta(0, "citations_delta", citation=source, junk="y" * 100_000)
    values = [start(), block(0, "text", text=""), *[cited] * 1000, stop(0), end(), OVER]
    found = [event for event in decode(values) if isinstance(event, Cited)]
    assert 300 < len(found) < 500


def test_calls_without_end_are_refused() -> None:
    """No answer calls thousands of tools, and each call costs more than it takes to send it."""
    calls = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}] * (MAX_CALLS + 1)
    assert len(decode_answer(content=calls[1:])) > MAX_CALLS
    with pytest.raises(UpstreamTooLarge):
        decode_answer(content=calls)


def test_a_long_id_is_not_said() -> None:
    """Clients' chunks repeat it: one event of a megabyte must not make all others as large."""
    message = start()
    message["message"] |= {"id": "x" * 1000, "model": "y" * 1000}
    assert decode([message])[0] == Started()
