"""Tests of `proxy/wire/anthropic_request.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.anthropic_request import parse_ask
from proxy.wire.base import Ask

LEAST: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 8,
}
OPERATIONS: tuple[Operation, ...] = ("messages", "count_tokens")


def parse(operation: Operation = "messages", **fields: Any) -> Ask:
    kept = {name: value for name, value in (LEAST | fields).items() if value is not ...}
    return parse_ask(operation, json.dumps(kept).encode(), {})


def refused(operation: Operation = "messages", **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        parse(operation, **fields)
    assert "canary" not in found.value.message
    return found.value


def test_the_least_request_is_taken() -> None:
    """Model, messages and max_tokens are enough, and usage is always wanted."""
    ask = parse()
    assert (ask.operation, ask.model, ask.choices, ask.streams) == ("messages", "m", 1, False)
    assert ask.wants_usage
    assert ask.session_id is None
    assert ask.passed_headers == {}


def test_to_count_tokens_no_limit_is_needed_and_nothing_streams() -> None:
    """Whoever only wants to know how long a prompt is asks for no answer."""
    ask = parse("count_tokens", max_tokens=..., stream=True)
    assert (ask.operation, ask.streams) == ("count_tokens", False)


def test_a_stream_is_a_stream() -> None:
    """`stream` says whether the answer is one."""
    assert parse(stream=True).streams
    assert not parse(stream=None).streams
    assert not parse(stream=False).streams


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_fields_that_we_do_not_know_are_kept_as_they_came(more: dict[str, Any]) -> None:
    """Tomorrow's options reach the provider byte by byte."""
    unknown = {f"x-{name}": value for name, value in more.items()}
    fields = parse(**unknown).fields
    for name, value in unknown.items():
        assert bytes(fields[name]) == json.dumps(value).encode()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ...),
        ("model", ""),
        ("model", 1),
        ("messages", ...),
        ("messages", []),
        ("messages", "canary"),
        ("messages", [{"content": "canary"}]),
        ("max_tokens", "8"),
        ("max_tokens", -1),
        ("max_tokens", 2**31),
        ("system", {"canary": 1}),
        ("temperature", "canary"),
        ("temperature", 2.1),
        ("top_p", 1.1),
        ("top_k", -1),
        ("stop_sequences", "canary"),
        ("stop_sequences", [1]),
        ("tools", {}),
        ("tools", ["canary"]),
        ("tool_choice", "auto"),
        ("thinking", True),
        ("output_config", []),
        ("metadata", "canary"),
        ("api_key", "canary"),
        ("base_url", "http://canary"),
        ("models", "canary"),
        ("fallbacks", [1]),
    ],
)
def test_a_field_that_is_wrong_is_named(operation: Operation, name: str, value: Any) -> None:
    """The client learns which field to mend, and nothing of what it holds is repeated."""
    assert refused(operation, **{name: value}).param == name


@pytest.mark.parametrize("value", [..., None])
def test_an_answer_must_have_a_limit(value: Any) -> None:
    """Anthropic's dialect wants `max_tokens`; the refusal says so in its message, too."""
    error = refused(max_tokens=value)
    assert error.param == "max_tokens"
    assert "max_tokens" in error.message


def test_a_limit_of_nothing_is_taken() -> None:
    """With `max_tokens: 0` Anthropic reads a prompt into its cache."""
    assert bytes(parse(max_tokens=0).fields["max_tokens"]) == b"0"


@pytest.mark.parametrize("value", ["yes", 1])
def test_stream_must_be_a_boolean(value: Any) -> None:
    """Anything else is refused by name."""
    assert refused(stream=value).param == "stream"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"[]", "invalid_json"), (b"{", "invalid_json"), (b'{"a":"\xff"}', "invalid_unicode")],
)
def test_what_is_no_json_object_is_refused(body: bytes, code: str) -> None:
    """There is no field to name then; the code says what is wrong."""
    with pytest.raises(InvalidRequest) as found:
        parse_ask("messages", body, {})
    assert (found.value.param, found.value.code) == (None, code)


def test_names_to_try_are_taken_out() -> None:
    """`models` and `fallbacks` are for this proxy, and the provider never hears of them."""
    ask = parse(models=["m", "b"], fallbacks=["c", "b"])
    assert (ask.model, ask.fallbacks, ask.models_count) == ("m", ("b", "c"), 1)
    assert not {"models", "fallbacks"} & set(ask.fields)


def test_the_first_of_models_stands_in_for_the_model() -> None:
    """A request without `model` asks for the first of `models`."""
    ask = parse(model=..., models=["a", "b"])
    assert (ask.model, bytes(ask.fields["model"]), ask.fallbacks) == ("a", b'"a"', ("b",))


def test_a_session_is_taken_out_of_the_metadata() -> None:
    """Anthropic refuses what its metadata does not know; all else in it stays as it came."""
    ask = parse(metadata={"user_id": "u", "session_id": "s"})
    assert ask.session_id == "s"
    assert bytes(ask.fields["metadata"]) == b'{"user_id":"u"}'
    ask = parse(metadata={"user_id": "u", "session_id": 1})
    assert ask.session_id is None
    assert bytes(ask.fields["metadata"]) == b'{"user_id": "u", "session_id": 1}'


def test_only_headers_of_the_dialect_are_kept() -> None:
    """Version and betas are kept for Anthropic, keys and all else are not."""
    headers = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
        "x-api-key": "canary",
        "anthropic-workspace-id": "w",
    }
    ask = parse_ask("messages", json.dumps(LEAST).encode(), headers)
    assert ask.passed_headers == {"anthropic-version": "2026-10-21", "anthropic-beta": "a,b"}


@pytest.mark.parametrize("value", ["", "caf\u00e9", "a\tb", "a\x00b"])
def test_a_header_that_is_no_plain_text_is_not_kept(value: str) -> None:
    """It would go out under our name."""
    headers = {"anthropic-version": value, "anthropic-beta": "a"}
    ask = parse_ask("messages", json.dumps(LEAST).encode(), headers)
    assert ask.passed_headers == {"anthropic-beta": "a"}
