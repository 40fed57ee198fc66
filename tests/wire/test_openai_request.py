"""Tests of `proxy/wire/openai_request.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.openai_request import MAX_CHOICES, MAX_TOKENS, parse_ask

LEAST: dict[Operation, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "completions": {"model": "m", "prompt": "hi"},
    "embeddings": {"model": "m", "input": "hi"},
}
OPERATIONS = tuple(LEAST)
WRONG: tuple[Any, ...] = (
    True,
    False,
    "10",
    1.5,
    -1,
    0,
    2**63,
    2**200,
    [],
    {},
    [1],
    {"a": 1},
    "",
    1e300,
)


def body(operation: Operation = "chat", **fields: Any) -> bytes:
    return json.dumps(LEAST[operation] | fields).encode()


def refused(raw: bytes, operation: Operation = "chat") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        parse_ask(operation, raw)
    assert found.value.status == 400
    assert "canary" not in found.value.message
    return found.value


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_least_request_is_taken(operation: Operation) -> None:
    """A model and its input are enough; nothing else is asked for."""
    ask = parse_ask(operation, body(operation))
    assert (ask.operation, ask.model, ask.choices) == (operation, "m", 1)
    assert not (ask.streams or ask.wants_usage or ask.keeps_chunk_usage or ask.wants_base64)


@given(
    st.dictionaries(
        st.text(),
        st.integers() | st.text() | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    )
)
def test_fields_that_we_do_not_know_are_kept_as_they_came(more: dict[str, Any]) -> None:
    """Tomorrow's options reach the provider byte by byte."""
    unknown = {f"x-{name}": value for name, value in more.items()}
    fields = parse_ask("chat", body(**unknown)).fields
    for name, value in unknown.items():
        assert bytes(fields[name]) == json.dumps(value).encode()


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("chat", "model"),
        ("chat", "messages"),
        ("completions", "model"),
        ("completions", "prompt"),
        ("embeddings", "model"),
        ("embeddings", "input"),
    ],
)
@pytest.mark.parametrize("value", [None, 5, True, {"canary": 1}, "absent"])
def test_a_required_field_is_named_when_it_is_not_there_or_wrong(
    operation: Operation, name: str, value: object
) -> None:
    """Absent, null and values of a wrong type are refused with the field's name."""
    fields = {key: item for key, item in LEAST[operation].items() if key != name}
    if value != "absent":
        fields[name] = value
    error = refused(json.dumps(fields).encode(), operation)
    assert error.param == name
    assert name in error.message


@pytest.mark.parametrize(
    "messages",
    [
        "canary",
        [],
        ["canary"],
        [{"content": "canary"}],
        [{"role": None}],
        [{"role": 1}],
        [[{"role": "user"}]],
        [{"role": "user"}, None],
    ],
    ids=str,
)
def test_messages_are_a_list_of_objects_with_a_role(messages: object) -> None:
    """What is no list of messages is refused as `messages`."""
    assert refused(body(messages=messages)).param == "messages"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("operation", ["chat", "completions"])
def test_limits_are_positive_integers(operation: Operation, name: str) -> None:
    """1 to 2^31-1 is taken, null is absent, all else is refused with the field's name."""
    for good in (1, MAX_TOKENS, None):
        assert parse_ask(operation, body(operation, **{name: good}))
    for bad in (*WRONG, MAX_TOKENS + 1):
        assert refused(body(operation, **{name: bad}), operation).param == name


def test_choices_are_a_small_positive_integer() -> None:
    """`n` is 1 to 128, null is 1, all else is refused."""
    assert parse_ask("chat", body(n=None)).choices == 1
    assert parse_ask("chat", body(n=MAX_CHOICES)).choices == MAX_CHOICES
    for bad in (*WRONG, MAX_CHOICES + 1):
        assert refused(body(n=bad)).param == "n"


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [("a", 3), (["a", "b"], 6), ([1, 2, 3], 3), ([[1], [2], [3]], 9), ([], 3)],
)
def test_each_prompt_has_its_own_choices(prompt: object, choices: int) -> None:
    """A list of prompts is answered with `n` choices for each; tokens are one prompt."""
    assert parse_ask("completions", body("completions", prompt=prompt, n=3)).choices == choices


def test_the_temperature_is_a_number_from_0_to_2() -> None:
    """Integers and fractions are taken, null is absent, all else is refused."""
    for good in (0, 2, 0.0, 1.5, 2.0, None):
        assert parse_ask("chat", body(temperature=good))
    wrong: tuple[Any, ...] = (-0.1, 2.1, 3, True, "1", [], {}, 2**70)
    for bad in wrong:
        assert refused(body(temperature=bad)).param == "temperature"
    assert refused(body()[:-1] + b',"temperature":1e999}').param == "temperature"


def test_stream_is_a_boolean() -> None:
    """true streams, false and null do not, all else is refused."""
    assert parse_ask("chat", body(stream=True)).streams
    assert not parse_ask("chat", body(stream=False)).streams
    assert not parse_ask("chat", body(stream=None)).streams
    wrong: tuple[Any, ...] = (1, 0, "true", "", [], {})
    for bad in wrong:
        assert refused(body(stream=bad)).param == "stream"


@pytest.mark.parametrize(
    ("options", "wants_usage", "keeps"),
    [
        ({}, False, False),
        (None, False, False),
        ({"include_usage": True}, True, False),
        ({"include_usage": None, "include_obfuscation": False}, False, False),
        ({"include_usage": True, "continuous_usage_stats": True}, True, True),
        ({"include_usage": False, "continuous_usage_stats": True}, False, False),
    ],
)
def test_usage_in_a_stream_is_wanted_if_asked_for(
    options: object, wants_usage: bool, keeps: bool
) -> None:
    """Usage in every chunk is only ever wanted together with usage at all."""
    ask = parse_ask("chat", body(stream=True, stream_options=options))
    assert (ask.wants_usage, ask.keeps_chunk_usage) == (wants_usage, keeps)


def test_stream_options_mean_nothing_without_a_stream() -> None:
    """Without `stream` no usage chunk is wanted."""
    assert not parse_ask("chat", body(stream_options={"include_usage": True})).wants_usage


@pytest.mark.parametrize("bad", [True, 1, "x", [], {"include_usage": "yes"}, {"include_usage": 1}])
def test_stream_options_are_an_object_of_booleans(bad: object) -> None:
    """Other values are refused with the field's name."""
    assert refused(body(stream=True, stream_options=bad)).param == "stream_options"


def test_embeddings_come_as_floats_or_base64() -> None:
    """The two formats are taken, null is absent, all else is refused."""
    assert parse_ask("embeddings", body("embeddings", encoding_format="base64")).wants_base64
    for other in ("float", None):
        assert not parse_ask("embeddings", body("embeddings", encoding_format=other)).wants_base64
    wrong: tuple[Any, ...] = ("int8", 1, True, [], {})
    for bad in wrong:
        raw = body("embeddings", encoding_format=bad)
        assert refused(raw, "embeddings").param == "encoding_format"


@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "custom_host", "api_key", "extra_headers"]
)
def test_a_caller_cannot_say_where_a_request_goes(name: str) -> None:
    """Fields that a gateway behind us might obey are refused, not passed on."""
    error = refused(body("chat", **{name: "http://canary.example"}))
    assert (error.param, error.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xef\xbb\xbf{}", b'{"model":"\xff"}', b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused_as_that(raw: bytes) -> None:
    """The code is `invalid_json` and no field is named."""
    error = refused(raw)
    assert (error.param, error.code) == (None, "invalid_json")


def test_an_empty_model_is_refused_with_the_way_to_mend_it() -> None:
    """The message says where the models are listed."""
    assert "/v1/models" in refused(body(model="")).message


def test_many_messages_are_taken() -> None:
    """How many messages a model can read is the provider's business."""
    assert parse_ask("chat", body(messages=[{"role": "user", "content": ""}] * 100_000))


@given(st.sampled_from(OPERATIONS), st.binary())
def test_any_bytes_are_taken_or_refused(operation: Operation, raw: bytes) -> None:
    """No body raises anything but InvalidRequest."""
    try:
        parse_ask(operation, raw)
    except InvalidRequest:
        return
