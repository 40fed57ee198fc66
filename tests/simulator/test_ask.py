"""Request bodies are read leniently, and refused with the field that is wrong."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import ChatAsk, CompletionAsk, EmbeddingAsk, parse_ask, parse_request_knobs
from proxy.simulator.knobs import Knobs

MESSAGES = [{"role": "user", "content": "hi"}]


def _chat(**more: Any) -> bytes:
    return json.dumps({"model": "sim-echo", "messages": MESSAGES, **more}).encode()


def test_unknown_fields_are_ignored() -> None:
    """What the simulator does not know does no harm, and null is like absence."""
    ask = parse_ask(_chat(brand_new={"x": [1]}, seed=7, stop=None, n=None), ChatAsk)
    assert (ask.choices, ask.stops, ask.limit_tokens) == (1, (), None)


def test_text_is_gathered_from_parts() -> None:
    """The last user message counts; parts that are no text leave nothing."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    parts = [{"type": "text", "text": "look"}, image, {"type": "text", "text": "here"}]
    messages = [
        *MESSAGES,
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None},
    ]
    ask = parse_ask(_chat(messages=messages), ChatAsk)
    assert ask.last_user_text == "look\nhere"


def test_the_newer_limit_wins() -> None:
    """`max_completion_tokens` counts before `max_tokens`."""
    ask = parse_ask(_chat(max_tokens=9, max_completion_tokens=3), ChatAsk)
    assert ask.limit_tokens == 3


def test_stops_are_one_or_several() -> None:
    """`stop` may be a text or a list; empty texts stop nothing."""
    assert parse_ask(_chat(stop="a"), ChatAsk).stops == ("a",)
    assert parse_ask(_chat(stop=["a", "", "b"]), ChatAsk).stops == ("a", "b")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
)
def test_bad_fields_are_named(more: dict[str, Any], param: str) -> None:
    """The refusal's `param` is the path of the field."""
    with pytest.raises(InvalidRequest) as raised:
        parse_ask(_chat(**more), ChatAsk)
    assert raised.value.param == param


def test_a_missing_field_is_named() -> None:
    """A body without messages is told so."""
    with pytest.raises(InvalidRequest, match="messages") as raised:
        parse_ask(b'{"model":"sim-echo"}', ChatAsk)
    assert raised.value.param == "messages"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """Broken JSON, other JSON and bottomless JSON are refused, not fatal."""
    with pytest.raises(InvalidRequest):
        parse_ask(body, ChatAsk)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a b", ("a b",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ("<1> <2>",)),
        ([[1, 2], [3]], ("<1> <2>", "<3>")),
    ],
)
def test_inputs_come_in_four_forms(value: Any, texts: tuple[str, ...]) -> None:
    """Text, texts, token ids and lists of them are all inputs and prompts."""
    embedding = json.dumps({"model": "sim-embed", "input": value}).encode()
    completion = json.dumps({"model": "sim-echo", "prompt": value}).encode()
    assert parse_ask(embedding, EmbeddingAsk).inputs == texts
    assert parse_ask(completion, CompletionAsk).prompts == texts


def test_mixed_inputs_are_refused() -> None:
    """Texts and token ids in one list are nobody's format."""
    ask = parse_ask(b'{"model":"sim-embed","input":["a",1]}', EmbeddingAsk)
    with pytest.raises(InvalidRequest, match="mixes"):
        _ = ask.inputs


def test_metadata_turns_knobs() -> None:
    """`metadata.sim` is read as knobs; other metadata is not looked at."""
    knobs = {"tokens_per_s": 20, "first_token_ms": 5, "fault": "u24-500"}
    ask = parse_ask(_chat(metadata={"team": "blue", "sim": knobs}), ChatAsk)
    assert parse_request_knobs(ask) == Knobs(tokens_per_s=20, first_token_ms=5, fault="u24-500")
    assert parse_request_knobs(parse_ask(_chat(metadata=None), ChatAsk)) == Knobs()


@pytest.mark.parametrize(
    "sim", [{"speed": 1}, {"tokens_per_s": -1}, "fast", {"location": "a\r\nb: c"}]
)
def test_bad_metadata_is_refused(sim: Any) -> None:
    """A knob that does not exist or a bad value is an error, never silently dropped."""
    with pytest.raises(InvalidRequest) as raised:
        parse_request_knobs(parse_ask(_chat(metadata={"sim": sim}), ChatAsk))
    assert raised.value.param == "metadata.sim"
