"""Tests of `proxy/wire/gemini_candidate.py`."""

import json
from typing import Any

import pytest

from proxy.domain.chat import Citation
from proxy.domain.errors import UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogProbs,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.gemini_answer import decode_answer
from proxy.wire.gemini_candidate import MAX_KEPT_CHARACTERS, CandidateReader
from proxy.wire.openai_calls import MAX_CALLS
from tests.wire.gemini_answers import call, candidate, text


def take(*candidates: dict[str, Any]) -> list[Event]:
    """Return what a reader says of these events' candidates, and of their end."""
    reader = CandidateReader(0)
    out: list[Event] = []
    for value in candidates:
        answer = decode_answer(json.dumps({"candidates": [value]}).encode())
        for found in answer.candidates or ():
            reader.take(found, out)
    reader.finish(out)
    return out


def test_text_is_said_as_it_comes() -> None:
    """Each part is one event, empty ones are none."""
    events = take(candidate(text("Hi"), text("")), candidate(text(" you"), finish="STOP"))
    assert events == [Said("Hi"), Said(" you"), Finished("stop", raw="STOP")]


def test_thoughts_end_where_something_else_begins() -> None:
    """They are ended once, with the signature of what came next, and never rendered as text."""
    events = take(
        candidate(text("Let me", thought=True)),
        candidate(text(" see", thought=True)),
        candidate(text("Hi", thoughtSignature="c2ln")),
        candidate(text("", thoughtSignature="bGF0ZQ=="), finish="STOP"),
    )
    assert events == [
        Thinking("Let me", "gemini"),
        Thinking(" see", "gemini"),
        ThoughtEnded("gemini", "c2ln"),
        Said("Hi"),
        Finished("stop", raw="STOP"),
    ]


def test_a_thought_that_nothing_follows_ends_too() -> None:
    """Cut off by a limit, it is closed with the signature that it had itself."""
    events = take(candidate(text("Hm", thought=True, thoughtSignature="c2ln"), finish="MAX_TOKENS"))
    assert events[1:] == [ThoughtEnded("gemini", "c2ln"), Finished("length", raw="MAX_TOKENS")]


def test_a_call_comes_whole() -> None:
    """It has Google's id and signature, its arguments on one line, and ends the answer by calls."""
    events = take(
        candidate(call("f", {"x": [1, 2]}, id="id1", thoughtSignature="c2ln"), finish="STOP")
    )
    assert events == [
        CallStarted(0, "id1", "f", "c2ln"),
        CallArguments(0, '{"x":[1,2]}'),
        CallEnded(0),
        Finished("tool_calls", raw="STOP"),
    ]


def test_calls_are_counted_from_zero_and_get_ids() -> None:
    """Parallel ones, in one event or several, have indices of their own; older models no ids."""
    events = take(candidate(call("f", {}), call("g", {})), candidate(call("h", {}), finish="STOP"))
    started = [event for event in events if isinstance(event, CallStarted)]
    assert [(event.index, event.name) for event in started] == [(0, "f"), (1, "g"), (2, "h")]
    assert len({event.id for event in started}) == 3
    assert all(event.id.startswith("call_") for event in started)


@pytest.mark.parametrize("args", [None, {}])
def test_no_arguments_are_an_empty_object(args: Any) -> None:
    """Google leaves them out; clients parse what they get."""
    events = take(candidate(call("f", args), finish="STOP"))
    assert events[1:3] == [CallArguments(0, "{}"), CallEnded(0)]


def test_arguments_of_null_are_none() -> None:
    """A null says the same as nothing."""
    value = {"content": {"parts": [{"functionCall": {"name": "f", "args": None}}]}}
    assert take(value)[1] == CallArguments(0, "{}")


@pytest.mark.parametrize("args", [[1], "x", 5])
def test_arguments_that_are_no_object_are_refused(args: Any) -> None:
    """No client could do anything with them."""
    value = {"content": {"parts": [{"functionCall": {"name": "f", "args": args}}]}}
    with pytest.raises(UpstreamProtocolError):
        take(value)


def test_a_thought_before_a_call_has_the_calls_signature() -> None:
    """So that a client which keeps thoughts but no signatures of calls can give it back."""
    events = take(
        candidate(text("Hm", thought=True)), candidate(call("f", {}, thoughtSignature="c2ln"))
    )
    assert events[1] == ThoughtEnded("gemini", "c2ln")
    assert isinstance(events[2], CallStarted) and events[2].signature == "c2ln"


def _streamed(**inner: Any) -> dict[str, Any]:
    return {"functionCall": inner}


def test_arguments_that_come_in_pieces_are_put_together() -> None:
    """A call goes on until an empty one ends it, and the next has the next index."""
    events = take(
        candidate(_streamed(name="f", willContinue=True)),
        candidate(
            _streamed(
                partialArgs=[{"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}],
                willContinue=True,
            )
        ),
        candidate(
            _streamed(partialArgs=[{"jsonPath": "$.city", "stringValue": "is"}], willContinue=True)
        ),
        candidate(_streamed()),
        candidate(call("g", {"a": 1}), finish="STOP"),
    )
    assert [type(event) for event in events] == [
        *(CallStarted, CallArguments, CallEnded, CallStarted, CallArguments, CallEnded),
        Finished,
    ]
    assert events[1] == CallArguments(0, '{"city":"Paris"}')
    assert events[4] == CallArguments(1, '{"a":1}')


def test_a_call_in_pieces_that_nothing_ends_ends_with_the_answer() -> None:
    """What there is of its arguments is given."""
    events = take(candidate(_streamed(name="f", willContinue=True), finish="STOP"))
    assert events[1:3] == [CallArguments(0, "{}"), CallEnded(0)]


def test_pieces_of_no_call_are_passed_over() -> None:
    """An end without a begin means nothing."""
    assert take(candidate(_streamed(), finish="STOP")) == [Finished("stop", raw="STOP")]


def test_pieces_that_fit_nowhere_are_refused() -> None:
    """A wrong path is a broken answer, arguments without end one that is too large."""
    begun = candidate(_streamed(name="f", willContinue=True))
    wrong = _streamed(partialArgs=[{"jsonPath": "x", "stringValue": "y"}], willContinue=True)
    with pytest.raises(UpstreamProtocolError):
        take(begun, candidate(wrong))
    long = {"jsonPath": "$.a", "stringValue": "x" * 1_000_000}
    with pytest.raises(UpstreamTooLarge):
        take(begun, candidate(_streamed(partialArgs=[long] * 20, willContinue=True)))


def test_sources_are_told_before_the_end() -> None:
    """Of several reports the last counts, as each holds those before it."""
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8}, "groundingChunkIndices": [0]}
        ],
    }
    events = take(
        candidate(text("in "), groundingMetadata={"groundingChunks": []}),
        candidate(text("Paris"), finish="STOP", groundingMetadata=grounding),
    )
    assert events[2:] == [
        Cited(Citation("https://a.example", "A", None, 3, 8)),
        Finished("stop", raw="STOP"),
    ]


def test_of_long_answers_no_places_are_told() -> None:
    """Text is kept for them only up to a bound."""
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example"}}],
        "groundingSupports": [{"segment": {"endIndex": 3}, "groundingChunkIndices": [0]}],
    }
    events = take(
        candidate(text("x" * (MAX_KEPT_CHARACTERS + 1))),
        candidate(text("y"), finish="STOP", groundingMetadata=grounding),
    )
    assert events[2] == Cited(Citation("https://a.example"))


def test_probabilities_follow_their_text() -> None:
    """They are given as OpenAI writes them."""
    result = {"chosenCandidates": [{"token": "Hi", "logProbability": -0.5}]}
    events = take(candidate(text("Hi"), logprobsResult=result, finish="STOP"))
    assert isinstance(events[1], LogProbs)
    assert json.loads(bytes(events[1].raw))["content"][0]["logprob"] == -0.5


@pytest.mark.parametrize("kind", ["inlineData", "executableCode", "codeExecutionResult", "new"])
def test_parts_of_other_kinds_are_passed_over(kind: str) -> None:
    """Neither a crash nor text comes of them."""
    value = {"content": {"parts": [{kind: {"x": 1}}]}, "finishReason": "STOP"}
    assert take(value) == [Finished("stop", raw="STOP")]


def test_calls_without_end_are_refused() -> None:
    """No answer calls thousands of tools, and each call costs more than it takes to send it."""
    calls = [call("f")] * (MAX_CALLS + 1)
    assert len(take(candidate(*calls[1:]))) > MAX_CALLS
    with pytest.raises(UpstreamTooLarge):
        take(candidate(*calls))
