"""Tests of `proxy/wire/responses_chat_reader.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.chat import (
    Call,
    ChatRequest,
    Image,
    Message,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.responses_chat_reader import read_responses_chat
from proxy.wire.responses_thought import wrap_call_signature, wrap_thought
from tests.wire.responses_client import build_ask

SIGNED = Thought("Let me see", "anthropic", "c2ln")
CALL = {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": '{"a":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_a", "output": "noon"}


def read(*items: Any, **fields: Any) -> ChatRequest:
    return read_responses_chat(build_ask(input=list(items), **fields))


def refused(*items: Any, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        read(*items, **fields)
    assert "canary" not in refusal.value.message
    return refusal.value


def reasoning(thought: Thought, **more: Any) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
    encrypted = wrap_thought(thought, is_shown=True)
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": encrypted}


def test_a_text_is_a_message_of_the_users() -> None:
    """The instructions stand before it, as the system's."""
    chat = read_responses_chat(build_ask(input="hi", instructions="Be brief."))
    assert chat.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hi"),)),
    )
    assert len(read_responses_chat(build_ask(input="hi", instructions="")).messages) == 1
    assert len(read_responses_chat(build_ask(input="hi", instructions=None)).messages) == 1


def test_messages_of_each_role() -> None:
    """A developer's is the system's; what the assistant has said and declined is its own."""
    chat = read(
        {"role": "system", "content": "a"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://a.test/b"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "c", "annotations": []},
                {"type": "refusal", "refusal": "d"},
            ],
        },
        {"role": "user", "content": "e"},
    )
    assert chat.messages == (
        Message("system", (Text("a"),)),
        Message("system", (Text("b"),)),
        Message("user", (Image(url="https://a.test/b"),)),
        Message("assistant", (Text("c"), Refusal("d"))),
        Message("user", (Text("e"),)),
    )


def test_items_of_one_turn_are_one_message() -> None:
    """Thought, words and two calls, in their order; each result is a message of its own."""
    chat = read(
        {"role": "user", "content": "?"},
        reasoning(SIGNED),
        {"role": "assistant", "content": "Well."},
        CALL,
        CALL | {"call_id": "call_b", "name": "g", "arguments": ""},
        OUTPUT,
        OUTPUT | {"call_id": "call_b", "output": [{"type": "input_text", "text": "one"}]},
        {"role": "assistant", "content": "Done."},
    )
    assert chat.messages == (
        Message("user", (Text("?"),)),
        Message(
            "assistant",
            (SIGNED, Text("Well."), Call("call_a", "f", '{"a":1}'), Call("call_b", "g")),
        ),
        Message("tool", (Result("call_a", (Text("noon"),)),)),
        Message("tool", (Result("call_b", (Text("one"),)),)),
        Message("assistant", (Text("Done."),)),
    )


def test_what_is_gone_on_from_comes_first() -> None:
    """Its items stand before the new ones, behind the instructions of now."""
    ask = build_ask(input="and now?", instructions="Be brief.", previous_response_id="resp_1")
    earlier = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"})
    ask.history = tuple(Raw(json.dumps(item).encode()) for item in earlier)
    assert [(message.role, *message.parts) for message in read_responses_chat(ask).messages] == [
        ("system", Text("Be brief.")),
        ("user", Text("hi")),
        ("assistant", Text("ho")),
        ("user", Text("and now?")),
    ]


def test_an_earlier_response_alone_can_be_gone_on_from() -> None:
    """Without an input there is nothing but what was kept."""
    ask = build_ask(previous_response_id="resp_1", input=None)
    ask.history = (Raw(b'{"role":"user","content":"hi"}'),)
    assert read_responses_chat(ask).messages == (Message("user", (Text("hi"),)),)
    ask.history = (Raw(b'{"role":1}'),)
    with pytest.raises(InvalidRequest) as refusal:
        read_responses_chat(ask)
    assert refusal.value.param == "previous_response_id.role"


def test_what_a_provider_keeps_is_not_passed_over() -> None:
    """Where it has no responses any more, the request would be answered without its beginning."""
    ask = build_ask(previous_response_id="resp_1")
    ask.pinned = "up"
    with pytest.raises(NotOffered) as refusal:
        read_responses_chat(ask)
    assert refusal.value.param == "previous_response_id"


def test_thoughts_of_openais_own_are_left_out() -> None:
    """Nobody else can read them, and a text that nothing vouches for is taken back by nobody."""
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    bare = {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "x"}]}
    assert read(own, bare, {"role": "assistant", "content": "a"}).messages == (
        Message("assistant", (Text("a"),)),
    )


def test_a_thought_that_was_not_shown_comes_back_whole() -> None:
    """Its text is in what stood beside the empty summary."""
    hidden = reasoning(SIGNED) | {
        "summary": [],
        "encrypted_content": wrap_thought(SIGNED, is_shown=False),
    }
    redacted = replace(SIGNED, text="", is_redacted=True)
    chat = read(hidden, reasoning(redacted), {"role": "assistant", "content": "a"})
    assert chat.messages[0].parts == (SIGNED, redacted, Text("a"))


def test_the_signature_of_a_call_goes_back_to_its_call() -> None:
    """And to no other: it stood right before it."""
    signed = {"type": "reasoning", "summary": [], "encrypted_content": wrap_call_signature("c2ln")}
    chat = read(signed, CALL, CALL | {"call_id": "call_b"}, OUTPUT, signed, OUTPUT, CALL)
    calls = [part for message in chat.messages for part in message.parts if isinstance(part, Call)]
    assert [call.signature for call in calls] == ["c2ln", None, None]


@pytest.mark.parametrize(
    "kind", ["web_search_call", "file_search_call", "code_interpreter_call", "mcp_call"]
)
def test_what_openais_servers_have_done_is_passed_over(kind: str) -> None:
    """What came of it stands in the words behind it."""
    chat = read(
        {"type": kind, "id": "x_1", "status": "completed"}, {"role": "user", "content": "a"}
    )
    assert chat.messages == (Message("user", (Text("a"),)),)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0]"),
        ({"id": "msg_1"}, "input[0]"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}, "input[0].type"),
        ({"type": "computer_call_output", "call_id": "c", "output": {"a": 1}}, "input[0].type"),
        ({"type": "shell_call_output", "output": [{"stdout": "a"}]}, "input[0].type"),
        ({"type": "mcp_approval_response"}, "input[0].type"),
        ({"type": "compaction", "encrypted_content": "x"}, "input[0].type"),
        ({"type": "a canary\n"}, "input[0].type"),
    ],
)
def test_items_that_only_openai_knows_are_left_to_another(item: Any, param: str) -> None:
    """Without them the request would mean something else."""
    error = refused(item)
    assert isinstance(error, NotOffered)
    assert error.param == param


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "canary", "content": "a"}, "input[0].role"),
        ({"type": "message", "content": "a"}, "input[0].role"),
        ({"role": "user", "content": 1}, "input[0].content"),
        ({"role": "user", "content": ["canary"]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"text": "a"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text"),
        (
            {"role": "system", "content": [{"type": "input_image", "image_url": "u"}]},
            "input[0].content",
        ),
        ({"type": "function_call", "name": "f"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c"}, "input[0].name"),
        ({"type": "function_call_output", "output": "a"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "c", "output": 1}, "input[0].output"),
        ({"type": "function_call", "call_id": 1}, "input[0].call_id"),
    ],
)
def test_an_item_of_the_wrong_shape_is_named(item: Any, param: str) -> None:
    """The error says where in the request it is, and repeats nothing of it."""
    error = refused(item)
    assert (error.param, type(error)) == (param, InvalidRequest)
