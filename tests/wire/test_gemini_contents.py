"""Tests of `proxy/wire/gemini_contents.py`."""

import base64
from typing import Any

import msgspec
import pytest
from google.genai import types

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
from proxy.wire.gemini_contents import NO_SIGNATURE, ContentsWriter
from proxy.wire.gemini_models import read_model

PNG = "iVBORw0KGgo="


def write(*messages: Message, model: str = "gemini-3-flash") -> ContentsWriter:
    writer = ContentsWriter(read_model(model), [])
    writer.write(messages)
    return writer


def contents(*messages: Message, model: str = "gemini-3-flash") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(
        msgspec.json.encode(write(*messages, model=model).contents)
    )
    for content in found:
        types.Content.model_validate(content)
    # What a model has said first has a turn of the user's before it, which has its own test.
    return found[1:] if messages[0].role == "assistant" else found


def user(*parts: Any) -> Message:
    return Message("user", parts)


def said(*parts: Any) -> Message:
    return Message("assistant", parts)


def test_turns_have_googles_two_roles() -> None:
    """A user's turn is `user`, a model's `model`, each with its texts; empty ones are none."""
    assert contents(user(Text("a"), Text("")), said(Text("b")), user(Text("c"))) == [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"text": "b"}]},
        {"role": "user", "parts": [{"text": "c"}]},
    ]


def test_turns_of_one_role_are_one() -> None:
    """Messages of one role that follow each other are merged, and empty ones vanish."""
    found = contents(user(Text("a")), said(), user(Text("b")), said(Text("c")), said(Text("d")))
    assert found == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
    ]


def test_system_messages_are_instructions_wherever_they_stand() -> None:
    """They leave the conversation, in their order."""
    writer = write(
        Message("system", (Text("a"),)), user(Text("x")), Message("system", (Text("b"),))
    )
    assert writer.instructions == [{"text": "a"}, {"text": "b"}]
    assert writer.contents == [{"role": "user", "parts": [{"text": "x"}]}]


def test_contents_are_never_empty() -> None:
    """Where nothing but a system message is there, the user says it."""
    writer = write(Message("system", (Text("a"),)))
    assert writer.contents == [{"role": "user", "parts": [{"text": "a"}]}]
    assert writer.instructions == []
    assert contents(user()) == [{"role": "user", "parts": [{"text": "."}]}]


@pytest.mark.parametrize("part", [Text("a"), Call("c", "f")])
def test_the_user_begins(part: Any) -> None:
    """A conversation that has lost its begin gets one: Google refuses calls that none precedes."""
    found = write(Message("system", (Text("s"),)), said(part), user(Text("x"))).contents
    assert [content["role"] for content in found] == ["user", "model", "user"]
    assert found[0]["parts"] == [{"text": "."}]


def test_a_call_and_its_answer_find_each_other() -> None:
    """The answer has the name of the function that its id stands for, and of 3 on the id, too."""
    found = contents(
        user(Text("q")),
        said(Call("call_1", "f", '{"x": 1.0}', "sig"), Call("call_2", "g")),
        Message("tool", (Result("call_2", (Text('{"y": 2}'),)),)),
        Message("tool", (Result("call_1", (Text("plain"),)),)),
    )
    assert found[1] == {
        "role": "model",
        "parts": [
            {
                "functionCall": {"name": "f", "args": {"x": 1.0}, "id": "call_1"},
                "thoughtSignature": "sig",
            },
            {"functionCall": {"name": "g", "args": {}, "id": "call_2"}},
        ],
    }
    assert found[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "f", "response": {"result": "plain"}, "id": "call_1"}},
            {"functionResponse": {"name": "g", "response": {"y": 2}, "id": "call_2"}},
        ],
    }


def test_answers_stand_in_the_order_of_their_calls() -> None:
    """Two calls of one function get the answer that is theirs, also where no id is told."""
    turn = (
        said(Call("call_1", "f", '{"city":"Oslo"}'), Call("call_2", "f", '{"city":"Rome"}')),
        Message("tool", (Result("call_2", (Text("sun"),)),)),
        Message("tool", (Result("call_1", (Text("rain"),)),)),
    )
    # Some servers begin anew with their ids in every turn.
    found = contents(user(Text("q")), *turn, *turn, model="gemini-2.5-flash")
    for content in (found[2], found[4]):
        results = [part["functionResponse"]["response"]["result"] for part in content["parts"]]
        assert results == ["rain", "sun"]


def test_older_models_are_told_no_ids() -> None:
    """Before 3 calls and answers go by name alone, and a missing signature is none."""
    found = contents(
        user(Text("q")),
        said(Call("call_1", "f")),
        Message("tool", (Result("call_1", (Text("r"),)),)),
        model="gemini-2.5-flash",
    )
    assert found[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert found[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ('{"a": 1}', False, {"a": 1}),
        ('{"a": 1', False, {"result": '{"a": 1'}),
        ("[1]", False, {"result": "[1]"}),
        ("", False, {"result": ""}),
        ("no such city", True, {"error": "no such city"}),
        ('{"a": 1}', True, {"error": '{"a": 1}'}),
    ],
)
def test_an_answer_is_always_an_object(text: str, is_error: bool, response: object) -> None:
    """JSON objects stand as they are, all else is wrapped, and an error says that it is one."""
    result = Result("i", (Text(text),), is_error)
    found = contents(said(Call("i", "f")), Message("tool", (result,)))
    assert found[1]["parts"][0]["functionResponse"]["response"] == response


def test_an_answer_to_no_call_is_refused() -> None:
    """Without a call of its id nobody knows the function's name; a name of the client's helps."""
    result = Result("i", (Text("r"),))
    with pytest.raises(NotOffered) as caught:
        contents(Message("tool", (result,)))
    assert caught.value.param == "messages"
    found = contents(Message("tool", (result,), "f"))
    assert found[0]["parts"][0]["functionResponse"]["name"] == "f"


def test_pictures_of_an_answer_go_with_it() -> None:
    """From 3 on they are part of the answer, before that they stand beside it."""
    messages = (
        said(Call("i", "f")),
        Message("tool", (Result("i", (Text("r"), Image(media_type="image/png", data=PNG))),)),
    )
    inline = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    response = contents(*messages)[1]["parts"][0]["functionResponse"]
    assert response["parts"] == [inline]
    older = contents(*messages, model="gemini-2.5-flash")[1]["parts"]
    assert older[1] == inline and "parts" not in older[0]["functionResponse"]


def test_arguments_that_are_no_json_are_kept() -> None:
    """What a model has made of them is told as it is, within an object."""
    found = contents(said(Call("i", "f", '{"a":')))
    assert found[0]["parts"][0]["functionCall"]["args"] == {"arguments": '{"a":'}


def test_calls_of_another_vendor_have_googles_own_mark() -> None:
    """From 3 on the first call of a step without a signature has the value that skips the check."""
    found = contents(said(Call("a", "f"), Call("b", "f")), user(Text("x")), said(Call("c", "f")))
    marks = [part.get("thoughtSignature") for turn in found for part in turn["parts"]]
    assert marks == [NO_SIGNATURE, None, None, NO_SIGNATURE]
    assert base64.b64decode(NO_SIGNATURE) == b"skip_thought_signature_validator"


def test_own_thoughts_give_back_their_signature_and_no_text() -> None:
    """A signature stands with what came after the thought; a call's own goes before it."""
    thought = Thought("hm", "gemini", "sig")
    assert contents(said(thought, Text("a"), Text("b")))[0]["parts"] == [
        {"text": "a", "thoughtSignature": "sig"},
        {"text": "b"},
    ]
    call = contents(said(thought, Call("i", "f")))[0]["parts"][0]
    assert call["thoughtSignature"] == "sig"
    call = contents(said(thought, Call("i", "f", "{}", "b3du")))[0]["parts"][0]
    assert call["thoughtSignature"] == "b3du"


@pytest.mark.parametrize("maker", ["anthropic", "openai"])
def test_thoughts_of_others_are_left_out(maker: Any) -> None:
    """Neither their text nor their signature is sent."""
    found = contents(said(Thought("hm", maker, "sig"), Text("a")))
    assert found == [{"role": "model", "parts": [{"text": "a"}]}]


def test_a_refusal_is_what_was_said() -> None:
    """Words by which a model has declined stay part of the conversation."""
    assert contents(said(Refusal("no")))[0]["parts"] == [{"text": "no"}]


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (
            Image(media_type="image/jpeg", data="/9j/"),
            {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}},
        ),
        (Image(data=PNG), {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        (
            File(media_type="application/pdf", data="JVBERi0=", name="x.pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ),
        (File(text="words"), {"text": "words"}),
        (Audio("UklGRg==", "wav"), {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}),
        (Audio("SUQz", "mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "SUQz"}}),
        (
            Image(url="gs://bucket/a.png", media_type="image/png"),
            {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        ),
        (
            File(url="https://www.youtube.com/watch?v=x"),
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
        ),
        (
            File(file_id="files/abc"),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
    ],
    ids=str,
)
def test_files_are_given_as_google_takes_them(part: Any, written: object) -> None:
    """Bytes go inline with their type, and addresses of Google's own by reference."""
    assert contents(user(part))[0]["parts"] == [written]


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://elsewhere.example/a.png"),
        Image(url="http://www.youtube.com/watch?v=x"),
        Image(url="https://generativelanguage.googleapis.com.evil.example/v1beta/files/a"),
        Image(url="https://[broken"),
        Image(),
        File(file_id="file-abc"),
        File(url="file:///etc/passwd"),
    ],
    ids=str,
)
def test_no_other_address_is_fetched_by_google_or_by_us(part: Any) -> None:
    """A file anywhere else is refused, so that another provider may be asked for it."""
    with pytest.raises(NotOffered) as caught:
        contents(user(part))
    assert caught.value.param == "messages"


def test_a_system_message_is_text() -> None:
    """Any other part of one is refused."""
    with pytest.raises(NotOffered):
        contents(Message("system", (Image(data=PNG),)))


def test_how_close_a_picture_is_looked_at_is_left_out() -> None:
    """`detail` is named once, unless it leaves the choice to the model."""
    dropped: list[str] = []
    writer = ContentsWriter(read_model("gemini-3-flash"), dropped)
    pictures = [Image(data=PNG, detail=detail) for detail in ("auto", "high", "low")]
    writer.write([user(*pictures)])
    assert dropped == ["detail"]
