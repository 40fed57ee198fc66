"""Tests of `proxy/providers/tool_calls.py`."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.providers.tool_calls import ToolCalls, build_call_id, repair_whole_calls


def whole(name: str, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": "{}"}} | more


def stream(*events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    calls = ToolCalls("answer:0")
    found = [copy.deepcopy(pieces) for pieces in events]
    for pieces in found:
        calls.repair(pieces)
    return found


def positions(*events: list[dict[str, Any]]) -> list[list[int]]:
    return [[piece["index"] for piece in pieces] for pieces in stream(*events)]


def test_regular_pieces_stay_as_they_are() -> None:
    """What OpenAI streams is not changed."""
    events = [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]
    assert stream(*events) == events


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([[whole("f", id="a"), whole("g", id="b")]], [[0, 1]]),
        ([[whole("f"), whole("g")]], [[0, 1]]),
        ([[whole("f")], [whole("g")]], [[0], [1]]),
        ([[whole("f", id="a")], [{"id": "a", "function": {"arguments": "x"}}]], [[0], [0]]),
        ([[whole("f")], [{"function": {"arguments": "x"}}], [whole("g")]], [[0], [0], [1]]),
        (
            [[whole("f", index=1)], [{"index": 1, "function": {}}], [whole("g", index=5)]],
            [[0], [0], [1]],
        ),
        ([[whole("f", index=0, id="a"), whole("g", index=0, id="b")]], [[0, 1]]),
        ([[whole("f", index=None, id="a"), whole("f", index="0", id="b")]], [[0, 1]]),
    ],
    ids=[
        "ids",
        "names",
        "one by one",
        "same id",
        "no id goes on",
        "not dense",
        "same index",
        "null",
    ],
)
def test_each_call_gets_its_dense_index(
    events: list[list[dict[str, Any]]], expected: list[list[int]]
) -> None:
    """Calls are numbered from 0 in order of appearance, whatever they came with."""
    assert positions(*events) == expected


def test_id_type_and_name_come_once() -> None:
    """Repeated ids and names would be joined to themselves by clients."""
    piece = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}}
    first, second, third = stream([piece], [piece], [{"index": 0, "function": {"name": ""}}])
    assert first == [piece | {"type": "function"}]
    assert second == [{"index": 0, "function": {"arguments": "1"}}]
    assert third == [{"index": 0, "function": {}}]


def test_a_name_in_pieces_stays_in_pieces() -> None:
    """Parts of a name are not taken for its repetition."""
    found = stream(
        [{"index": 0, "id": "a", "function": {"name": "get_"}}],
        [{"index": 0, "function": {"name": "weather"}}],
    )
    assert [pieces[0]["function"]["name"] for pieces in found] == ["get_", "weather"]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    """Generated ids differ between calls and are the same for the same answer."""
    (pieces,) = stream([whole("f"), whole("g")])
    ids = [piece["id"] for piece in pieces]
    assert ids == [build_call_id("answer:0", 0), build_call_id("answer:0", 1)]
    assert len(set(ids)) == 2
    assert all(call_id.startswith("call_") and len(call_id) == 29 for call_id in ids)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"x": [1]}, '{"x":[1]}'), ([1], "[1]"), (None, ""), ("{}", "{}"), (5, "5")],
)
def test_arguments_are_text(arguments: object, text: str) -> None:
    """Arguments that came as a value become the JSON that clients parse."""
    (pieces,) = stream([{"index": 0, "id": "a", "function": {"arguments": arguments}}])
    assert pieces[0]["function"]["arguments"] == text


@pytest.mark.parametrize("arguments", ["", None, {}, "absent"])
def test_a_whole_call_without_arguments_has_an_empty_object(arguments: object) -> None:
    """Clients parse the arguments of every call: nothing is no JSON."""
    function: dict[str, Any] = {"name": "f"}
    if arguments != "absent":
        function["arguments"] = arguments
    calls = [{"function": function}]
    repair_whole_calls(calls, "seed")
    assert calls == [
        {
            "id": build_call_id("seed", 0),
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
    ]


def test_whole_calls_keep_what_they_have() -> None:
    """Ids, types and arguments that are there stay."""
    calls = [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]
    before = copy.deepcopy(calls)
    repair_whole_calls(calls, "seed")
    assert calls == before


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "index", "type", "function", "name", "arguments"]), inner
        )
    ),
)


@given(st.lists(st.lists(ANY)), ANY)
def test_nothing_raises(events: list[list[Any]], calls: object) -> None:
    """Any JSON is survived, and what comes out has an index and can be written."""
    tools = ToolCalls("")
    for pieces in events:
        tools.repair(pieces)
        assert all(isinstance(piece["index"], int) for piece in pieces)
        json.dumps(pieces)
    repair_whole_calls(calls, "")
