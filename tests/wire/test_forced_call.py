"""One tool that must be called, by way of an answer that is bound to its schema."""

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Message, Text, Tool, ToolChoice
from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Event,
    Finished,
    LogProbs,
    Said,
    Started,
    Thinking,
)
from proxy.wire.base import Ask
from proxy.wire.forced_call import ForcedCall, find_forced, read_forced, tell_forced
from proxy.wire.ollama_events import OllamaEvents

HI = (Message("user", (Text("Hi"),)),)
F, G = Tool("f", "Does f.", Raw(b'{"type":"object"}')), Tool("g")
MUST = ToolChoice("required")


@pytest.mark.parametrize(
    ("chat", "forced"),
    [
        (ChatRequest(HI, tools=(F,), tool_choice=MUST), F),
        (ChatRequest(HI, tools=(F, G), tool_choice=ToolChoice("required", ("g",))), G),
        (ChatRequest(HI, tools=(F, G), tool_choice=MUST), None),
        (ChatRequest(HI, tools=(F,), tool_choice=ToolChoice("auto", ("f",))), None),
        (ChatRequest(HI, tools=(F,)), None),
        (ChatRequest(HI, tools=(F,), tool_choice=MUST, format=Format()), F),
    ],
)
def test_one_tool_is_forced_if_nothing_else_may_be_answered(
    chat: ChatRequest, forced: Tool | None
) -> None:
    """With a choice among several no schema says it all; a format is of what is not said."""
    assert find_forced(chat) == forced


def test_the_model_is_told_what_it_answers_with() -> None:
    """Name, purpose and schema are in words, as the request has no other place for them."""
    told = tell_forced(F)
    assert all(words in told for words in ("'f'", "Does f.", '{"type":"object"}'))
    assert "schema" not in tell_forced(G)


def test_text_becomes_the_arguments_of_one_call() -> None:
    """Thoughts stay as they are, probabilities of what is no text any more do not."""
    said: list[Event] = [
        Started("i", "m"),
        Thinking("Hm", "openai"),
        Said('{"a"'),
        LogProbs(Raw(b"{}")),
        Said(":1}"),
        Finished("stop", raw="stop"),
    ]
    started, thinking, call, *rest = read_forced(F, said)
    assert [started, thinking] == said[:2]
    assert isinstance(call, CallStarted)
    assert (call.index, call.name, call.id[:5]) == (0, "f", "call_")
    assert rest == [
        CallArguments(0, '{"a"'),
        CallArguments(0, ":1}"),
        CallEnded(0),
        Finished("tool_calls", raw="stop"),
    ]


def test_what_ends_otherwise_keeps_its_reason() -> None:
    """Arguments that are cut at the limit are not told as a call that is whole."""
    assert read_forced(F, [Said("{"), Finished("length")])[-2:] == [
        CallEnded(0),
        Finished("length"),
    ]
    assert read_forced(F, [Finished("content_filter")]) == [Finished("content_filter")]
    assert read_forced(F, [Finished("stop")]) == [Finished("stop")]


def test_a_tool_without_arguments_is_called_by_an_empty_answer() -> None:
    """Where there is nothing to say, saying nothing is the call."""
    assert read_forced(G, [Finished("stop")])[1:] == [
        CallArguments(0, "{}"),
        CallEnded(0),
        Finished("tool_calls"),
    ]


def test_a_stream_is_read_as_by_the_reader_behind_it() -> None:
    """Count, end and error are the other's; a stream that is cut is no call that is whole."""
    reader = ForcedCall(F, OllamaEvents(Ask("chat", "m", {}), 1000))
    events = reader.feed(b'{"model":"m","message":{"content":"{}"},"done":false}\n')
    assert [type(event) for event in events] == [Started, CallStarted, CallArguments]
    assert (reader.event_count, reader.is_over, reader.may_end) == (1, False, False)
    assert reader.finish() == []
    assert isinstance(reader.error, UpstreamTruncated)
    assert reader.anomalies == set()
