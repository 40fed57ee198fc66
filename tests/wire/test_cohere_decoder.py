"""Tests of `proxy/wire/cohere_decoder.py`: what each event of Cohere's says."""

import json
from typing import Any

import pytest

from proxy.domain import errors as e
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
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.cohere_decoder import CohereDecoder
from proxy.wire.openai_calls import MAX_CALLS
from tests.wire.cohere_answers import ID, START, call, content, end, whole


def decode(*events: dict[str, Any]) -> list[Event]:
    """Return what the events of a stream say behind its start."""
    decoder = CohereDecoder()
    said = [
        each for event in (START, *events) for each in decoder.decode(json.dumps(event).encode())
    ]
    assert said[0] == Started(ID)
    return said[1:]


def plan(text: str) -> dict[str, Any]:
    return {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}}


def cited(start: int, index: int = 0) -> dict[str, Any]:
    source = {"type": "document", "id": "d", "document": {}}
    citation = {"start": start, "end": start + 1, "sources": [source], "content_index": index}
    return {"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}


def test_a_plan_and_a_thought_are_thoughts() -> None:
    """Both come before what is said or called, and each is over when that begins."""
    assert decode(plan("I "), plan("look."), call("tool-call-start", name="now")) == [
        Thinking("I ", "openai"),
        Thinking("look.", "openai"),
        ThoughtEnded("openai"),
        CallStarted(0, "c0", "now"),
    ]
    assert decode(
        content("thinking", "", "content-start"),
        content("thinking", "hm"),
        {"type": "content-end", "index": 0},
        content("text", "A", "content-start", 1),
        content("text", "b", index=1),
    ) == [Thinking("hm", "openai"), ThoughtEnded("openai"), Said("A"), Said("b")]


@pytest.mark.parametrize("pieces", [(), ("",), ("null",), ("nu", "ll"), (" ", "null ")], ids=str)
def test_a_call_without_arguments_has_an_empty_object(pieces: tuple[str, ...]) -> None:
    """Cohere sends none at all, or the text null."""
    events = [call("tool-call-delta", arguments=piece) for piece in pieces]
    begin = call("tool-call-start", name="now", arguments="")
    assert decode(begin, *events, {"type": "tool-call-end", "index": 0}) == [
        CallStarted(0, "c0", "now"),
        CallArguments(0, "{}"),
        CallEnded(0),
    ]


def test_arguments_are_told_as_they_come() -> None:
    """Also those that come with the beginning, or look like none at first."""
    events = [call("tool-call-delta", arguments=piece) for piece in ('"a"', ":null", "}")]
    assert decode(call("tool-call-start", name="f", arguments="{"), *events)[1:] == [
        CallArguments(0, piece) for piece in ("{", '"a"', ":null", "}")
    ]
    odd = [call("tool-call-delta", arguments=piece) for piece in ("nul", "lity")]
    assert decode(call("tool-call-start", name="f"), *odd)[1:] == [CallArguments(0, "nullity")]


def test_blanks_before_arguments_are_not_held() -> None:
    """There may be any number of them, in any number of events, and they cost nothing."""
    blank = call("tool-call-delta", arguments=" " * 1000)
    begun = call("tool-call-delta", arguments=' {"a"')
    said = decode(call("tool-call-start", name="f"), *[blank] * 50, begun, blank)
    assert said[1:] == [CallArguments(0, ' {"a"'), CallArguments(0, " " * 1000)]


def test_a_call_ends_where_the_next_begins() -> None:
    """Calls never overlap, and the end of the answer ends the last."""
    said = decode(
        call("tool-call-start", name="a"),
        call("tool-call-start", 1, name="b", arguments="{}"),
        end("TOOL_CALL"),
    )
    assert said == [
        CallStarted(0, "c0", "a"),
        CallArguments(0, "{}"),
        CallEnded(0),
        CallStarted(1, "c1", "b"),
        CallArguments(1, "{}"),
        CallEnded(1),
        Counted(Usage(9, 11)),
        Finished("tool_calls", raw="TOOL_CALL"),
    ]


def test_a_call_without_an_id_gets_one() -> None:
    """Results are given to calls by their ids."""
    begin = call("tool-call-start", name="a")
    del begin["delta"]["message"]["tool_calls"]["id"]
    (started,) = decode(begin)
    assert isinstance(started, CallStarted) and started.id.startswith("call_")


def test_sources_stand_in_the_whole_text() -> None:
    """Positions in a later block count what was said before it, and nothing that was thought."""
    said = decode(
        content("thinking", "hmm", "content-start"),
        content("text", "ab", "content-start", 1),
        content("text", "cd", "content-start", 2),
        cited(1, 2),
        {"type": "citation-end", "index": 0},
    )
    (found,) = [event.citation for event in said if isinstance(event, Cited)]
    assert (found.start, found.end) == (3, 4)


def test_log_probabilities_follow_their_text() -> None:
    """They stand beside the delta."""
    event = content("text", "a") | {"logprobs": {"text": "a", "logprobs": [-1.0]}}
    said, told = decode(event)
    assert said == Said("a") and isinstance(told, LogProbs)


def test_what_is_new_is_passed_over() -> None:
    """Events of other types, and such as say nothing, cost nothing."""
    assert decode({"type": "debug", "prompt": {"a": 1}}, {"type": "x", "delta": 3}, {}) == []
    assert decode({"error": False}, {"error": None, "message": {"a": 1}}) == []
    assert decode({"type": "content-end"}, {"type": "tool-call-end"}, plan("")) == []


def test_usage_that_cannot_be_billed_is_set_aside() -> None:
    """The answer is good all the same."""
    decoder = CohereDecoder()
    odd = end(usage={"tokens": {"input_tokens": -1, "output_tokens": 1}})
    said = decoder.decode(json.dumps(odd).encode())
    assert said == [Started(), Finished("stop", raw="COMPLETE")]
    assert decoder.anomalies == {"usage_anomaly"} and decoder.is_over


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (end("ERROR"), e.UpstreamServerError),
        (end("TIMEOUT"), e.UpstreamTimeout),
        (end("USER_CANCEL"), e.UpstreamTruncated),
        (end(None), e.UpstreamTruncated),
        (end("ERROR", error="boom"), e.UpstreamServerError),
        (end("COMPLETE", error="too many tokens: 9"), e.UpstreamRejected),
        ({"message": "boom"}, e.UpstreamServerError),
        ({"id": "x", "message": "too many tokens: 9"}, e.UpstreamRejected),
        ({"error": {"message": "m", "code": 429}}, e.UpstreamRateLimited),
        ({"type": "message-end", "delta": 3}, e.UpstreamProtocolError),
        ({"type": "content-start"}, None),
        ({"type": "content-delta", "delta": {"message": {"content": 3}}}, e.UpstreamProtocolError),
        (call("tool-call-delta", arguments="x"), e.UpstreamProtocolError),
        (call("tool-call-start"), e.UpstreamProtocolError),
        ({"type": "tool-call-start"}, None),
        ({"type": ["x"]}, None),
    ],
    ids=str,
)
def test_what_cannot_be_is_an_error(event: Any, kind: type[e.UpstreamError] | None) -> None:
    """Errors are of their class, and what has not the shape that we know is malformed."""
    with pytest.raises(kind or (e.UpstreamProtocolError, ValueError)):
        decode(event)


def test_there_is_an_end_to_calls() -> None:
    """A provider cannot have any number of them kept."""
    decoder = CohereDecoder()
    data = json.dumps(call("tool-call-start", name="f")).encode()
    for _ in range(MAX_CALLS):
        decoder.decode(data)
    with pytest.raises(e.UpstreamTooLarge):
        decoder.decode(data)


def test_a_whole_answer_says_all_of_it() -> None:
    """Plan, thought, text, sources and calls, in that order, and how it ended."""
    citation = {"start": 0, "end": 1, "sources": [{"type": "document", "id": "d"}]}
    answer = whole(
        "TOOL_CALL",
        tool_plan="I look.",
        content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A"}],
        tool_calls=[{"id": "c0", "function": {"name": "now", "arguments": "null"}}],
        citations=[citation],
    )
    kinds = [type(event) for event in CohereDecoder().decode_answer(json.dumps(answer).encode())]
    assert kinds == [
        *(Started, Thinking, ThoughtEnded, Thinking, ThoughtEnded, Said, Cited),
        *(CallStarted, CallArguments, CallEnded, Counted, Finished),
    ]


def test_content_may_be_a_string_or_nothing() -> None:
    """Some servers of the format say it plainly."""
    for text, said in (("hi", [Said("hi")]), (None, []), ("", [])):
        body = json.dumps(whole(content=text)).encode()
        assert CohereDecoder().decode_answer(body)[1:-2] == said


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"message": "boom"}, e.UpstreamServerError),
        ({"error": "boom"}, e.UpstreamServerError),
        ({}, e.UpstreamProtocolError),
        ({"message": None, "finish_reason": "COMPLETE"}, e.UpstreamProtocolError),
        (whole(None, content=[]), e.UpstreamTruncated),
        (whole("ERROR", content=[]), e.UpstreamServerError),
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_an_error(answer: Any, kind: type[e.UpstreamError]) -> None:
    """Status 200 alone is no success."""
    with pytest.raises(kind):
        CohereDecoder().decode_answer(json.dumps(answer).encode())
