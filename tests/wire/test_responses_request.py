"""Tests of `proxy/wire/responses_request.py`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.openai_fields import MAX_ITEMS
from proxy.wire.responses_request import parse_ask

LEAST: dict[str, Any] = {"model": "m", "input": "hi"}
OPERATIONS: tuple[Operation, ...] = ("responses", "input_tokens")


def parse(operation: Operation = "responses", **fields: Any) -> Ask:
    kept = {name: value for name, value in (LEAST | fields).items() if value is not ...}
    return parse_ask(operation, json.dumps(kept).encode())


def refused(operation: Operation = "responses", **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        parse(operation, **fields)
    assert "canary" not in found.value.message
    return found.value


def test_the_least_request_is_taken() -> None:
    """Model and input are enough, one answer is due, and usage is always wanted."""
    ask = parse()
    assert (ask.operation, ask.model, ask.choices, ask.streams) == ("responses", "m", 1, False)
    assert ask.wants_usage
    assert ask.session_id is None


def test_a_stream_is_a_stream() -> None:
    """`stream` says whether the answer is one; tokens are counted at once."""
    assert parse(stream=True).streams
    assert not parse(stream=None).streams
    assert not parse("input_tokens", stream=True).streams


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
@settings(max_examples=30)
def test_fields_that_we_do_not_know_are_kept_as_they_came(more: dict[str, Any]) -> None:
    """Tomorrow's options reach the provider byte by byte."""
    unknown = {f"x-{name}": value for name, value in more.items()}
    ask = parse(**unknown)
    assert {name: json.loads(bytes(raw)) for name, raw in ask.fields.items()} == LEAST | unknown


def test_what_is_for_this_proxy_is_taken_out() -> None:
    """Other names to try are ours, and so is what a client calls its conversation."""
    ask = parse(models=["m", "n"], fallbacks=["o"], metadata={"session_id": "s1", "a": "b"})
    assert ask.fallbacks == ("n", "o")
    assert ask.session_id == "s1"
    assert set(ask.fields) == {"model", "input", "metadata"}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("value", [..., None])
def test_without_an_input_there_is_nothing_to_answer(operation: Operation, value: Any) -> None:
    """Unless an earlier response is gone on from, or a prompt says it."""
    assert refused(operation, input=value).param == "input"
    parse(operation, input=value, previous_response_id="resp_1")
    parse(operation, input=value, prompt={"id": "pmpt_1"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", True),
        ("conversation", "conv_1"),
        ("conversation", {"id": "conv_1"}),
        ("api_key", "k"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(field: str, value: Any) -> None:
    """Whoever would answer, and so before anybody is asked."""
    error = refused(**{field: value})
    assert (error.param, error.code) == (field, "unsupported_parameter")


def test_what_says_no_is_no_wish() -> None:
    """Some clients send each field there is."""
    parse(background=False, conversation=None, previous_response_id=None, truncation=None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", 1),
        ("input", {"role": "user"}),
        ("input", ["canary"]),
        ("input", [{}] * (MAX_ITEMS + 1)),
        ("background", "yes"),
        ("stream", "yes"),
        ("store", 1),
        ("instructions", ["canary"]),
        ("previous_response_id", 1),
        ("previous_response_id", ""),
        ("previous_response_id", "r" * 257),
        ("parallel_tool_calls", "no"),
        ("max_output_tokens", 0),
        ("max_output_tokens", "8"),
        ("max_tool_calls", 0),
        ("temperature", 3),
        ("top_p", -1),
        ("top_logprobs", 21),
        ("top_logprobs", -1),
        ("truncation", "canary"),
        ("tools", {}),
        ("tools", ["canary"]),
        ("tool_choice", 1),
        ("text", "canary"),
        ("reasoning", "high"),
        ("metadata", []),
        ("include", "canary"),
        ("include", [1]),
        ("stream_options", 1),
        ("prompt", "canary"),
        ("user", 1),
        ("safety_identifier", 1),
        ("model", ""),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(field: str, value: Any) -> None:
    """The error says which field it is, and repeats nothing of it."""
    assert refused(**{field: value}).param == field


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"model": "m"', b"\xff"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """No field is to blame."""
    with pytest.raises(InvalidRequest) as refusal:
        parse_ask("responses", body)
    assert refusal.value.param is None
