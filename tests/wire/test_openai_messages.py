"""Tests of `proxy/wire/openai_messages.py`: messages as providers of OpenAI's format get them."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from proxy.domain.chat import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import NotOffered
from proxy.wire.openai_messages import write_messages

IMAGE = Image(media_type="image/png", data="QUI=")
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI="}}
MARK = Raw(b'{"type":"ephemeral"}')


def write(*messages: Message, thoughts_as: str | None = None) -> Any:
    """The messages as they are sent."""
    return msgspec.json.decode(msgspec.json.encode(write_messages(messages, thoughts_as)))


def user(*parts: Part) -> Any:
    """The content of one message of the user's."""
    return write(Message("user", parts))[0]["content"]


def test_text_is_one_string() -> None:
    """Several texts of one message are one, so that every server takes them; marks are left out."""
    written = write(
        Message("system", (Text("a", MARK), Text("b"))),
        Message("user", (Text("c"), Text(""), Text("d")), "ann"),
        Message("assistant", (Text("e"), Text("f"))),
    )
    assert written == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nd", "name": "ann"},
        {"role": "assistant", "content": "ef"},
    ]


def test_pictures_and_sound_stand_among_the_text() -> None:
    """Where there is more than text, all of it is a list in the order that it had."""
    url = Image(url="https://a", detail="low")
    assert user(Text("a"), IMAGE, url, Audio("QUI=", "wav"), Text("b")) == [
        {"type": "text", "text": "a"},
        IMAGE_PART,
        {"type": "image_url", "image_url": {"url": "https://a", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "QUI=", "format": "wav"}},
        {"type": "text", "text": "b"},
    ]


def test_files_are_data_ids_or_text() -> None:
    """Bytes go with a name, an id alone, and a text as text."""
    assert user(File(media_type="application/pdf", data="QUI=", name="a.pdf")) == [
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUI="},
        }
    ]
    assert user(File(file_id="file-1")) == [{"type": "file", "file": {"file_id": "file-1"}}]
    assert user(File(data="QUI="))[0]["file"]["filename"] == "document.pdf"
    assert user(File(text="words", name="a.txt")) == "words"


def test_a_file_by_its_address_is_not_offered() -> None:
    """OpenAI's chat cannot fetch a document: it is refused, not left out."""
    with pytest.raises(NotOffered) as refusal:
        user(Text("a"), File(url="https://a"))
    assert refusal.value.param == "messages"


def test_an_assistant_has_calls_and_refusals() -> None:
    """Calls stand beside the text, which is null where there is none."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    written = write(
        Message("assistant", (Text("a"), Call("c", "f", signature="gemini's"))),
        Message("assistant", (Call("c", "f"),)),
        Message("assistant", (Refusal("No"),)),
        Message("assistant", ()),
    )
    assert written == [
        {"role": "assistant", "content": "a", "tool_calls": [call]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": None, "refusal": "No"},
        {"role": "assistant", "content": ""},
    ]


def test_thoughts_go_back_to_their_maker_only() -> None:
    """Other vendors' thoughts are left out, and all of them where the provider takes none."""
    parts = (
        Thought("foreign", "anthropic", "s"),
        Thought("a", "openai", extra=Raw(b'[{"data":"x"}]')),
        Thought("b", "openai"),
        Text("Hi"),
    )
    plain = {"role": "assistant", "content": "Hi"}
    message = Message("assistant", parts)
    assert write(message) == [plain]
    assert write(message, thoughts_as="reasoning_content") == [plain | {"reasoning_content": "ab"}]
    assert write(message, thoughts_as="reasoning") == [
        plain | {"reasoning": "ab", "reasoning_details": [{"data": "x"}]}
    ]


def test_an_answer_of_nothing_but_foreign_thoughts_is_left_out() -> None:
    """Some servers refuse an assistant's message without content and without calls."""
    message = Message("assistant", (Thought("foreign", "anthropic", "s"),))
    assert write(Message("user", (Text("a"),)), message) == [{"role": "user", "content": "a"}]


def test_results_are_messages_of_their_own() -> None:
    """Each result answers its call; a failure begins with the word that it is one."""
    written = write(
        Message("tool", (Result("c", (Text("1"), File(text="2"))), Result("d", ()))),
        Message("tool", (Result("e", (), is_error=True),)),
        Message("tool", (Result("f", (Text("No city"),), is_error=True),)),
    )
    assert written == [
        {"role": "tool", "tool_call_id": "c", "content": "1\n\n2"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
        {"role": "tool", "tool_call_id": "e", "content": "The tool failed."},
        {"role": "tool", "tool_call_id": "f", "content": "The tool failed.\n\nNo city"},
    ]


def test_pictures_of_results_follow_behind_all_results() -> None:
    """Nothing stands between the results of one turn: their pictures are the user's, after them."""
    written = write(
        Message("tool", (Result("c", (IMAGE,)),)),
        Message("tool", (Result("d", (Text("2"),)),)),
        Message("user", (Text("so?"),)),
    )
    assert [message["role"] for message in written] == ["tool", "tool", "user", "user"]
    assert written[0]["content"] == "The tool's result follows in the next message of the user."
    assert written[2]["content"] == [IMAGE_PART]
    assert written[3]["content"] == "so?"
    last = write(Message("tool", (Result("c", (Text("1"), IMAGE)),)))
    assert [message["content"] for message in last] == ["1", [IMAGE_PART]]


def test_results_beside_words_of_the_user_go_first() -> None:
    """A message that holds both is told as results and then as the user's."""
    written = write(Message("user", (Text("a"), Result("c", (Text("1"),)))))
    assert written == [
        {"role": "tool", "tool_call_id": "c", "content": "1"},
        {"role": "user", "content": "a"},
    ]
