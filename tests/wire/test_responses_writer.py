"""Tests of `proxy/wire/responses_writer.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw
from pydantic import BaseModel

from proxy.domain.chat import Citation
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
from proxy.wire.responses_writer import ResponsesWriter, write_response
from tests.wire.responses_client import (
    build_ask,
    check_invariants,
    read_answer,
    read_stream,
    split_events,
)

USAGE = Usage(100, 20, cached_tokens=30, cache_write_tokens=10, reasoning_tokens=5)
SHOWS = {"reasoning": {"effort": "low", "summary": "auto"}}
CALL: list[Event] = [
    CallStarted(0, "call_a", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    CallEnded(0),
]
TOKENS = LogProbs(Raw(b'{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]}'))


class Place(BaseModel):
    """What is asked for as JSON."""

    city: str


def stream(*events: Event, **fields: Any) -> bytes:
    """Write each event by itself, as from a provider that sends them so."""
    writer = ResponsesWriter(build_ask(**fields))
    return b"".join(writer.write([event]) for event in events) + writer.finish()


def whole(*events: Event, **fields: Any) -> bytes:
    return write_response(build_ask(**fields), events)


def both(*events: Event, **fields: Any) -> dict[str, Any]:
    """Return the response; streamed piece by piece, at once and whole it is the same."""
    asked = build_ask(**fields)
    writer = ResponsesWriter(asked)
    at_once = check_invariants(split_events(writer.write(events) + writer.finish()))
    streamed = check_invariants(split_events(stream(*events, **fields)))
    body = whole(*events, **fields)
    read_answer(body)
    first, *others = (_forget_ids(each) for each in (at_once, streamed, json.loads(body)))
    assert others == [first, first]
    return first


def _forget_ids(response: dict[str, Any]) -> dict[str, Any]:
    assert response.pop("id").startswith("resp_")
    prefixes = {"message": "msg_", "function_call": "fc_", "reasoning": "rs_"}
    for item in response["output"]:
        assert item.pop("id").startswith(prefixes[item["type"]])
    return response


def output(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = both(Started(), *events, Finished("stop"), **fields)["output"]
    return found


def kinds(events: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in split_events(events)]


def text_of(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_of(*parts: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "status": status, "content": list(parts)}


def test_a_text_has_all_of_its_events() -> None:
    """In OpenAI's order, each numbered and named."""
    out = stream(Started("x", "gpt"), Said("Hel"), Said("lo"), Finished("stop"), Counted(USAGE))
    assert kinds(out) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    events = split_events(out)
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    assert events[2]["item"]["content"] == []
    assert [event["delta"] for event in events[4:6]] == ["Hel", "lo"]
    assert events[6]["text"] == "Hello"


def test_the_response_has_model_time_and_tokens() -> None:
    """Cached tokens are of the input's, those of thoughts of the output's."""
    response = both(Started("x", "gpt", 9), Said("Hi"), Finished("stop"), Counted(USAGE))
    assert (response["model"], response["created_at"], response["status"]) == (
        "gpt",
        7,
        "completed",
    )
    assert response["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }
    assert response["output"] == [message_of(text_of("Hi"))]


def test_the_sdk_reads_a_stream_to_its_end() -> None:
    """Its helper has the text, the calls, and an object of the type that was asked for."""
    out = stream(Said('{"city":'), Said('"Oslo"}'), *CALL, Finished("stop"), Counted(USAGE))
    response = read_stream(out, text_format=Place)
    assert response.output_parsed == Place(city="Oslo")
    assert response.output_text == '{"city":"Oslo"}'
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert response.output[1].arguments == '{"a":1}'


def test_a_call_has_all_of_its_events() -> None:
    """One without arguments has those of an empty object."""
    events: list[Event] = [CallStarted(1, "call_b", "g"), CallEnded(1)]
    out = stream(*CALL, *events, Finished("tool_calls"))
    assert kinds(out)[2:-1] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
    ]
    first, second = output(*CALL, *events)
    assert first == {
        "type": "function_call",
        "status": "completed",
        "call_id": "call_a",
        "name": "f",
        "arguments": '{"a":1}',
    }
    assert (second["name"], second["arguments"]) == ("g", "{}")


def test_calls_may_overlap() -> None:
    """Each piece names its own, and what is said meanwhile has an item of its own."""
    items = output(
        CallStarted(0, "call_a", "f"),
        CallStarted(1, "call_b", "g"),
        CallArguments(1, '{"b":'),
        Said("Well."),
        CallArguments(0, "{}"),
        CallArguments(1, "2}"),
        CallEnded(0),
        CallEnded(1),
    )
    assert [item.get("arguments") for item in items] == ["{}", '{"b":2}', None]
    assert items[2] == message_of(text_of("Well."))


def test_a_thought_is_shown_to_who_asks_for_a_summary() -> None:
    """What its maker wants back stands beside it, asked for or not."""
    thought: list[Event] = [Thinking("Let me ", "anthropic"), Thinking("see.", "anthropic")]
    signed = [*thought, ThoughtEnded("anthropic", "c2ln"), Said("Hi")]
    assert kinds(stream(*signed, Finished("stop"), **SHOWS))[2:10] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
    ]
    shown, said = output(*signed, **SHOWS)
    assert shown["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert said == message_of(text_of("Hi"))
    hidden, _ = output(*signed)
    assert hidden["summary"] == []
    for item in (shown, hidden):
        assert item["encrypted_content"].startswith("lp1.")
    assert "reasoning_summary_text.delta" not in kinds(stream(*signed, Finished("stop")))


def test_each_thought_has_an_item() -> None:
    """One that nobody has ended ends where something else begins; a redacted one has no text."""
    items = output(
        Thinking("a", "openai"),
        Thinking("b", "gemini"),
        Said("Hi"),
        Thinking("c", "openai"),
        ThoughtEnded("openai"),
        ThoughtEnded("anthropic", "aGlkZGVu", is_redacted=True),
        ThoughtEnded("openai"),
        Thinking("", "openai"),
        CallStarted(0, "call_a", "f", "c2ln"),
        CallEnded(0),
        ThoughtEnded("openai", extra=Raw(b"[]")),
        **SHOWS,
    )
    texts = ["".join(part["text"] for part in item.get("summary", ())) for item in items]
    assert list(zip([item["type"] for item in items], texts, strict=True)) == [
        ("reasoning", "a"),
        ("reasoning", "b"),
        ("message", ""),
        ("reasoning", "c"),
        ("reasoning", ""),
        ("reasoning", ""),
        ("function_call", ""),
        ("reasoning", ""),
    ]


def test_where_words_come_from() -> None:
    """An annotation stands in the part that it is of; without words there is nothing to mark."""
    cited = Cited(Citation("https://a.test", "A", start=6, end=8))
    items = output(Said("First."), *CALL, Said("Hi"), cited, Refused("No."), cited)
    annotation = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 2,
        "title": "A",
        "url": "https://a.test",
    }
    assert items[2]["content"] == [
        text_of("Hi") | {"annotations": [annotation]},
        {"type": "refusal", "refusal": "No."},
    ]
    assert "output_text.annotation.added" in kinds(stream(Said("Hi"), cited, Finished("stop")))
    assert both(Said("x"), Cited(Citation(quoted="y")), Finished("stop"))["output"] == [
        message_of(text_of("x"))
    ]


def test_log_probabilities_are_told_with_their_text() -> None:
    """In its delta where they are known by then, in all of the text in any case."""
    token = {"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}
    [item] = output(Said("a"), TOKENS, Said("b"))
    assert item["content"] == [text_of("ab") | {"logprobs": [token]}]
    writer = ResponsesWriter(build_ask())
    events = split_events(writer.write([Said("a"), TOKENS, Said("b")]))
    deltas = [event["logprobs"] for event in events if "delta" in event]
    assert deltas == [[token], []]
    assert output(TOKENS) == [message_of(text_of(""))]


def test_a_refusal_in_words_is_a_whole_answer() -> None:
    """A client reads it; without words the answer is incomplete."""
    out = stream(Said("Hm."), Refused("I "), Refused("won't."), Finished("content_filter"))
    assert kinds(out)[-6:] == [
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert read_stream(out).output[0].content[1].refusal == "I won't."
    filtered = both(Said("Hm."), Finished("content_filter"))
    assert filtered["status"] == "incomplete"
    assert filtered["incomplete_details"] == {"reason": "content_filter"}


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    """So is the item that it was cut in, be it a call whose end never came."""
    cut = both(Said("Hel"), Finished("length"))
    assert (cut["status"], cut["incomplete_details"]["reason"]) == (
        "incomplete",
        "max_output_tokens",
    )
    assert cut["output"] == [message_of(text_of("Hel"), status="incomplete")]
    assert kinds(stream(Said("Hel"), Finished("length")))[-1] == "incomplete"
    called = both(CallStarted(0, "call_a", "f"), CallArguments(0, '{"a'), Finished("length"))
    assert called["output"][0]["status"] == "incomplete"
    assert called["output"][0]["arguments"] == '{"a'
    thought = both(Thinking("Hm", "openai"), Finished("length"))
    assert [item["type"] for item in thought["output"]] == ["reasoning"]


def test_an_answer_without_words_has_an_empty_message() -> None:
    """Clients look for one."""
    assert output() == [message_of(text_of(""))]
    assert [item["type"] for item in output(Thinking("Hm", "openai"))] == ["reasoning", "message"]


def test_one_choice_is_told() -> None:
    """This dialect has no others."""
    events = (Said("a", 0), Said("b", 1), Said("c", 0), Finished("length", 1), Finished("stop", 0))
    response = both(*events)
    assert response["status"] == "completed"
    assert response["output"] == [message_of(text_of("ac"))]


def test_a_complete_answer_is_to_be_stored() -> None:
    """As its client has got it, with what led to it, unless it is not wanted."""
    for streams in (True, False):
        ask = build_ask(model="alias")
        events: list[Event] = [Started("x", "gpt"), Said("Hi"), Finished("stop"), Counted(USAGE)]
        if streams:
            writer = ResponsesWriter(ask)
            writer.write(events)
            assert ask.stored is None
            writer.finish()
        else:
            write_response(ask, events)
        assert ask.stored is not None
        body = json.loads(ask.stored.body)
        assert (ask.stored.id, ask.stored.model) == (body["id"], "alias")
        assert ask.stored.provider is None
        assert body["output"][0]["content"] == [text_of("Hi")]
        assert json.loads(ask.stored.input)[0]["content"] == [{"type": "input_text", "text": "hi"}]
        unwanted = build_ask(store=False)
        write_response(unwanted, events)
        assert unwanted.stored is None


def test_nothing_is_sent_before_it_is_known_who_answers() -> None:
    """Counts alone are no beginning; an answer of nothing has one all the same."""
    writer = ResponsesWriter(build_ask())
    assert writer.write([Counted(USAGE)]) == b""
    response = check_invariants(split_events(writer.finish()))
    assert response["usage"]["input_tokens"] == 100


def test_what_an_error_must_repeat_is_known_once_there_is_content() -> None:
    """Until then another candidate may begin anew."""
    ask = build_ask()
    writer = ResponsesWriter(ask)
    writer.write([Started("x", "gpt")])
    assert ask.response_id is None
    out = writer.write([Thinking("Hm", "openai")])
    assert ask.response_id is not None
    assert ask.next_number == 2 + out.count(b"\n\n")
    ResponsesWriter(ask)
    assert ask.response_id is None


@pytest.mark.parametrize("piece", ["line\r\nline", "\u2028", '"\\', "\x00", "\U0001f600"])
def test_any_text_is_one_line(piece: str) -> None:
    """An event's data is one line, whatever is said."""
    out = stream(Said(piece), Refused(piece), Thinking(piece, "openai"), Finished("stop"), **SHOWS)
    response = check_invariants(split_events(out))
    assert response["output"][0]["content"][0]["text"] == piece
