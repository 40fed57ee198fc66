"""Tests of `proxy/wire/openai_request.py`."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.openai_fields import MAX_TOKENS
from proxy.wire.openai_request import MAX_CHOICES, parse_ask

LEAST: dict[Operation, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "completions": {"model": "m", "prompt": "hi"},
    "embeddings": {"model": "m", "input": "hi"},
}
OPERATIONS = tuple(LEAST)
SLACK = 10
"""Promised times are asserted at ten times their value: tests run on busy machines."""
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
    [
        ("a", 3),
        (["a", "b"], 6),
        ([1, 2, 3], 3),
        ([[1], [2], [3]], 9),
        ([], 3),
        (["[", '"', "\\", '\\"', ""], 15),
        ([{"text": "a"}, {"text": "b"}], 3),
    ],
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


NO_JSON = {
    b"": "invalid_json",
    b" ": "invalid_json",
    b"null": "invalid_json",
    b"[]": "invalid_json",
    b'"x"': "invalid_json",
    b"{": "invalid_json",
    b'{"model":"m"': "invalid_json",
    b'{"model":"m"}{"model":"m"}': "invalid_json",
    b"\xef\xbb\xbf{}": "invalid_json",
    "{}".encode("utf-16"): "invalid_unicode",
    "{}".encode("utf-16-le"): "invalid_json",
    '{"model":"caf\u00e9"}'.encode("latin-1"): "invalid_unicode",
    b'{"model":"\xff"}': "invalid_unicode",
    b'{"model":"\xed\xa0\x80"}': "invalid_unicode",
    rb'{"model":"\ud800"}': "invalid_unicode",
    rb'{"messages":[{"content":"\udc00\ud800"}]}': "invalid_unicode",
    b'{"messages":[NaN]}': "invalid_number",
    b"[" * 100_000: "json_too_deep",
    b'{"a":' * 65 + b"1" + b"}" * 65: "json_too_deep",
}


@pytest.mark.parametrize("raw", NO_JSON, ids=lambda raw: repr(raw[:24]))
def test_what_is_no_json_object_is_refused_as_that(raw: bytes) -> None:
    """The code says what kind of fault it is, and no field is named."""
    error = refused(raw)
    assert (error.param, error.code) == (None, NO_JSON[raw])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_names_its_field(number: str) -> None:
    """What Python's json writes for NaN and infinities is refused where it stands."""
    error = refused(body()[:-1] + f',"temperature" : {number}}}'.encode())
    assert (error.param, error.code) == ("temperature", "invalid_number")


def test_a_million_names_are_refused_and_a_million_tokens_taken() -> None:
    """What is counted are names; a list may be as long as a body."""
    names = b",".join(b'"%x":0' % number for number in range(1_000_000))
    assert refused(body()[:-1] + b"," + names + b"}").code == "too_many_names"
    tokens = b",".join([b"7"] * 1_000_000)
    assert parse_ask("completions", b'{"model":"m","prompt":[' + tokens + b"]}").choices == 1


def test_an_empty_model_is_refused_with_the_way_to_mend_it() -> None:
    """The message says where the models are listed."""
    assert "/v1/models" in refused(body(model="")).message


def test_2048_messages_are_taken_and_no_more() -> None:
    """A conversation may be long; one of 100,000 messages is an attack."""
    message = {"role": "user", "content": "x" * 20}
    assert parse_ask("chat", body(messages=[message] * 2048))
    for count in (2049, 100_000):
        assert refused(body(messages=[message] * count)).param == "messages"


def test_names_of_any_kind_are_read_as_they_are() -> None:
    """Addresses, paths, NUL and look-alikes are names like others here: routing knows none."""
    for name in (
        "http://canary.example",
        "../../etc/passwd",
        "m\x00",
        "\uff47pt-4",
        "x" * 1_000_000,
    ):
        assert parse_ask("chat", body(model=name)).model == name


def test_a_prompt_may_hold_nul() -> None:
    """What stands in a prompt goes on as it came."""
    raw = rb'{"model":"m","messages":[{"role":"user","content":"a\u0000b"}]}'
    assert rb"a\u0000b" in bytes(parse_ask("chat", raw).fields["messages"])


def test_options_of_a_stream_are_short() -> None:
    """A megabyte of names is refused as `stream_options`."""
    options = {f"n{number}": 1 for number in range(1000)}
    assert refused(body(stream=True, stream_options=options)).param == "stream_options"


@given(st.sampled_from(OPERATIONS), st.binary())
def test_any_bytes_are_taken_or_refused(operation: Operation, raw: bytes) -> None:
    """No body raises anything but InvalidRequest."""
    try:
        parse_ask(operation, raw)
    except InvalidRequest:
        return


BODY_BYTES = 32 * 1024 * 1024
GOOD_START = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"input":"hi",'


def fill(start: bytes, item: bytes, end: bytes) -> bytes:
    return start + item * ((BODY_BYTES - len(start) - len(end)) // len(item)) + end


HOSTILE = {
    "flat lists": lambda: fill(GOOD_START + b'"a":[', b"[],", b"1]}"),
    "numbers": lambda: fill(GOOD_START + b'"a":[', b"1,", b"NaN]}"),
    "messages": lambda: fill(b'{"model":"m","messages":[', b'{"role":""},', b'{"role":""}]}'),
    "messages of nothing": lambda: fill(b'{"model":"m","messages":[', b"{},", b"{}]}"),
    "tools": lambda: fill(GOOD_START + b'"tools":[', b"{},", b"{}]}"),
    "stops": lambda: fill(GOOD_START + b'"stop":[', b'"",', b'""]}'),
    "digits": lambda: fill(GOOD_START + b'"max_tokens":', b"9", b"}"),
    "names": lambda: GOOD_START + b",".join(b'"%x":0' % n for n in range(3_000_000)) + b"}",
    "nested names": lambda: fill(
        GOOD_START + b'"a":[', b'{"a":[],"b":' * 60 + b"1" + b"}" * 60 + b",", b"1]}"
    ),
    "saw": lambda: fill(GOOD_START + b'"a":[', b"[" * 61 + b"]" * 61 + b",", b"1]}"),
    "deep": lambda: fill(GOOD_START + b'"a":', b"[", b""),
    "pairs": lambda: fill(GOOD_START + b'"a":"', rb"\ud83d\ude00", b""),
    "backslashes": lambda: fill(GOOD_START + b'"a":"', rb"\\", b""),
    "quotes": lambda: fill(GOOD_START + b'"a":"', rb"\"", b'"}'),
    "a name": lambda: fill(b'{"messages":[{"role":"user"}],"model":"', rb"\u00e9", b'"}'),
    "inputs": lambda: fill(b'{"model":"m","messages":[{"role":"u"}],"input":[', b'"",', b'""]}'),
    "zeros": lambda: bytes(BODY_BYTES),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_of_32_mib_costs_less_than_a_second(kind: str) -> None:
    """Whatever the largest body is filled with, taking or refusing it is one second at most."""
    raw = HOSTILE[kind]()
    operation: Operation = "embeddings" if kind == "inputs" else "chat"
    started_s = time.process_time()
    try:
        parse_ask(operation, raw)
    except InvalidRequest as error:
        assert len(error.message) < 200
    assert time.process_time() - started_s < 1.0 * SLACK


def test_models_are_tried_in_their_order() -> None:
    """`model` is the first name, then come those of `models`, then `fallbacks`, each once."""
    ask = parse_ask("chat", body(models=["b", "m", "a", "b"], fallbacks=["c", "a", "m"]))
    assert (ask.model, ask.fallbacks) == ("m", ("b", "a", "c"))
    assert (ask.fallbacks or ())[: ask.models_count] == ("b", "a")
    assert not {"models", "fallbacks"} & ask.fields.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_the_first_of_models_is_the_model(operation: Operation, model: dict[str, None]) -> None:
    """Without `model` the first of `models` is asked for, and goes upstream as `model`."""
    fields = {k: v for k, v in LEAST[operation].items() if k != "model"} | model
    ask = parse_ask(operation, json.dumps({**fields, "models": ["ä", "b"]}).encode())
    assert (ask.model, ask.fallbacks) == ("ä", ("b",))
    assert json.loads(bytes(ask.fields["model"])) == "ä"


def test_fallbacks_name_no_model() -> None:
    """`fallbacks` come after a model; without one, and with no `models`, none is asked for."""
    raw = json.dumps({"messages": [{"role": "user"}], "fallbacks": ["a"], "models": []}).encode()
    assert refused(raw).param == "model"


def test_a_request_may_ask_for_no_fallback() -> None:
    """An empty list is another wish than no list."""
    assert parse_ask("chat", body()).fallbacks is None
    assert parse_ask("chat", body(fallbacks=[])).fallbacks == ()
    assert parse_ask("chat", body(models=["m"])).fallbacks == ()


def test_the_session_is_read_and_its_metadata_passed_on() -> None:
    """`metadata.session_id` is ours to read, and the provider's all the same."""
    ask = parse_ask("chat", body(metadata={"session_id": "s-1", "x": 1}))
    assert ask.session_id == "s-1"
    assert json.loads(bytes(ask.fields["metadata"])) == {"session_id": "s-1", "x": 1}
    assert parse_ask("chat", body(metadata=["s-1"])).session_id is None
