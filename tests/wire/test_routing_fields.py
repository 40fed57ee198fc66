"""The fields that say where else a request may go, and which conversation it belongs to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.wire.json_text import parse_object
from proxy.wire.routing_fields import MAX_NAMES, Names, read_session_id, take_names


def fields_of(**fields: Any) -> dict[str, Raw]:
    """Return the fields of a request as they are read."""
    return parse_object(json.dumps(fields).encode())


def test_both_lists_are_taken_out() -> None:
    """What is for this proxy is read in its order and does not stay among the fields."""
    fields = fields_of(models=["a", "b/c"], fallbacks=["d e"], model="m")
    assert take_names(fields) == Names(("a", "b/c"), ("d e",))
    assert list(fields) == ["model"]


@pytest.mark.parametrize("given", [{}, {"models": None}, {"models": None, "fallbacks": None}])
def test_without_them_nothing_is_said(given: dict[str, None]) -> None:
    """Absent and null mean the same, and null is not passed on."""
    fields = fields_of(**given)
    assert take_names(fields) is None
    assert fields == {}


def test_an_empty_list_says_something() -> None:
    """No names are another wish than none said."""
    assert take_names(fields_of(fallbacks=[])) == Names(None, ())


@pytest.mark.parametrize("field", ["models", "fallbacks"])
@pytest.mark.parametrize(
    "value",
    [
        "gpt-4o",
        {"canary": 1},
        [1],
        [["canary"]],
        [{"model": "canary"}],
        [None],
        [""],
        [" canary"],
        ["canary\n"],
        ["x" * 201],
        ["m"] * (MAX_NAMES + 1),
        ["x" * 40_000],
    ],
)
def test_what_is_no_list_of_names_is_refused(field: str, value: object) -> None:
    """The error names the field and repeats nothing of it."""
    with pytest.raises(InvalidRequest) as caught:
        take_names(fields_of(**{field: value}))
    assert (caught.value.status, caught.value.param) == (400, field)
    assert "canary" not in caught.value.message


def test_as_many_names_as_are_promised_are_taken() -> None:
    """Sixteen names of 200 characters each, of whatever script, are a list."""
    names = ["é" * 199 + chr(0x4E00 + number) for number in range(MAX_NAMES)]
    found = take_names(fields_of(models=names))
    assert found == Names(tuple(names), None)


def test_the_session_of_the_metadata_is_read() -> None:
    """`metadata.session_id` is found, and `metadata` stays as it came."""
    fields = fields_of(metadata={"user": {"a": [1]}, "session_id": "chat-ä"})
    before = bytes(fields["metadata"])
    assert read_session_id(fields) == "chat-ä"
    assert bytes(fields["metadata"]) == before


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, "text", 5, [], {}, {"session": "s"}),
        *({"session_id": value} for value in (None, 5, "", "x" * 257, ["s"], {"a": "s"}, True)),
    ],
)
def test_what_is_no_session_is_passed_over(metadata: object) -> None:
    """Whatever a client keeps there is no error."""
    assert read_session_id(fields_of(metadata=metadata)) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("session_id"), inner),
    )
)
def test_any_metadata_is_read_without_an_error(metadata: object) -> None:
    """A session is a short text that is not empty, or there is none."""
    session_id = read_session_id(fields_of(metadata=metadata))
    assert session_id is None or 0 < len(session_id) <= 256
