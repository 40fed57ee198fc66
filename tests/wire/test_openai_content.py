"""Tests of `proxy/wire/openai_content.py`: parts of a message's content."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from proxy.domain.chat import Audio, File, Image, Refusal, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_content import RawPart, read_content, split_data_url


def read(*parts: Any) -> list[Any]:
    """The parts of a content that came as these values."""
    raw = msgspec.json.decode(msgspec.json.encode(parts), type=list[str | RawPart])
    return read_content(raw, "messages[0].content")


def test_a_content_may_be_one_text() -> None:
    """A string is one part of text; an empty one, and none at all, are no part."""
    assert read_content("Hi", "p") == [Text("Hi")]
    assert read_content("", "p") == read_content(None, "p") == []


def test_empty_texts_are_left_out() -> None:
    """Parts without words say nothing, and some providers refuse them."""
    found = read("a", "", {"type": "text", "text": ""}, {"type": "refusal", "refusal": ""})
    assert found == [Text("a")]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "refusal", "refusal": "No"}, Refusal("No")),
        (
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            Image(url="https://a/b.png", detail="low"),
        ),
        ({"type": "image_url", "image_url": "https://a"}, Image(url="https://a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,QUI="}},
            Image(media_type="image/png", data="QUI="),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}},
            Audio("QUI=", "mp3"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, File(file_id="file-1")),
        (
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUI="},
            },
            File(media_type="application/pdf", data="QUI=", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"filename": "a.txt", "file_data": "QUI="}},
            File(media_type="text/plain", data="QUI=", name="a.txt"),
        ),
        (
            {"type": "file", "file": {"filename": "a.bin", "file_data": "QUI="}},
            File(media_type="application/octet-stream", data="QUI=", name="a.bin"),
        ),
        (
            {"type": "file", "file": {"file_data": "QUI="}},
            File(media_type="application/pdf", data="QUI="),
        ),
        (
            {"type": "file", "file": {"file_url": "https://a/b.pdf"}},
            File(url="https://a/b.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:;base64,QUI=", "filename": "x.csv"}},
            File(media_type="text/csv", data="QUI=", name="x.csv"),
        ),
    ],
)
def test_each_type_is_read(part: dict[str, Any], expected: Any) -> None:
    """Text, refusals, pictures, sound and files have what came with them."""
    assert read(part) == [expected]


def test_a_mark_of_the_cache_is_kept() -> None:
    """Text, pictures and files carry `cache_control` as it came."""
    mark = {"type": "ephemeral"}
    for part in (
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": "https://a"},
        {"type": "file", "file": {"file_id": "f"}},
    ):
        (found,) = read({**part, "cache_control": mark})
        assert found.cache_control == Raw(b'{"type":"ephemeral"}')


@pytest.mark.parametrize("kind", ["text", "image_url", "file", "input_audio", "refusal"])
def test_a_part_without_its_member_is_refused(kind: str) -> None:
    """A part that lacks what its type says is named by its place."""
    with pytest.raises(InvalidRequest) as refusal:
        read("a", {"type": kind})
    assert refusal.value.param == f"messages[0].content[1].{kind}"
    assert not isinstance(refusal.value, NotOffered)


def test_an_unknown_type_is_not_left_out() -> None:
    """A video would be missed: the request is refused where nobody can take it."""
    with pytest.raises(NotOffered) as refusal:
        read({"type": "video_url", "video_url": {"url": "https://a"}})
    assert refusal.value.param == "messages[0].content[0].type"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png,plain"}},
        {"type": "file", "file": {"file_data": "data:text/plain,plain"}},
        {"type": "file", "file": {"filename": "a.pdf"}},
    ],
)
def test_data_that_cannot_be_read_is_refused(part: dict[str, Any]) -> None:
    """A data URL without Base64, and a file without anything, are the client's to mend."""
    with pytest.raises(InvalidRequest) as refusal:
        read(part)
    assert (refusal.value.param or "").startswith("messages[0].content[0].")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,QUI=", ("image/png", "QUI=")),
        ("DATA:image/png;charset=x;Base64,QUI=", ("image/png", "QUI=")),
        ("data:image/png,QUI=", None),
        ("data:image/png;base64", None),
        ("https://a", None),
    ],
)
def test_data_urls_are_split(url: str, parts: tuple[str, str] | None) -> None:
    """Media type and data are told apart; what is no data URL with Base64 is none."""
    assert split_data_url(url) == parts
