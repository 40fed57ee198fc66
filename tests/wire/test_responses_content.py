"""Tests of `proxy/wire/responses_content.py`."""

from typing import Any

import msgspec
import pytest

from proxy.domain.chat import Audio, File, Image, Refusal, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.responses_content import (
    ContentPart,
    RawPart,
    keep_texts,
    read_content,
    read_result,
)

PIXEL = "iVBORw0KGgo="


def part(**members: Any) -> RawPart:
    return msgspec.convert(members, RawPart)


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"type": "input_text", "text": "hi"}, Text("hi")),
        ({"type": "output_text", "text": "hi", "annotations": []}, Text("hi")),
        ({"type": "text", "text": "hi"}, Text("hi")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        (
            {"type": "input_image", "image_url": "https://a.test/b.png", "detail": "low"},
            Image(url="https://a.test/b.png", detail="low"),
        ),
        (
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
            Image(media_type="image/png", data=PIXEL),
        ),
        ({"type": "input_file", "file_id": "file-1"}, File(file_id="file-1")),
        ({"type": "input_file", "file_url": "https://a.test/b"}, File(url="https://a.test/b")),
        (
            {"type": "input_file", "file_data": "aGk=", "filename": "a.txt"},
            File(media_type="text/plain", data="aGk=", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,aGk="},
            File(media_type="application/pdf", data="aGk="),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
            Audio("aGk=", "mp3"),
        ),
    ],
)
def test_each_part_is_read(members: dict[str, Any], wanted: ContentPart) -> None:
    """Text, refusal, picture, file and sound, in each of their forms."""
    assert read_content([part(**members)], "p") == [wanted]


def test_a_text_alone_is_one_part_and_an_empty_one_is_none() -> None:
    """Nothing that was not said is made up."""
    assert read_content("hi", "p") == [Text("hi")]
    empty = [part(type="input_text", text=""), part(type="refusal", refusal="")]
    assert read_content("", "p") == read_content(None, "p") == read_content(empty, "p") == []


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"type": "input_text"}, "p[0].text"),
        ({"type": "refusal"}, "p[0].refusal"),
        ({"type": "input_image"}, "p[0].image_url"),
        ({"type": "input_image", "image_url": "data:image/png,x"}, "p[0].image_url"),
        ({"type": "input_file"}, "p[0].file_data"),
        ({"type": "input_file", "file_data": "data:text/plain,x"}, "p[0].file_data"),
        ({"type": "input_audio"}, "p[0].input_audio"),
    ],
)
def test_what_a_part_lacks_is_named(members: dict[str, Any], param: str) -> None:
    """The error says where in the request it is."""
    with pytest.raises(InvalidRequest) as refusal:
        read_content([part(**members)], "p")
    assert (refusal.value.param, type(refusal.value)) == (param, InvalidRequest)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"type": "input_image", "file_id": "file-1"}, "p[0].file_id"),
        ({"type": "computer_screenshot"}, "p[0].type"),
    ],
)
def test_what_only_openai_has_is_left_to_another(members: dict[str, Any], param: str) -> None:
    """A provider that has it may still be asked."""
    with pytest.raises(NotOffered) as refusal:
        read_content([part(**members)], "p")
    assert refusal.value.param == param


def test_a_result_has_text_pictures_and_files() -> None:
    """Sound is not what a tool answers with."""
    picture = part(type="input_image", image_url="https://a.test/b.png")
    result = read_result("call_1", [part(type="input_text", text="hi"), picture], "p")
    assert (result.call_id, len(result.parts)) == ("call_1", 2)
    assert read_result("call_1", "hi", "p").parts == (Text("hi"),)
    sound = part(type="input_audio", input_audio={"data": ""})
    with pytest.raises(NotOffered):
        read_result("call_1", [sound], "p")


def test_instructions_are_text() -> None:
    """A picture among them is refused."""
    assert keep_texts([Text("a")], "p") == (Text("a"),)
    with pytest.raises(InvalidRequest) as refusal:
        keep_texts([Text("a"), Image(url="u")], "p")
    assert refusal.value.param == "p"
