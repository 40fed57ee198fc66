"""What requests in Cohere's format ask for, and which of them Cohere refuses."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import ChatAsk
from proxy.simulator.cohere_ask import read_chat, read_embed
from tests.simulator.native import COHERES, PIXEL, USER

CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
ASSISTANT = {"role": "assistant", "tool_plan": "I look.", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "noon"}
BARE = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}


def read(**fields: Any) -> ChatAsk:
    return read_chat(json.dumps({"model": "sim-echo", "messages": USER, **fields}).encode())


def test_a_request_is_a_chat() -> None:
    """Limits, stops, tools and formats mean the same by other names."""
    ask = read(
        max_tokens=9,
        stop_sequences=["a"],
        stream=True,
        tools=COHERES,
        tool_choice="REQUIRED",
        messages=[*USER, ASSISTANT, RESULT],
    )
    assert (ask.limit_tokens, ask.stops, ask.stream, ask.wants_usage) == (9, ("a",), True, True)
    assert [tool.function and tool.function.name for tool in ask.tools or ()] == ["now", "weather"]
    assert ask.tool_choice == "required"
    assert [message.role for message in ask.messages] == ["user", "assistant", "tool"]


def test_a_schema_is_named() -> None:
    """Cohere's has no name, and none is asked for where only JSON is wanted."""
    schema = {"type": "object"}
    wanted = read(response_format={"type": "json_object", "json_schema": schema}).response_format
    assert wanted is not None and wanted.json_schema is not None
    assert wanted.json_schema.schema == schema
    plain = read(response_format={"type": "json_object"}).response_format
    assert plain is not None and plain.json_schema is None
    assert read(response_format={"type": "text"}).response_format is None


def test_parts_of_a_message_are_read() -> None:
    """Pictures of the user's, thoughts of the assistant's, documents of a tool's."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    document = {"type": "document", "document": {"data": {"a": 1}}}
    ask = read(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "?"}, picture]},
            ASSISTANT | {"content": [{"type": "thinking", "thinking": "hm"}]},
            {**RESULT, "content": [document]},
        ]
    )
    assert ask.seen == ["image/png of 8 bytes"]
    assert ask.messages[2].text == '{"a":1}'


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [*USER, RESULT]},
        {"messages": [*USER, ASSISTANT]},
        {"messages": [*USER, ASSISTANT, *USER]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "tool_calls": [CALL]}]},
        {"messages": [{"role": "system", "content": [{"type": "image_url"}]}]},
        {"tool_choice": "REQUIRED"},
        {"tools": COHERES, "response_format": {"type": "json_object"}},
        {"documents": ["x"], "response_format": {"type": "json_object"}},
        {"tools": [BARE], "strict_tools": True},
        {"n": 2},
    ],
    ids=str,
)
def test_what_cohere_refuses_is_refused(fields: Any) -> None:
    """Calls without results, results without calls, JSON beside tools, names that it has not."""
    with pytest.raises(InvalidRequest):
        read(**fields)


def test_what_is_no_json_is_refused() -> None:
    """Whatever it is."""
    for body in (b"", b"{", b"\xff", b"[]"):
        with pytest.raises(InvalidRequest):
            read_chat(body)


def test_texts_are_to_become_vectors() -> None:
    """As many as there are."""
    body = {"model": "sim-embed", "input_type": "search_query", "texts": ["a", "b"]}
    more = {"embedding_types": ["float"], "output_dimension": 8}
    ask = read_embed(json.dumps(body | more).encode())
    assert (ask.inputs, ask.dimensions) == (("a", "b"), 8)
    with pytest.raises(InvalidRequest):
        read_embed(json.dumps(body | more | {"texts": ["a"] * 97}).encode())
