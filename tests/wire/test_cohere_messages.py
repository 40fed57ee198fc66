"""Tests of `proxy/wire/cohere_messages.py`."""

import pytest

from proxy.domain.chat import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Result,
    Role,
    Text,
    Thought,
)
from proxy.domain.errors import NotOffered
from proxy.wire.cohere_messages import write_cohere_messages

PIXEL = Image(media_type="image/png", data="iVBORw0KGgo=")
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_a_conversation_keeps_its_turns() -> None:
    """Texts are texts, a call's words are its plan, and each result has the id of its call."""
    call = Call("c1", "weather", '{"city":"Oslo"}')
    messages = (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Oslo?"), PIXEL)),
        Message("assistant", (Thought("hm", "openai"), Text("I look."), call)),
        Message("tool", (Result("c1", (Text("rain"),)),)),
        Message("assistant", (Text("Rain."),)),
        Message("user", (Text("Thanks."),), name="ann"),
    )
    function = {"name": "weather", "arguments": '{"city":"Oslo"}'}
    called = {"id": "c1", "type": "function", "function": function}
    assert write_cohere_messages(messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Oslo?"}, SHOWN]},
        {"role": "assistant", "tool_plan": "I look.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks."},
    ]


def test_calls_without_words_have_no_plan() -> None:
    """Nothing is made up."""
    (written,) = write_cohere_messages([Message("assistant", (Call("c1", "now"),))])
    assert set(written) == {"role", "tool_calls"}


def test_a_refusal_is_text() -> None:
    """There is no member of its own for it."""
    (written,) = write_cohere_messages([Message("assistant", (Refusal("No."),))])
    assert written == {"role": "assistant", "content": "No."}


def test_pictures_of_results_follow_them() -> None:
    """A result is text there; what it shows is in a message of the user's behind all results."""
    messages = [
        Message("tool", (Result("c1", (Text("look"), PIXEL), is_error=True),)),
        Message("tool", (Result("c2", (Text("noon"),)),)),
    ]
    first, second, shown = write_cohere_messages(messages)
    assert first["content"] == "The tool failed.\n\nlook"
    assert second["tool_call_id"] == "c2"
    assert shown == {"role": "user", "content": [SHOWN]}


@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("user", Audio("UklGRg==", "wav")),
        ("user", File(media_type="application/pdf", data="JVBERi0=")),
        ("user", File(file_id="f-1")),
        ("user", File(url="https://a.example/a.pdf")),
        ("system", PIXEL),
    ],
)
def test_other_files_are_refused(role: Role, part: Part) -> None:
    """Sound, documents and a system's pictures are not left out without a word."""
    with pytest.raises(NotOffered) as refusal:
        write_cohere_messages([Message(role, (Text("a"), part))])
    assert refusal.value.param == "messages"


def test_a_file_of_text_is_text() -> None:
    """What it says can be said."""
    (written,) = write_cohere_messages([Message("user", (Text("a"), File(text="b")))])
    assert written["content"] == "a\n\nb"
