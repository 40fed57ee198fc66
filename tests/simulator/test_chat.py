"""Chat completions have OpenAI's form, whole and in chunks, and both say the same."""

import json

import pytest

from tests.simulator.asking import NOW, WEATHER, answer_of, chat_plan, chunks_of, text_of


def test_a_whole_answer_has_every_field() -> None:
    """Id, object, time, model, message, finish reason and usage are there."""
    answer = answer_of(chat_plan("sim-echo", "one two"))
    assert answer["id"].startswith("chatcmpl-")
    assert (answer["object"], answer["created"]) == ("chat.completion", NOW)
    assert answer["model"] == "sim-echo"
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "one two", "refusal": None}
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    assert answer["usage"]["total_tokens"] == 4


def test_chunks_come_in_order() -> None:
    """Role alone, one token each, finish alone; same id, time and model in all."""
    chunks = chunks_of(chat_plan("sim-echo", "one two", stream=True))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "one"},
        {"content": " two"},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in chunks}) == 1
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_when_asked_for() -> None:
    """With `include_usage` all chunks say null but a last one without choices."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *others, last = chunks_of(chat_plan("sim-echo", "one two", **options))
    assert {chunk["usage"] for chunk in others} == {None}
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2


def test_choices_are_interleaved() -> None:
    """With `n` each choice has its role, its own text, and its finish."""
    chunks = chunks_of(chat_plan("sim-story@0tps,0ms", stream=True, n=3))
    assert [chunk["choices"][0]["index"] for chunk in chunks[:6]] == [0, 1, 2, 0, 1, 2]
    assert len({text_of(chunks, index) for index in range(3)}) == 3
    finished = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert finished == [0, 1, 2]


@pytest.mark.parametrize("n", [1, 2])
def test_streams_and_whole_answers_say_the_same(n: int) -> None:
    """The joined chunks are the message of the same seed's whole answer."""
    format_ = {"type": "json_object"}
    for more in ({}, {"max_tokens": 3}, {"stop": ["two"]}, {"response_format": format_}):
        whole = answer_of(chat_plan("sim-echo", "one two three four", n=n, **more))
        chunks = chunks_of(chat_plan("sim-echo", "one two three four", n=n, stream=True, **more))
        for choice in whole["choices"]:
            assert text_of(chunks, choice["index"]) == choice["message"]["content"]


def test_tool_calls_are_streamed_in_fragments() -> None:
    """Id and name come once and first, then the arguments in pieces that make JSON."""
    chunks = chunks_of(chat_plan("sim-tools", stream=True, tools=[WEATHER]))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["id"].startswith("call_")
    assert calls[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert all(set(call) == {"index", "function"} for call in calls[1:])
    arguments = json.loads("".join([call["function"]["arguments"] for call in calls]))
    assert arguments["city"] == "Lisbon"
    assert arguments["unit"] in ("c", "f")
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_tool_call_has_no_content() -> None:
    """A message with a tool call has content null."""
    message = answer_of(chat_plan("sim-tools", tools=[WEATHER]))["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["type"] == "function"


def test_thoughts_refusals_and_cached_tokens_have_their_fields() -> None:
    """`reasoning_content`, `refusal` and the details of usage say what the knobs asked for."""
    thinking = answer_of(chat_plan("sim-echo@2thoughts,1cached", "one two"))
    assert thinking["choices"][0]["message"]["reasoning_content"] == " Let me"
    usage = thinking["usage"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert usage["prompt_tokens_details"] == {"cached_tokens": 1}
    assert usage["completion_tokens"] == 4
    message = answer_of(chat_plan("sim-refuse"))["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I cannot help with that.")
    chunks = chunks_of(chat_plan("sim-refuse", stream=True))
    parts = [chunk["choices"][0]["delta"].get("refusal") or "" for chunk in chunks]
    assert "".join(parts) == message["refusal"]


def test_several_calls_have_an_index_each() -> None:
    """Calls of one turn follow each other in a stream, each begun once under its own index."""
    chunks = chunks_of(chat_plan("sim-tools@2calls", tools=[WEATHER], stream=True))
    calls = [c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls if "id" in call] == [0, 1]
    message = answer_of(chat_plan("sim-tools@2calls", tools=[WEATHER]))["choices"][0]["message"]
    assert len(message["tool_calls"]) == 2
