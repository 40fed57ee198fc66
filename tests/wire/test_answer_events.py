"""A JSON answer told as a stream."""

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from proxy.domain.errors import UpstreamProtocolError
from proxy.wire.answer_events import build_answer_events
from proxy.wire.base import Ask
from proxy.wire.openai_stream import OpenAIStream
from tests.wire.chunks import DONE, USAGE
from tests.wire.splits import read_all

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "b"}'}}
MESSAGE = {"role": "assistant", "content": "Hi \u2013 you", "refusal": None}


def answer(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": list(choices),
        "usage": USAGE,
    } | more


def choice(message: dict[str, Any], reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": message, "finish_reason": reason} | more


def told(value: object, operation: Any = "chat", **asked: Any) -> bytes:
    ask = Ask(operation, "m", {}, streams=True, **asked)
    events = build_answer_events(ask, json.dumps(value, indent=1).encode())
    reader = OpenAIStream(ask, 1 << 20)
    assert read_all(reader, [events]) == events
    assert reader.error is None and reader.is_complete
    return events


def values(events: bytes) -> list[Any]:
    lines = events.removesuffix(DONE).split(b"\n\n")[:-1]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def test_an_answer_becomes_its_delta_its_finish_and_done() -> None:
    """One event says all, one ends the choice; head fields stay and nulls are left out."""
    first, last = values(told(answer(choice(MESSAGE, logprobs=None), system_fingerprint="fp")))
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    head["system_fingerprint"] = "fp"
    delta = {"role": "assistant", "content": "Hi \u2013 you"}
    assert first == head | {
        "choices": [{"index": 0, "logprobs": None, "delta": delta, "finish_reason": None}]
    }
    assert last == head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def test_an_sdk_makes_the_answer_of_it_again() -> None:
    """OpenAI's own accumulator ends with the message, calls and reasons of the answer."""
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "c2"}]}
    value = answer(choice(calling, "tool_calls"), choice(MESSAGE, index=1))
    state: Any = ChatCompletionStreamState()
    for event in values(told(value, wants_usage=True, choices=2)):
        state.handle_chunk(ChatCompletionChunk.model_validate(event))
    made = state.get_final_completion()
    assert [made.choices[n].finish_reason for n in (0, 1)] == ["tool_calls", "stop"]
    assert [call.id for call in made.choices[0].message.tool_calls] == ["c1", "c2"]
    assert made.choices[0].message.tool_calls[1].function.arguments == '{"a": "b"}'
    assert made.choices[1].message.content == "Hi \u2013 you"
    assert made.usage.total_tokens == USAGE["total_tokens"]


@pytest.mark.parametrize("asked", [{"wants_usage": True}, {"keeps_chunk_usage": True}], ids=str)
def test_usage_is_told_to_who_asked(asked: dict[str, bool]) -> None:
    """A chunk without choices, the last before `[DONE]`; nobody else sees any."""
    *_, last = values(told(answer(choice(MESSAGE)), **asked))
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert b"usage" not in told(answer(choice(MESSAGE)))
    assert b"usage" not in told(answer(choice(MESSAGE), usage=None), **asked)


def test_a_completion_stays_one() -> None:
    """Texts of legacy completions keep their object and their own fields."""
    value = answer({"index": 0, "text": "abc", "finish_reason": "length"}, object="text_completion")
    first, last = values(told(value, "completions"))
    assert first["object"] == last["object"] == "text_completion"
    assert first["choices"] == [{"index": 0, "text": "abc", "finish_reason": None}]
    assert (last["choices"][0]["text"], last["choices"][0]["finish_reason"]) == ("", "length")


def test_what_an_answer_left_out_is_filled_in() -> None:
    """Index and finish reason are there for every choice, whatever the provider named."""
    value = answer({"message": MESSAGE}, {"message": {"tool_calls": [CALL]}, "finish_reason": None})
    events = values(told(value, choices=2))
    found = [(e["choices"][0]["index"], e["choices"][0]["finish_reason"]) for e in events]
    assert found == [(0, None), (1, None), (0, "stop"), (1, "tool_calls")]
    assert events[1]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **CALL}]


@pytest.mark.parametrize("given", [(0, 0), (None, 1), ("0", "1"), (-1, 0), (1.5, 2), (2**70, 0)])
def test_choices_that_their_numbers_do_not_tell_apart_are_numbered(given: tuple[Any, Any]) -> None:
    """No client mixes two choices up, or meets an index that is none."""
    value = answer(*(choice(MESSAGE, index=index) for index in given))
    found = [event["choices"][0]["index"] for event in values(told(value, choices=2))]
    assert found == [0, 1, 0, 1]


def test_choices_keep_the_numbers_that_tell_them_apart() -> None:
    """An answer whose choices came in another order is not numbered anew."""
    value = answer(choice(MESSAGE, index=1), choice(MESSAGE, index=0))
    found = [event["choices"][0]["index"] for event in values(told(value, choices=2))]
    assert found == [1, 0, 1, 0]


def test_calls_are_numbered_by_their_order() -> None:
    """What a provider wrote as a call's index in a whole answer does not matter."""
    calls = [CALL | {"index": 0}, CALL | {"index": 0}, CALL | {"index": None}]
    first, _ = values(told(answer(choice({"role": "assistant", "tool_calls": calls}))))
    assert [call["index"] for call in first["choices"][0]["delta"]["tool_calls"]] == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [
        answer({"message": [1]}),
        answer({"message": {"tool_calls": "odd"}}),
        answer({"message": {"tool_calls": [1]}}),
    ],
)
def test_members_that_must_be_objects_and_are_none_are_refused(value: object) -> None:
    """What cannot be told as a stream is a fault of the provider."""
    with pytest.raises(UpstreamProtocolError):
        told(value)
