"""Tests of `proxy/wire/openai_fields.py`."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.wire.openai_fields import (
    MAX_ITEMS,
    MAX_TOKENS,
    MESSAGES,
    TEXT_CHECKS,
    VECTOR_CHECKS,
    read_count,
    read_value,
)

GOOD: dict[str, tuple[Any, ...]] = {
    "max_tokens": (1, MAX_TOKENS),
    "max_completion_tokens": (1, MAX_TOKENS),
    "temperature": (0, 2, 0.7),
    "top_p": (0, 1, 0.1),
    "presence_penalty": (-2, 2, 0.0),
    "frequency_penalty": (-2, 2, 1.5),
    "seed": (0, -1, 2**63 - 1, -(2**63), 2**64 - 1),
    "stop": ("", "x", [], ["a"], ["a", "b", "c", "d", "e"]),
    "user": ("", "u-1", "a\x00"),
    "tools": ([], [{}], [{"type": "function", "function": {"name": "f"}}]),
    "tool_choice": ("auto", "whatever", {"type": "function"}),
    "response_format": ({"type": "json_object"},),
    "logit_bias": ({"5": -100}, [[5, -100]]),
    "parallel_tool_calls": (True, False),
}
BAD: dict[str, tuple[Any, ...]] = {
    "max_tokens": (0, -1, 2**31, 2**63, 1.5, True, "10", [], {}),
    "max_completion_tokens": (0, -1, 2**31, 2**63, 1.5, True, "10", [], {}),
    "temperature": (-0.1, 2.1, "1", True, [], 1e300),
    "top_p": (-0.1, 1.1, "1", True, [], {}),
    "presence_penalty": (-2.1, 2.1, "0", False),
    "frequency_penalty": (-2.1, 2.1, "0", False),
    "seed": (2**64, -(2**63) - 1, 1.5, "7", True, []),
    "stop": (5, True, {}, [5], [None], ["a", 1], [["a"]], ["x"] * (MAX_ITEMS + 1)),
    "user": (5, True, [], {}),
    "tools": ("f", {}, 5, ["f"], [[]], [None], [{}] * (MAX_ITEMS + 1)),
    "tool_choice": (5, True, []),
    "response_format": ("json_object", True, [], 5),
    "logit_bias": ("5", 5, True),
    "parallel_tool_calls": ("true", 1, 0, {}, []),
}
REFUSED = sorted(TEXT_CHECKS.keys() - GOOD.keys())


def encode(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def refused(name: str, raw: Raw) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        TEXT_CHECKS[name](name, raw)
    assert found.value.param == name
    assert f"'{name}'" in found.value.message
    return found.value


@pytest.mark.parametrize("name", GOOD)
def test_what_some_provider_takes_is_taken(name: str) -> None:
    """Every value that is right somewhere passes, and null means that the field is absent."""
    for value in (*GOOD[name], None):
        TEXT_CHECKS[name](name, encode(value))


@pytest.mark.parametrize("name", BAD)
def test_what_no_provider_takes_is_refused_with_its_name(name: str) -> None:
    """Other types and values out of range are an error of that field, without a code."""
    for value in BAD[name]:
        assert refused(name, encode(value)).code is None


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "seed", "top_p"])
@pytest.mark.parametrize("raw", [b"1" * 5000, b"1e999", b"-1e999", b"1" * 400 + b"e9"])
def test_a_number_that_nothing_can_hold_is_called_that(name: str, raw: bytes) -> None:
    """Endless digits and what would be infinite have the code `invalid_number`."""
    assert refused(name, Raw(raw)).code == "invalid_number"


@pytest.mark.parametrize("name", REFUSED)
def test_no_caller_says_where_a_request_goes_or_as_whom(name: str) -> None:
    """Fields that some gateway would obey are refused with any value, for every operation."""
    values: tuple[object, ...] = (None, "", "http://127.0.0.1/", {})
    for value in values:
        assert refused(name, encode(value)).code == "unsupported_parameter"
    assert VECTOR_CHECKS[name] is TEXT_CHECKS[name]


def test_the_fields_of_known_attacks_are_among_the_refused() -> None:
    """The names of published attacks on gateways are on the list."""
    assert {
        *("api_base", "base_url", "custom_host", "api_key", "extra_headers", "api_version"),
        *("user_config", "model_list", "aws_sts_endpoint", "vertex_credentials", "headers"),
    } <= set(REFUSED)


def test_a_list_of_2048_is_read_and_a_longer_one_is_not() -> None:
    """The length is a rule of its own, also for items of the least size."""
    few = b"[" + b",".join([b'{"role":""}'] * MAX_ITEMS) + b"]"
    assert len(MESSAGES.read("messages", Raw(few)) or []) == MAX_ITEMS
    with pytest.raises(InvalidRequest, match="'messages' must be a list of 1 to 2048 objects"):
        MESSAGES.read("messages", Raw(few[:-1] + b',{"role":""}]'))
    long = b'[{"role":"' + b"x" * 100_000 + b'"}]'
    assert len(MESSAGES.read("messages", Raw(long)) or []) == 1


def test_absent_and_null_are_none() -> None:
    """Both mean that nothing was asked for."""
    for raw in (None, Raw(b"null")):
        assert read_value("x", raw, json.loads, "must be something") is None
        assert read_count("x", raw, 5) is None
        assert MESSAGES.read("x", raw) is None


def test_the_documents_name_every_field_that_is_looked_at() -> None:
    """docs/requests.md is the list that clients read."""
    page = (Path(__file__).parents[2] / "docs" / "requests.md").read_text()
    missing = [
        name for name in TEXT_CHECKS.keys() | VECTOR_CHECKS.keys() if f"`{name}`" not in page
    ]
    assert missing == []
