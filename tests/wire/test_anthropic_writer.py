"""Tests of `proxy/wire/anthropic_writer.py`."""

import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.chat import Citation, Maker
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.anthropic_writer import AnthropicWriter, write_anthropic_answer
from tests.wire.anthropic_client import build_ask, read_answer, read_stream, split_events

THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
USAGE = Usage(100, 20, cached_tokens=30, cache_write_tokens=10, reasoning_tokens=5)
CALL: list[Event] = [
    CallStarted(0, "call_a", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    CallEnded(0),
]
MAKERS: tuple[Maker, ...] = ("gemini", "openai")


def stream(*events: Event, **fields: Any) -> bytes:
    """Write each event by itself, as from a provider that sends them so."""
    writer = AnthropicWriter(build_ask(**fields))
    return b"".join(writer.write([event]) for event in events) + writer.finish()


def whole(*events: Event, **fields: Any) -> bytes:
    return write_anthropic_answer(build_ask(**fields), events)


def both(*events: Event, **fields: Any) -> dict[str, Any]:
    """Return the answer as the SDK reads it; stream and whole answer say the same."""
    streamed, answered = (
        read_stream(stream(*events, **fields)),
        read_answer(whole(*events, **fields)),
    )
    return _agree(streamed, answered)


def _agree(streamed: Message, answered: Message) -> dict[str, Any]:
    first, second = _dump(streamed), _dump(answered)
    assert first == second
    return first


def _dump(message: Message) -> dict[str, Any]:
    dumped: dict[str, Any] = message.model_dump(mode="json", exclude_none=True)
    assert dumped.pop("id").startswith("msg_")
    assert (dumped.pop("type"), dumped.pop("role")) == ("message", "assistant")
    dumped.pop("container", None)
    return dumped


def blocks(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = both(Started(), *events, Finished("stop"), **fields)["content"]
    return found


def kinds(events: bytes) -> list[str]:
    return [event["type"] for event in split_events(events)]


def test_text_is_one_block() -> None:
    """The stream has the events that Anthropic's has, in their order."""
    out = stream(Started("x", "gpt", 1), Said("Hel"), Said("lo"), Finished("stop"), Counted(USAGE))
    assert kinds(out) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    events = split_events(out)
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    assert events[1]["content_block"] == {"type": "text", "text": ""}
    assert events[2]["delta"] == {"type": "text_delta", "text": "Hel"}
    assert [event["index"] for event in events[1:5]] == [0, 0, 0, 0]


def test_the_sdk_reads_text_alike_from_a_stream_and_from_a_whole_answer() -> None:
    """Model, text, reason and counts are the same both ways."""
    assert both(Started("x", "gpt"), Said("Hel"), Said("lo \u2013"), Finished("stop")) == {
        "model": "gpt",
        "content": [{"type": "text", "text": "Hello \u2013"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def test_without_a_name_the_model_is_the_one_that_was_asked_for() -> None:
    """A provider that does not say who has answered leaves no hole."""
    assert both(Said("x"), Finished("stop"), model="claude")["model"] == "claude"


def test_an_id_of_anthropics_is_kept_and_any_other_replaced() -> None:
    """The SDK is shown an id of the form it knows, whoever has answered."""
    assert read_answer(whole(Started("msg_1"), Finished("stop"))).id == "msg_1"
    assert read_stream(stream(Started("msg_1"), Finished("stop"))).id == "msg_1"
    new = read_stream(stream(Started("chatcmpl-1"), Finished("stop"))).id
    assert new.startswith("msg_")
    assert len(new) == 28


def test_counts_go_by_anthropics_rule() -> None:
    """Of 100 tokens of input 30 were cached and 10 written: 60 stand in `input_tokens`."""
    usage = both(Started(), Said("x"), Finished("stop"), Counted(USAGE))["usage"]
    assert usage == {
        "input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 30,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    }


def test_counts_that_come_at_the_end_stand_in_the_last_event() -> None:
    """At the beginning they are 0 then, and what the SDK has in the end is true."""
    events = split_events(stream(Started(), Said("x"), Finished("stop"), Counted(USAGE)))
    assert events[0]["message"]["usage"]["input_tokens"] == 0
    assert events[-2]["usage"]["input_tokens"] == 60
    assert events[-2]["usage"]["output_tokens"] == 20


def test_counts_that_are_known_at_once_stand_in_the_first_event() -> None:
    """Whether before the beginning, or behind it in the same piece, and later ones overwrite."""
    first = Usage(100, 1, cached_tokens=40)
    ways: list[list[list[Event]]] = [
        [[Counted(first)], [Started()]],
        [[Started(), Counted(first)]],
    ]
    for pieces in ways:
        writer = AnthropicWriter(build_ask())
        out = b"".join(writer.write(piece) for piece in pieces)
        out += writer.write([Said("x"), Finished("stop"), Counted(Usage(101, 9))]) + writer.finish()
        events = split_events(out)
        assert events[0]["message"]["usage"]["input_tokens"] == 60
        assert read_stream(out).usage.input_tokens == 101
        assert read_stream(out).usage.cache_read_input_tokens == 0
        assert read_stream(out).usage.output_tokens == 9


def test_counts_alone_begin_nothing() -> None:
    """What comes before the first word must not cost a place for what comes with it."""
    writer = AnthropicWriter(build_ask())
    assert writer.write([]) == b""
    assert writer.write([Counted(USAGE)]) == b""
    assert kinds(writer.finish()) == ["message_start", "message_delta", "message_stop"]


def test_more_cached_than_read_is_no_negative_count() -> None:
    """A provider's odd counts do not become a number that no client expects."""
    odd = Counted(Usage(5, 1, cached_tokens=9))
    assert both(Started(), odd, Finished("stop"))["usage"]["input_tokens"] == 0


def test_calls_are_blocks_with_an_object_for_input() -> None:
    """Id and name stand at the block's beginning, arguments come as they came."""
    out = stream(Started(), Said("x"), *CALL, Finished("tool_calls"))
    assert split_events(out)[4]["content_block"] == {
        "type": "tool_use",
        "id": "call_a",
        "name": "f",
        "input": {},
    }
    assert both(Started(), Said("x"), *CALL, Finished("tool_calls")) | {"usage": 0} == {
        "model": "m",
        "content": [
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "call_a", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": 0,
    }


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """`{}` is what the SDK gives its user."""
    call: list[Event] = [CallStarted(0, "c", "f"), CallArguments(0, "{}"), CallEnded(0)]
    assert blocks(*call) == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]
    assert blocks(call[0], call[2]) == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]


@pytest.mark.parametrize("text", ['{"a":', "[1]", '"x"', "nonsense", '{"a":NaN}'])
def test_arguments_that_are_no_object_are_not_lost_in_a_whole_answer(text: str) -> None:
    """An object must stand there; Anthropic's own name for what is none says so."""
    call: list[Event] = [CallStarted(0, "c", "f"), CallArguments(0, text), CallEnded(0)]
    answer = json.loads(whole(Started(), *call, Finished("length")))
    assert answer["content"][0]["input"] == {"INVALID_JSON": text}


def test_parallel_calls_that_come_mixed_are_told_one_by_one() -> None:
    """Blocks do not overlap: the second call waits for the first, nothing is lost."""
    out = stream(
        Started(),
        CallStarted(0, "a", "f"),
        CallStarted(1, "b", "g"),
        CallStarted(2, "c", "h"),
        CallArguments(1, '{"b"'),
        CallArguments(0, '{"a":1}'),
        CallArguments(1, ":2}"),
        CallEnded(2),
        CallEnded(1),
        CallEnded(0),
        Finished("tool_calls"),
    )
    assert [event["index"] for event in split_events(out) if "index" in event] == [
        *(0, 0, 0),
        *(1, 1, 1),
        *(2, 2),
    ]
    content = read_stream(out).model_dump(mode="json")["content"]
    assert [(block["id"], block["input"]) for block in content] == [
        ("a", {"a": 1}),
        ("b", {"b": 2}),
        ("c", {}),
    ]


def test_thoughts_are_blocks_if_the_client_thinks() -> None:
    """Text and signature stand in a block before the text; a foreign signature is marked."""
    events = (Thinking("Hm", "openai"), Thinking("m.", "openai"), ThoughtEnded("openai"), Said("x"))
    assert blocks(*events, **THINKS) == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "lp1.openai."},
        {"type": "text", "text": "x"},
    ]
    assert blocks(*events) == [{"type": "text", "text": "x"}]
    assert blocks(*events, thinking={"type": "disabled"}) == [{"type": "text", "text": "x"}]


def test_an_answer_may_have_no_content() -> None:
    """A model that says nothing leaves a message without blocks."""
    assert blocks() == []


def test_a_refusal_is_text_and_its_own_reason() -> None:
    """Clients of any age see the words, and those that know the reason can act on it."""
    answer = both(Started(), Refused("I "), Refused("won't."), Finished("stop"))
    assert answer["content"] == [{"type": "text", "text": "I won't."}]
    assert answer["stop_reason"] == "refusal"
    assert answer["stop_details"] == {"type": "refusal", "explanation": "I won't."}


def test_citations_of_pages_are_told_in_anthropics_form() -> None:
    """Address, title and words reach the SDK; what has no address has no place here."""
    cited = Cited(Citation(url="https://a", title="T", quoted="q", maker="gemini"))
    assert blocks(Said("x"), cited, Cited(Citation(title="no address"))) == [
        {
            "type": "text",
            "text": "x",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "https://a",
                    "title": "T",
                    "cited_text": "q",
                    "encrypted_index": "lp1.gemini.",
                }
            ],
        }
    ]


def test_what_has_no_place_in_this_dialect_is_left_out() -> None:
    """Log probabilities and further answers change nothing."""
    more = (LogProbs(Raw(b'{"content":[]}')), Said("other", 1), Finished("length", 1))
    assert both(Started(), Said("x"), *more, Finished("stop"))["stop_reason"] == "end_turn"
    assert blocks(Said("x"), *more) == [{"type": "text", "text": "x"}]


def test_to_count_tokens_the_answer_is_the_count() -> None:
    """Cached tokens are part of it: it is about the whole prompt."""
    body = write_anthropic_answer(build_ask("count_tokens"), [Counted(USAGE), Finished("stop")])
    assert json.loads(body) == {"input_tokens": 100}


def test_a_line_end_in_a_citation_breaks_no_event() -> None:
    """JSON that a provider has written over several lines stays on one."""
    raw = Raw(b'{"type":"page_location",\n"cited_text":"q"}')
    out = stream(Started(), Said("x"), Cited(Citation(raw=raw, maker="anthropic")))
    assert b'"citation":{"type":"page_location", "cited_text":"q"}}' in out


_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_pieces = st.one_of(
    st.builds(lambda text: [Said(text)], _texts),
    st.builds(lambda text, maker: [Thinking(text, maker)], _texts, st.sampled_from(MAKERS)),
    st.builds(
        lambda maker, signature, hidden: [ThoughtEnded(maker, signature, hidden)],
        st.sampled_from(MAKERS),
        st.none() | st.text("abc", min_size=1),
        st.booleans(),
    ),
    st.builds(lambda text: [Refused(text)], _texts),
    st.builds(lambda value: ["call", value], st.dictionaries(_texts, _texts, max_size=2)),
)


@given(
    st.lists(_pieces, max_size=12),
    st.sampled_from([None, "enabled", "adaptive", "disabled"]),
    st.data(),
)
def test_any_answer_is_whole_and_the_same_both_ways(
    pieces: list[list[Any]], thinking: str | None, data: st.DataObject
) -> None:
    """However events follow each other and are cut, the SDK reads one and the same answer."""
    events: list[Event] = [Started()]
    calls = 0
    for piece in pieces:
        if piece[0] == "call":
            text = json.dumps(piece[1])
            events += [CallStarted(calls, f"c{calls}", "f"), CallArguments(calls, text)]
            events.append(CallEnded(calls))
            calls += 1
        else:
            events += piece
    events += [Finished("stop"), Counted(USAGE)]
    fields: dict[str, Any] = {} if thinking is None else {"thinking": {"type": thinking}}
    answered = read_answer(whole(*events, **fields))
    _agree(read_stream(stream(*events, **fields)), answered)
    writer = AnthropicWriter(build_ask(**fields))
    place = data.draw(st.integers(0, len(events)))
    out = writer.write(events[:place]) + writer.write(events[place:]) + writer.finish()
    _agree(read_stream(out), answered)
    said = "".join(event.text for event in events if isinstance(event, Said | Refused))
    assert "".join(block.text for block in answered.content if block.type == "text") == said
