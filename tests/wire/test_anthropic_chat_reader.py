"""Tests of `proxy/wire/anthropic_chat_reader.py`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.chat import (
    Call,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Event,
    Finished,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.anthropic_chat_reader import read_anthropic_chat
from proxy.wire.anthropic_writer import write_anthropic_answer
from tests.wire.anthropic_client import build_ask, read_answer

CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
TEXT = {"type": "text", "text": "hi"}


def read(*messages: Any, **fields: Any) -> ChatRequest:
    return read_anthropic_chat(build_ask(messages=list(messages), **fields))


def turns(*messages: Any, **fields: Any) -> tuple[Message, ...]:
    return read(*messages, **fields).messages


def assistant(*content: Any) -> tuple[Part, ...]:
    (message,) = turns({"role": "assistant", "content": list(content)})
    assert message.role == "assistant"
    return message.parts


def refused(*messages: Any, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        read(*messages, **fields)
    assert "canary" not in found.value.message
    return found.value


def test_a_text_may_stand_alone_or_as_a_block() -> None:
    """Both ways are the same turn."""
    expected = (Message("user", (Text("hi"),)),)
    assert turns({"role": "user", "content": "hi"}) == expected
    assert turns({"role": "user", "content": [TEXT]}) == expected


def test_the_system_prompt_is_the_first_message() -> None:
    """As a text or as blocks, whose marks for the cache are kept."""
    user = {"role": "user", "content": "hi"}
    assert turns(user, system="be")[0] == Message("system", (Text("be"),))
    marked = {"type": "text", "text": "be", "cache_control": {"type": "ephemeral"}}
    assert turns(user, system=[TEXT, marked])[0] == Message(
        "system", (Text("hi"), Text("be", Raw(b'{"type": "ephemeral"}')))
    )
    assert len(turns(user, system=None)) == len(turns(user, system=[])) == 1


def test_a_system_message_may_stand_further_on() -> None:
    """It stays where it is."""
    messages = ({"role": "user", "content": "a"}, {"role": "system", "content": "b"})
    assert [turn.role for turn in turns(*messages)] == ["user", "system"]


def test_options_are_read_with_the_messages() -> None:
    """One request holds all that was asked."""
    chat = read({"role": "user", "content": "hi"}, max_tokens=5, speed="fast")
    assert (chat.max_tokens, chat.extra) == (5, {"speed": Raw(b'"fast"')})


def test_results_are_messages_of_their_own() -> None:
    """Each result is a message, what stands around them stays in its order."""
    other = {"type": "tool_result", "tool_use_id": "d", "is_error": True}
    assert turns({"role": "user", "content": [RESULT, other, TEXT]}) == (
        Message("tool", (Result("c", (Text("x"),)),)),
        Message("tool", (Result("d", (), is_error=True),)),
        Message("user", (Text("hi"),)),
    )
    assert [turn.role for turn in turns({"role": "user", "content": [TEXT, RESULT, TEXT]})] == [
        *("user", "tool", "user"),
    ]


def test_pictures_and_documents_are_parts() -> None:
    """They stand where they stood."""
    picture = {"type": "image", "source": {"type": "url", "url": "https://a"}}
    document = {"type": "document", "source": {"type": "text", "data": "x"}}
    assert turns({"role": "user", "content": [picture, TEXT, document]})[0].parts == (
        Image(url="https://a"),
        Text("hi"),
        File(text="x", media_type="text/plain"),
    )


def test_citations_that_a_document_asks_for_are_a_field_to_be_dropped() -> None:
    """Another vendor's provider names it as left out: the client is not left to wonder."""
    document = {"type": "document", "source": {"type": "text", "data": "x"}}
    wanted = read({"role": "user", "content": [document | {"citations": {"enabled": True}}]})
    assert list(wanted.extra) == ["citations"]
    assert read({"role": "user", "content": [document]}).extra == {}


def test_calls_keep_their_arguments_as_they_came() -> None:
    """The text of the object is what the client has sent, byte by byte."""
    assert assistant(TEXT, CALL) == (Text("hi"), Call("c", "f", '{"a": 1}'))
    assert assistant(CALL | {"input": {}}) == (Call("c", "f", "{}"),)
    assert assistant(CALL | {"input": None}) == (Call("c", "f", "{}"),)


def test_thoughts_go_back_to_their_maker() -> None:
    """Our mark says whose a thought is; one without it is Anthropic's."""
    thought = {"type": "thinking", "thinking": "Hm", "signature": "EqQ="}
    assert assistant(thought) == (Thought("Hm", "anthropic", "EqQ="),)
    assert assistant(thought | {"signature": "lp1.openai."}) == (Thought("Hm", "openai"),)
    assert assistant(thought | {"signature": "lp1.gemini.Ep="}) == (Thought("Hm", "gemini", "Ep="),)
    assert assistant({"type": "thinking", "thinking": "Hm"}) == (Thought("Hm", "anthropic"),)
    redacted = {"type": "redacted_thinking", "data": "EmE="}
    assert assistant(redacted) == (Thought("", "anthropic", "EmE=", is_redacted=True),)
    assert assistant(redacted | {"data": "lp1.gemini.x"}) == (
        Thought("", "gemini", "x", is_redacted=True),
    )


def test_the_signature_of_a_call_goes_back_to_the_call() -> None:
    """It came in the thought before the call, or in a redacted one that was nothing else."""
    shown = "lp1.gemini.call.Ep="
    redacted = {"type": "redacted_thinking", "data": shown}
    signed = Call("c", "f", '{"a": 1}', "Ep=")
    unsigned = Call("c", "f", '{"a": 1}')
    assert assistant(redacted, CALL, CALL) == (signed, unsigned)
    thought = {"type": "thinking", "thinking": "Hm", "signature": shown}
    assert assistant(thought, CALL) == (Thought("Hm", "gemini"), signed)


def test_what_our_writer_has_shown_is_read_again() -> None:
    """A client that sends an answer back as the SDK gives it loses nothing of it."""
    ask = build_ask(thinking={"type": "adaptive"})
    events: list[Event] = [
        Started(),
        Thinking("Hm", "gemini"),
        ThoughtEnded("gemini", "s1"),
        Said("x"),
        CallStarted(0, "c", "f", "s2"),
        CallArguments(0, '{"a":1}'),
        CallEnded(0),
        CallStarted(1, "d", "g"),
        CallEnded(1),
        Finished("tool_calls"),
    ]
    answer = read_answer(write_anthropic_answer(ask, events))
    content = [block.model_dump(mode="json", exclude_none=True) for block in answer.content]
    assert assistant(*content) == (
        Thought("Hm", "gemini", "s1"),
        Text("x"),
        Call("c", "f", '{"a": 1}', "s2"),
        Call("d", "g"),
    )


def test_what_anthropics_servers_have_added_is_passed_over() -> None:
    """Its searches mean nothing to another vendor's model; the words about them stay."""
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"a": 1}]}
    assert assistant(search, found, TEXT) == (Text("hi"),)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "canary", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": "user", "content": []}, "messages[0].content"),
        ({"role": "user", "content": [{"text": "canary"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        (
            {"role": "assistant", "content": [CALL | {"id": None}]},
            "messages[0].content[0].id",
        ),
        (
            {"role": "assistant", "content": [CALL | {"input": ["canary"]}]},
            "messages[0].content[0].input",
        ),
        (
            {"role": "assistant", "content": [{"type": "redacted_thinking"}]},
            "messages[0].content[0].data",
        ),
        (
            {"role": "assistant", "content": [{"type": "thinking", "signature": "x"}]},
            "messages[0].content[0].thinking",
        ),
        ({"role": "system", "content": [CALL]}, "messages[0].content[0].type"),
        (
            {"role": "user", "content": [{"type": "tool_result"}]},
            "messages[0].content[0].tool_use_id",
        ),
    ],
)
def test_what_cannot_be_read_is_named(message: dict[str, Any], param: str) -> None:
    """The client learns where to look, and nothing that it has sent is repeated."""
    assert refused(message).param == param


def test_a_system_prompt_of_anything_but_text_is_refused() -> None:
    """Anthropic takes nothing else either."""
    user = {"role": "user", "content": "hi"}
    assert refused(user, system=[CALL]).param == "system[0].type"
    assert refused(user, system={"canary": 1}).param == "system"


def test_blocks_that_only_anthropic_knows_are_not_offered() -> None:
    """In a user's turn they are part of what is asked: left out, it would be something else."""
    error = refused({"role": "user", "content": [{"type": "container_upload", "file_id": "x"}]})
    assert isinstance(error, NotOffered)
    assert error.param == "messages[0].content[0].type"


_KINDS = st.sampled_from(
    [
        *("text", "image", "document", "search_result", "tool_result", "tool_use", "thinking"),
        *("redacted_thinking", "tool_reference", "base64", "url", "content", "file", "other"),
    ]
)
_NAMES = st.sampled_from(
    [
        *("text", "source", "content", "title", "context", "id", "name", "input", "tool_use_id"),
        *("is_error", "thinking", "signature", "data", "media_type", "url", "tool_name"),
    ]
)
_BLOCKS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "lp1.gemini.call.x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, members: {"type": kind, **members},
            _KINDS,
            st.dictionaries(_NAMES, inner, max_size=6),
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system"]), "content": _BLOCKS}
        ),
        max_size=3,
    ),
    st.none() | _BLOCKS,
)
def test_whatever_the_blocks_are_a_request_is_read_or_refused(messages: Any, system: Any) -> None:
    """There is no third way, and a refusal names a place within what it is about."""
    try:
        chat = read(*messages, system=system)
    except InvalidRequest as error:
        assert error.param is not None
        assert error.param.startswith(("messages", "system"))
    else:
        assert len([turn for turn in chat.messages if turn.role == "assistant"]) == len(
            [message for message in messages if message["role"] == "assistant"]
        )
