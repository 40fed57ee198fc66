"""Tests of `proxy/wire/openai_chat_reader.py`: chat completions, read for any provider."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import (
    Call,
    ChatRequest,
    Image,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thought,
    Tool,
)
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_chat_reader import read_openai_chat
from proxy.wire.openai_request import parse_ask

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def read(*messages: Any, **fields: Any) -> ChatRequest:
    """The request of these messages."""
    body = json.dumps({"model": "m", "messages": messages, **fields}).encode()
    return read_openai_chat(parse_ask("chat", body))


def assistant(**members: Any) -> tuple[Part, ...]:
    """The parts of one message of the assistant's."""
    return read({"role": "assistant", **members}).messages[0].parts


def test_roles_are_four() -> None:
    """A developer is the system, and results of tools have messages of their own."""
    chat = read(
        {"role": "developer", "content": "be brief"},
        {"role": "system", "content": [{"type": "text", "text": "be kind"}]},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": "ho"},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    )
    assert chat.messages == (
        Message("system", (Text("be brief"),)),
        Message("system", (Text("be kind"),)),
        Message("user", (Text("hi"),), "ann"),
        Message("assistant", (Text("ho"),)),
        Message("tool", (Result("c", (Text("42"),)),)),
    )


def test_the_options_are_read_with_the_messages() -> None:
    """Tools and limits are in the same request, and what nobody knows beside them."""
    chat = read(
        {"role": "user", "content": "hi"},
        tools=[{"type": "function", "function": {"name": "f"}}],
        max_tokens=5,
        x_new=1,
    )
    assert (chat.tools, chat.max_tokens, chat.extra) == ((Tool("f"),), 5, {"x_new": Raw(b"1")})


def test_an_assistants_parts_stand_in_one_order() -> None:
    """Thoughts, words, a refusal, calls: as every dialect has them."""
    parts = assistant(
        content=[{"type": "text", "text": "a"}],
        refusal="No",
        reasoning_content="hm",
        tool_calls=[CALL, {**CALL, "id": "d"}],
    )
    assert parts == (
        Thought("hm", "openai"),
        Text("a"),
        Refusal("No"),
        Call("c", "f", '{"a": 1}'),
        Call("d", "f", '{"a": 1}'),
    )


@pytest.mark.parametrize("arguments", ["", "  ", None])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    """Calls that were without arguments have `{}`."""
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    assert assistant(content=None, tool_calls=[call]) == (Call("c", "f", "{}"),)


def test_arguments_as_a_value_become_their_text() -> None:
    """Some clients send the object instead of its text."""
    call = {**CALL, "function": {"name": "f", "arguments": {"a": "é"}}}
    assert assistant(tool_calls=[call]) == (Call("c", "f", '{"a":"é"}'),)


def test_arguments_that_are_no_json_are_kept() -> None:
    """A call that was cut off, or made up wrongly, does not end its conversation."""
    call = {**CALL, "function": {"name": "f", "arguments": '{"a":'}}
    assert assistant(tool_calls=[call]) == (Call("c", "f", '{"a":'),)


def test_a_calls_signature_and_mark_are_kept() -> None:
    """What Gemini wants back, and Anthropic's mark, go with the call."""
    extra = {"google": {"thought_signature": "s"}}
    call = {**CALL, "extra_content": extra, "cache_control": {"x": 1}}
    assert assistant(tool_calls=[call]) == (Call("c", "f", '{"a": 1}', "s", Raw(b'{"x": 1}')),)


def test_signed_thoughts_go_before_their_text() -> None:
    """Blocks are thoughts of their maker's; the plain text of them is not read beside them."""
    parts = assistant(
        reasoning_content="ab",
        thinking_blocks=[
            {"index": 0, "type": "thinking", "thinking": "a", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "thinking", "thinking": "b", "signature": "lp1.gemini.g"},
            {"type": "new_kind"},
        ],
    )
    assert parts == (
        Thought("a", "anthropic", "s"),
        Thought("", "anthropic", "d", is_redacted=True),
        Thought("b", "gemini", "g"),
    )


def test_openrouters_details_are_kept_as_they_came() -> None:
    """`reasoning` is a thought, too, and what stands beside it goes with it byte by byte."""
    parts = assistant(reasoning="a", reasoning_details=[{"data": "x"}])
    assert parts == (Thought("a", "openai", extra=Raw(b'[{"data": "x"}]')),)


def test_a_mark_on_a_message_is_one_on_its_last_part() -> None:
    """Some clients mark a message whose content is one text."""
    chat = read({"role": "user", "content": "a", "cache_control": {"x": 1}})
    assert chat.messages[0].parts == (Text("a", Raw(b'{"x": 1}')),)


def test_a_result_may_be_a_picture() -> None:
    """Results hold text and pictures, as some providers take them."""
    image = {"type": "image_url", "image_url": {"url": "https://a"}}
    chat = read({"role": "tool", "tool_call_id": "c", "content": [image]})
    assert chat.messages[0].parts == (Result("c", (Image(url="https://a"),)),)


def test_the_deprecated_form_gets_ids() -> None:
    """A function's result answers the last call of that name; each call has an id of its own."""
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}
    result = {"role": "function", "name": "f", "content": "1"}
    messages = read(call, result, call, result).messages
    calls = [part for message in messages for part in message.parts if isinstance(part, Call)]
    results = [part for message in messages for part in message.parts if isinstance(part, Result)]
    assert [each.id for each in calls] == [each.call_id for each in results]
    assert len({each.id for each in calls}) == 2
    assert calls[0].arguments == "{}"


def test_a_message_may_say_nothing() -> None:
    """A message without content has no parts."""
    assert assistant(content=None) == assistant(content="") == ()


@pytest.mark.parametrize(
    ("message", "error", "param"),
    [
        ({"role": "critic", "content": "a"}, InvalidRequest, "messages[0].role"),
        ({"role": "user", "content": 7}, InvalidRequest, "messages[0].content"),
        (
            {"role": "user", "content": [{"type": "text", "text": 7}]},
            InvalidRequest,
            "messages[0].content[0].text",
        ),
        ({"role": "tool", "content": "a"}, InvalidRequest, "messages[0].tool_call_id"),
        ({"role": "function", "name": "f", "content": "a"}, InvalidRequest, None),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": "https://a"}]},
            InvalidRequest,
            "messages[0].content",
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "id": None}]},
            InvalidRequest,
            "messages[0].tool_calls[0].id",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]},
            NotOffered,
            "messages[0].tool_calls[0]",
        ),
        ({"role": "assistant", "audio": {"id": "a"}}, NotOffered, "messages[0].audio"),
        (
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{"type": "input_audio", "input_audio": {"data": "QUI="}}],
            },
            NotOffered,
            "messages[0].content",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    message: Any, error: type[InvalidRequest], param: str | None
) -> None:
    """The error says where it is, and nothing of what stands there."""
    with pytest.raises(error) as refusal:
        read(message)
    assert refusal.value.param == (param or "messages[0].tool_call_id")
    assert type(refusal.value) is error
