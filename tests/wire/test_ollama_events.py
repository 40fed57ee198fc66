"""Ollama's lines -> events, whatever way they were cut; an end that is none is an error."""

import json
from typing import Any

import pytest

from proxy.domain.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    LogProbs,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.ollama_events import OllamaEvents, read_ollama_events
from proxy.wire.openai_request import parse_ask
from tests.wire.splits import every_cut

ASK = parse_ask("chat", b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')
END: dict[str, Any] = {
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 4,
    "eval_count": 6,
}


def said(text: str = "", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **more}
    return {"model": "q", "message": message, "done": False}


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
ANSWER = lines(
    said(thinking="hm"),
    said("Hi"),
    said(tool_calls=[{"id": "c1", **CALL}]),
    {**END, "message": {"content": "", "tool_calls": []}},
)
EVENTS: list[Event] = [
    Started(None, "q"),
    Thinking("hm", "openai"),
    ThoughtEnded("openai"),
    Said("Hi"),
    CallStarted(0, "c1", "f"),
    CallArguments(0, '{"a":1}'),
    CallEnded(0),
    Finished("tool_calls", raw="stop"),
    Counted(Usage(4, 6)),
]


def read(body: bytes, max_line_bytes: int = 1 << 20) -> tuple[list[Event], OllamaEvents]:
    reader = OllamaEvents(ASK, max_line_bytes)
    events = reader.feed(body)
    return events + reader.finish(), reader


def test_a_stream_is_the_same_however_it_is_cut() -> None:
    """A thought ends where something else begins, calls come whole, counts with the end."""
    for pieces in every_cut(ANSWER):
        reader = OllamaEvents(ASK, 1 << 20)
        events = [event for piece in pieces for event in reader.feed(piece)]
        assert (reader.is_over, reader.error, reader.may_end) == (True, None, False)
        assert events == EVENTS
        assert reader.event_count == 4
        assert reader.feed(b"{") == reader.finish() == []


def test_a_whole_answer_says_the_same() -> None:
    """It is one object, or all the lines of a stream that came as one body."""
    call = {"id": "c1", **CALL}
    whole = {
        **END,
        "model": "q",
        "message": {"content": "Hi", "thinking": "hm", "tool_calls": [call]},
    }
    assert read_ollama_events(ASK, json.dumps(whole, indent=1).encode())[0] == EVENTS
    assert read_ollama_events(ASK, ANSWER) == (EVENTS, ())


def test_generated_text_is_read_too() -> None:
    """The other endpoint has text and thoughts at the top; progress says nothing."""
    body = lines(
        {"completed": 1, "total": 4},
        {"model": "q", "response": "", "thinking": "hm", "done": False},
        {"model": "q", "response": "Hi", "logprobs": [{"token": "Hi", "logprob": -1}]},
        {"response": "", "done": True, "done_reason": "length", "eval_count": 6},
    )
    events, reader = read(body)
    assert reader.error is None
    assert [type(event) for event in events] == [
        *(Started, Thinking, ThoughtEnded, Said, LogProbs, Finished, Counted)
    ]
    assert events[-2:] == [
        Finished("length", raw="length"),
        # The prompt came from a cache: what it has is estimated.
        Counted(Usage(8, 6, source="estimated")),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({}, "{}"), (None, "{}"), ("", "{}"), ('{"a":2}', '{"a":2}')],
    ids=["none", "null", "empty", "as a text"],
)
def test_a_call_without_id_or_arguments_gets_them(arguments: Any, text: str) -> None:
    """Old servers give no ids; what a client sends back must be told apart."""
    call = {"function": {"name": "f", "arguments": arguments}}
    events, reader = read(lines(said(tool_calls=[call, call]), END))
    assert reader.error is None
    started = [event for event in events if isinstance(event, CallStarted)]
    assert [event.index for event in started] == [0, 1]
    assert all(event.id.startswith("call_") for event in started)
    assert [e.text for e in events if isinstance(e, CallArguments)] == [text, text]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (b"", UpstreamTruncated),
        (lines({**END, "done_reason": ""}), UpstreamTruncated),
        (lines({"message": {"content": ""}, "done": True}), UpstreamTruncated),
        (lines({**END, "done_reason": "load"}), UpstreamProtocolError),
        (lines({"error": "model runner has stopped"}), UpstreamError),
        (b'{"message":', UpstreamTruncated),
        (b'{"message":\n', UpstreamProtocolError),
        (lines(said(tool_calls=[{"function": {"arguments": {}}}])), UpstreamProtocolError),
        (
            lines(said(tool_calls=[{"function": {"name": "f", "arguments": [1]}}])),
            UpstreamProtocolError,
        ),
    ],
)
def test_an_end_that_is_none_is_an_error(last: bytes, error: type[UpstreamError]) -> None:
    """What was good before has been returned; nothing says that the answer has finished."""
    events, reader = read(lines(said("Hi")) + last)
    assert events[:2] == [Started(None, "q"), Said("Hi")]
    assert not any(isinstance(event, Finished) for event in events)
    assert isinstance(reader.error, error)


def test_words_are_told_only_before_anything_is_said() -> None:
    """A client can mend a request that was refused, and not one that was half answered."""
    refusal = {"error": "the input length exceeds the context length"}
    early, late = read(lines(refusal))[1].error, read(lines(said("Hi"), refusal))[1].error
    assert isinstance(early, UpstreamRejected)
    assert isinstance(late, UpstreamRejected)
    assert early.code == "context_length_exceeded"
    assert late.code == "context_length_exceeded"
    assert "input length" in early.message
    assert "input length" not in late.message


def test_a_line_above_the_cap_ends_the_stream() -> None:
    """What stood before it is told."""
    events, reader = read(lines(said("Hi")) + b'{"x":"' + b"x" * 200, 100)
    assert events == [Started(None, "q"), Said("Hi")]
    assert isinstance(reader.error, UpstreamTooLarge)


def test_counts_that_are_none_are_set_aside() -> None:
    """The answer is good; what it has cost is estimated by others."""
    events, reader = read(lines(said("Hi"), {**END, "eval_count": -1}))
    assert reader.error is None
    assert reader.anomalies == {"usage_anomaly"}
    assert not any(isinstance(event, Counted) for event in events)
