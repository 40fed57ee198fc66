"""Tests of `proxy/wire/openai_completions.py`: legacy completions by providers that only chat."""

import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types import Completion

from proxy.domain.chat import ChatRequest, Message, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.events import (
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.base import Ask
from proxy.wire.openai_completions import CompletionChunks, read_completion, write_completion
from proxy.wire.openai_request import parse_ask
from tests.wire.answers import COUNTED, TEXT, values, with_calls

TOKENS = [
    {"token": "Hi", "logprob": -0.1, "top_logprobs": [{"token": "Ho", "logprob": -2.0}]},
    {"token": "!", "logprob": -0.2},
]


def read(**fields: Any) -> ChatRequest:
    """The chat of a completion."""
    body = json.dumps({"model": "m", "prompt": "hi", **fields}).encode()
    return read_completion(parse_ask("completions", body))


def streamed(*events: Event, **asked: Any) -> list[Any]:
    """The chunks of an answer, each checked strictly."""
    ask = Ask("completions", "alias", {}, streams=True, asked_at=5, **asked)
    writer = CompletionChunks(ask)
    found = values(writer.write(events) + writer.finish())
    for value in found:
        for choice in value["choices"]:
            # The SDK has one type for whole completions and their pieces.
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(value)
    return found


def written(*events: Event) -> Completion:
    """A whole answer as the SDK's type, which is checked strictly."""
    ask = Ask("completions", "alias", {}, asked_at=5)
    return Completion.model_validate_json(write_completion(ask, events))


@pytest.mark.parametrize("prompt", ["hi", ["hi"]])
def test_a_prompt_is_one_message_of_the_user(prompt: Any) -> None:
    """A text, alone or in a list of one, is what the user says."""
    chat = read(prompt=prompt, max_tokens=5, stop="x", seed=1, n=2, x_new=1)
    assert chat.messages == (Message("user", (Text("hi"),)),)
    assert (chat.max_tokens, chat.stop, chat.seed, chat.choices) == (5, ("x",), 1, 2)
    assert chat.extra == {"x_new": Raw(b"1")}


@pytest.mark.parametrize(("asked", "count"), [(None, None), (0, 0), (3, 3), (50, 20), (-1, 0)])
def test_log_probabilities_are_as_many_as_a_chat_has(asked: int | None, count: int | None) -> None:
    """A completion counts them where a chat has a switch and a count."""
    assert read(logprobs=asked).log_probs == count


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
    ],
)
def test_what_no_chat_has_is_refused(fields: dict[str, Any], param: str) -> None:
    """It would be another answer without it, so it is never left out."""
    with pytest.raises(NotOffered) as refusal:
        read(**fields)
    assert (refusal.value.param, refusal.value.code) == (param, "unsupported_parameter")
    assert refusal.value.status == 400


def test_what_asks_for_nothing_is_no_reason_to_refuse() -> None:
    """The same fields with values that mean nothing are passed over."""
    chat = read(echo=False, suffix="", best_of=1, logit_bias=None)
    assert chat == ChatRequest((Message("user", (Text("hi"),)),))
    assert read(best_of=2, n=2).choices == 2


@pytest.mark.parametrize("fields", [{"echo": "x"}, {"best_of": "x"}, {"logprobs": True}])
def test_a_wrong_type_is_named(fields: dict[str, Any]) -> None:
    """A value that cannot be read is refused by its name."""
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)
    assert refusal.value.param == next(iter(fields))
    assert not isinstance(refusal.value, NotOffered)


def test_a_stream_is_pieces_of_text_and_an_end() -> None:
    """All chunks have one head; the last of the choice has its reason; usage comes if asked."""
    found = streamed(*TEXT, wants_usage=True)
    heads = {(each["id"], each["object"], each["model"], each["created"]) for each in found}
    assert heads == {("a-1", "text_completion", "model-1", 1700000000)}
    assert [each["choices"][0]["text"] for each in found[:-1]] == ["Hi ", "there \u2013 é", ""]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] == 52
    assert streamed(*TEXT) == found[:-1]


def test_reasons_ride_on_the_last_chunk_only() -> None:
    """Before the end there is no reason."""
    writer = CompletionChunks(Ask("completions", "m", {}, streams=True))
    stream = writer.write([Said("a"), Finished("length")]) + writer.finish()
    assert [each["choices"][0]["finish_reason"] for each in values(stream)] == [None, "length"]


def test_thoughts_and_calls_have_no_place() -> None:
    """A completion is text: what is none is not shown, and calls are an ordinary end."""
    thought: list[Event] = [Thinking("Hm", "openai"), ThoughtEnded("openai")]
    found = streamed(*with_calls(*thought, Said("Hi")))
    assert [each["choices"][0]["text"] for each in found] == ["Hi", ""]
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert written(*with_calls(*thought)).choices[0].finish_reason == "stop"


def test_a_refusal_is_text() -> None:
    """The words by which a model declines are what the client reads."""
    assert streamed(Refused("No"), Finished("content_filter"))[0]["choices"][0]["text"] == "No"
    choice = written(Refused("No"), Finished("content_filter")).choices[0]
    assert (choice.text, choice.finish_reason) == ("No", "content_filter")


def test_log_probabilities_have_the_form_of_a_completion() -> None:
    """Tokens, their probabilities, alternatives and places stand in four lists."""
    raw = LogProbs(Raw(json.dumps({"content": TOKENS}).encode()))
    answer = written(Said("Hi!"), raw, Finished("stop"))
    log_probs = answer.choices[0].logprobs
    assert log_probs is not None
    assert log_probs.to_dict() == {
        "tokens": ["Hi", "!"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"Ho": -2.0}, {}],
        "text_offset": [0, 2],
    }


def test_places_of_tokens_go_on_through_a_stream() -> None:
    """Each chunk's tokens stand behind those before it, choice by choice."""
    raw = Raw(json.dumps({"content": TOKENS}).encode())
    found = streamed(LogProbs(raw), LogProbs(raw), LogProbs(raw, 1), Finished("stop"))
    places = [each["choices"][0]["logprobs"]["text_offset"] for each in found[:3]]
    assert places == [[0, 2], [3, 5], [0, 2]]


def test_a_whole_answer_is_one_text_for_each_choice() -> None:
    """Head, texts, reasons and usage are where the SDK has them."""
    answer = written(Said("b", 1), Said("a"), Finished("stop"), Finished("length", 1), COUNTED)
    assert answer.id.startswith("cmpl-")
    assert (answer.model, answer.created) == ("alias", 5)
    found = [(choice.index, choice.text, choice.finish_reason) for choice in answer.choices]
    assert found == [(0, "a", "stop"), (1, "b", "length")]
    assert answer.usage is not None and answer.usage.total_tokens == 52


@pytest.mark.parametrize("tokens", [[None], [{}], [{"token": 5}], ["x"]])
def test_probabilities_of_no_known_shape_cost_nobody_the_answer(tokens: Any) -> None:
    """They are passed over: in a stream, and in a whole answer."""
    odd = LogProbs(Raw(json.dumps({"content": tokens}).encode()))
    events = (Said("Hi"), odd, Finished("stop"))
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed(*events)) == "Hi"
    assert written(*events).choices[0].text == "Hi"
