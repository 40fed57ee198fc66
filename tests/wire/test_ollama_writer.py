"""Answers as Ollama's clients get them: lines and objects, with times, counts and calls."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import InvalidRequest, UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
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
from proxy.domain.exchange import Operation
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.ollama_request import parse_ask
from proxy.wire.ollama_writer import (
    OllamaWriter,
    build_call,
    build_error_body,
    build_load,
    format_time,
    write_ollama_answer,
)

EVENTS: list[Event] = [
    Started("id", "real-model"),
    Thinking("hm", "openai"),
    ThoughtEnded("openai"),
    Said("Hi"),
    Said("not asked for", choice=1),
    LogProbs(Raw(b'{"content":[{"token":"Hi","logprob":-1}]}')),
    CallStarted(0, "c1", "f"),
    CallArguments(0, '{"a":'),
    CallArguments(0, "1}"),
    CallEnded(0),
    Finished("tool_calls"),
    Counted(Usage(4, 6)),
]
CALL = {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}
PROBS = [{"token": "Hi", "logprob": -1}]


def ask_for(operation: Operation = "ollama_chat", **fields: Any) -> Ask:
    ask = parse_ask(operation, json.dumps({"model": "m", **fields}).encode())
    ask.asked_at = 1_760_000_000
    times = iter([0.25, 0.25, *[0.5] * 50])
    ask.measure_s = lambda: next(times)
    return ask


def follow(ask: Ask, events: list[Event] = EVENTS) -> list[Any]:
    writer = OllamaWriter(ask)
    body = writer.write(events) + writer.finish()
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def test_a_stream_is_a_line_for_each_thing_that_is_said() -> None:
    """Calls come whole; the last line has the reason, the counts and the times."""
    said = follow(ask_for())
    assert [line["message"] for line in said] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "assistant", "content": ""},
    ]
    assert said[2]["logprobs"] == PROBS
    assert [line["done"] for line in said] == [False] * 4 + [True]
    assert {line["model"] for line in said} == {"real-model"}
    assert said[0]["created_at"] == "2025-10-09T08:53:20.250000Z"
    assert said[-1] | {"message": None, "created_at": None, "model": None} == {
        "model": None,
        "created_at": None,
        "message": None,
        "done": True,
        "done_reason": "stop",
        "total_duration": 500_000_000,
        "load_duration": 0,
        "prompt_eval_count": 4,
        "prompt_eval_duration": 250_000_000,
        "eval_count": 6,
        "eval_duration": 250_000_000,
    }


def test_a_line_of_text_is_written_like_any_other() -> None:
    """Most lines are text alone and take a shorter way: the same comes of it, to the byte."""
    for ask in (ask_for("ollama_chat"), ask_for("ollama_generate")):
        ask.measure_s = lambda: 0.25
        writer = OllamaWriter(ask)
        for text in ("a", 'é "\u2028\n', ""):
            first, *rest = [writer.write([Said(text)]) for _ in range(3)]
            assert rest == [first, first]
        # Whoever has answered is told by name from then on.
        later = json.loads(writer.write([Started(None, "other"), Said("b")]))
        assert later["model"] == "other"


def test_generated_text_stands_in_response_and_knows_no_calls() -> None:
    """The other endpoint has no message around it."""
    said = follow(ask_for("ollama_generate"))
    assert [line["response"] for line in said] == ["", "Hi", "", ""]
    assert said[0]["thinking"] == "hm"
    assert not any("tool_calls" in line or "message" in line for line in said)


def test_a_whole_answer_says_all_of_it() -> None:
    """It is the same as the stream, in one object."""
    answer = json.loads(write_ollama_answer(ask_for(), EVENTS))
    assert answer["message"] == {
        "role": "assistant",
        "content": "Hi",
        "thinking": "hm",
        "tool_calls": [CALL],
    }
    assert (answer["done"], answer["logprobs"], answer["model"]) == (True, PROBS, "real-model")
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (4, 6)
    generated = json.loads(write_ollama_answer(ask_for("ollama_generate"), EVENTS))
    assert (generated["response"], generated["thinking"]) == ("Hi", "hm")


@pytest.mark.parametrize(
    ("reason", "word"), [("stop", "stop"), ("length", "length"), ("content_filter", "stop")]
)
def test_an_end_has_one_of_ollamas_words(reason: Any, word: str) -> None:
    """A refusal's words are text, since there is no other place for them."""
    events: list[Event] = [Refused("no"), Finished(reason)]
    last = follow(ask_for(), events)
    assert [line["message"]["content"] for line in last] == ["no", ""]
    assert last[-1]["done_reason"] == word
    assert json.loads(write_ollama_answer(ask_for(), events))["done_reason"] == word


@pytest.mark.parametrize(
    ("arguments", "value"),
    [("", {}), ('{"a": 1}', {"a": 1}), ('{"a":', {"INVALID_JSON": '{"a":'})],
)
def test_arguments_are_an_object_whatever_came(arguments: str, value: Any) -> None:
    """What a limit has cut off is shown, and not lost."""
    call = json.loads(json.dumps(build_call(0, "c", "f", "{}"), default=lambda raw: None))
    assert call["function"]["name"] == "f"
    events: list[Event] = [CallStarted(0, "c", "f"), CallArguments(0, arguments), CallEnded(0)]
    (made,) = follow(ask_for(), [*events, Finished("stop")])[0]["message"]["tool_calls"]
    assert made["function"]["arguments"] == value


def test_a_call_without_end_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments take room until their call is whole; calls that have ended give it back."""
    monkeypatch.setattr("proxy.wire.ollama_writer.MAX_HELD_CHARACTERS", 8)
    writer = OllamaWriter(ask_for())
    for index in range(3):
        whole: list[Event] = [
            CallStarted(index, "c", "f"),
            CallArguments(index, '{"a":1}'),
            CallEnded(index),
        ]
        assert writer.write(whole)
    with pytest.raises(UpstreamTooLarge):
        writer.write([CallStarted(3, "c", "f"), CallArguments(3, '{"a":"...')])


@pytest.mark.parametrize(
    ("keep_alive", "reason"), [(0, "unload"), ("0s", "unload"), ("5m", "load"), (None, "load")]
)
def test_a_load_is_answered_as_done(keep_alive: Any, reason: str) -> None:
    """With no time to keep the model it is let go of, with any other it is loaded."""
    answer = json.loads(build_load(ask_for("ollama_generate", keep_alive=keep_alive)))
    assert (answer["response"], answer["done"], answer["done_reason"]) == ("", True, reason)


def test_an_error_is_a_text() -> None:
    """Its code and its field stand beside it, where there are any."""
    body = build_error_body(InvalidRequest("No.", param="x"))
    assert json.loads(body) == {"error": "No.", "param": "x"}
    assert format_time(0.5) == "1970-01-01T00:00:00.500000Z"
