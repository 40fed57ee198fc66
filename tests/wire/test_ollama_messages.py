"""Messages of any dialect as Ollama has them: a text, pictures beside it, calls with objects."""

import json
from typing import Any

import pytest

from proxy.domain.chat import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import NotOffered
from proxy.wire.json_text import encode
from proxy.wire.ollama_messages import write_ollama_messages


def write(*messages: Message) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = json.loads(encode(write_ollama_messages(messages).messages))
    return written


def test_texts_of_one_message_are_one() -> None:
    """Those of a client are told apart by an empty line, an assistant's are pieces of one."""
    said = (Text("a"), Text(""), Text("b"))
    assert write(Message("system", said), Message("user", said), Message("assistant", said)) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "a\n\nb"},
        {"role": "assistant", "content": "ab"},
    ]


def test_a_call_has_an_object_and_its_result_the_name_of_the_tool() -> None:
    """What a model made up for arguments is not lost; a failed tool says so in words."""
    written = write(
        Message(
            "assistant",
            (
                Thought("hm", "openai"),
                Thought("not ours", "anthropic", "c2ln"),
                Call("c1", "f", '{"a":1}'),
                Call("c2", "g", "oops"),
            ),
        ),
        Message("tool", (Result("c1", (Text("one"),)),)),
        Message("tool", (Result("c2", (Text("two"),), is_error=True), Text("go on"))),
        Message("tool", (Result("unknown", ()),)),
    )
    assert written == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}},
                {
                    "id": "c2",
                    "function": {"name": "g", "arguments": {"invalid_arguments": "oops"}},
                },
            ],
        },
        {"role": "tool", "content": "one", "tool_name": "f", "tool_call_id": "c1"},
        {
            "role": "tool",
            "content": "The tool failed.\n\ntwo",
            "tool_name": "g",
            "tool_call_id": "c2",
        },
        {"role": "user", "content": "go on"},
        {"role": "tool", "content": "", "tool_call_id": "unknown"},
    ]


def test_pictures_stand_beside_the_text_and_are_counted() -> None:
    """They are Base64 without a media type; a file of text becomes text."""
    picture = Image(media_type="image/png", data="iVBORw0KGgo=")
    messages = [Message("user", (Text("see"), picture, File(text="words"), Refusal("no")))]
    written = write_ollama_messages(messages)
    assert written.messages == [
        {"role": "user", "content": "see\n\nwords\n\nno", "images": ["iVBORw0KGgo="]}
    ]
    assert (written.pictures, written.picture_bytes) == (1, 12)


def test_an_answer_of_nothing_but_others_thoughts_is_left_out() -> None:
    """There is nothing in it that Ollama could read; an answer that was empty stays."""
    assert write(Message("assistant", (Thought("x", "gemini", "c2ln"),))) == []
    assert write(Message("assistant", ())) == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    "part",
    [Image(url="https://a.test/a.png"), Audio("UklGRg==", "wav"), File(url="https://a.test/a.pdf")],
    ids=["picture by address", "sound", "file by address"],
)
def test_what_ollama_cannot_take_is_refused(part: Image | Audio | File) -> None:
    """Nothing is fetched for a client, and nothing is left out that the request is about."""
    with pytest.raises(NotOffered) as raised:
        write(Message("user", (part,)))
    assert raised.value.param == "messages"
