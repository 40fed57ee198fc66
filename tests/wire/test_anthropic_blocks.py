"""Tests of `proxy/wire/anthropic_blocks.py`."""

import base64
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.chat import Audio, Call, File, Image, Part, Refusal, Result, Text, Thought
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.anthropic_blocks import build_blocks, clean_id

MARK = Raw(b'{"type":"ephemeral"}')
PDF = base64.b64encode(b"%PDF-1.7").decode()


def build(*parts: Part) -> Any:
    return msgspec.json.decode(msgspec.json.encode(build_blocks(parts)))


def test_text_is_text_and_nothing_is_no_block() -> None:
    """Empty texts are refused by Anthropic, and are left out; marks for its cache are kept."""
    assert build(Text("Hi", MARK), Text(""), Text(" \n"), Refusal("No."), Refusal("")) == [
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "No."},
    ]


def test_pictures_go_by_address_or_bytes() -> None:
    """Both ways of giving a picture have their source."""
    url = "https://a.b/c.png"
    assert build(Image(url=url), Image(media_type="image/JPG", data="AAAA")) == [
        {"type": "image", "source": {"type": "url", "url": url}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
        },
    ]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (File(file_id="file_1"), {"type": "file", "file_id": "file_1"}),
        (File(url="https://a.b/c.pdf"), {"type": "url", "url": "https://a.b/c.pdf"}),
        (File(text="Hi"), {"type": "text", "media_type": "text/plain", "data": "Hi"}),
        (
            File(media_type="text/csv; charset=utf-8", data=base64.b64encode(b"a,b").decode()),
            {"type": "text", "media_type": "text/plain", "data": "a,b"},
        ),
        (
            File(media_type="application/pdf", data="AAAA"),
            {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
        ),
        (File(data=PDF), {"type": "base64", "media_type": "application/pdf", "data": PDF}),
    ],
)
def test_files_are_documents(file: File, source: Any) -> None:
    """Each way of giving a document has its source; its name is its title."""
    assert build(file) == [{"type": "document", "source": source}]
    named = msgspec.structs.replace(file, name="c.pdf", cache_control=MARK)
    assert build(named) == [
        {
            "type": "document",
            "source": source,
            "title": "c.pdf",
            "cache_control": {"type": "ephemeral"},
        }
    ]


def test_a_picture_in_a_file_is_a_picture() -> None:
    """What it is counts, not how it was given."""
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    found = build(File(media_type="image/png", data="AAAA"))
    assert found == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    "part",
    [
        Audio("AAAA", "wav"),
        Image(media_type="image/bmp", data="AAAA"),
        Image(media_type="image/png"),
        Image(data="AAAA"),
        File(media_type="application/zip", data="AAAA"),
        File(data="AAAA"),
        File(),
    ],
)
def test_what_cannot_be_read_is_refused(part: Part) -> None:
    """It is never left out: the answer would be to another question."""
    with pytest.raises(NotOffered) as refusal:
        build_blocks((Text("What is this?"), part))
    assert refusal.value.param == "messages"
    with pytest.raises(NotOffered):
        build_blocks((Result("t", (part,)),))  # type: ignore[arg-type]


def test_a_text_file_is_text() -> None:
    """Bytes that are none are the client's mistake."""
    for data in ("%%%", base64.b64encode(b"\xff\xfe").decode()):
        with pytest.raises(InvalidRequest):
            build_blocks((File(media_type="text/plain", data=data),))


def test_calls_have_objects_for_arguments() -> None:
    """Arguments keep their digits; none are an empty object, and nonsense is kept as a text."""
    blocks = build_blocks((Call("t", "f", '{"a": 1.10}'), Call("u", "g"), Call("v", "h", "nope")))
    assert b'"input":{"a": 1.10}' in msgspec.json.encode(blocks)
    assert build(Call("u", "g"), Call("v", "h", "nope"), Call("w", "h", "[1]")) == [
        {"type": "tool_use", "id": "u", "name": "g", "input": {}},
        {"type": "tool_use", "id": "v", "name": "h", "input": {"invalid_arguments": "nope"}},
        {"type": "tool_use", "id": "w", "name": "h", "input": {"invalid_arguments": "[1]"}},
    ]


def test_results_have_blocks_of_their_own() -> None:
    """What a tool has answered is text, pictures or nothing; a failure says so."""
    assert build(
        Result("t", (Text("4"), Image(url="https://a.b/c")), cache_control=MARK),
        Result("u", (Text(""),), is_error=True),
    ) == [
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [
                {"type": "text", "text": "4"},
                {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}},
            ],
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "tool_result", "tool_use_id": "u", "is_error": True},
    ]


def test_only_its_own_thoughts_go_back() -> None:
    """Anthropic's go back as they came; others', and what nothing proves, are left out."""
    assert build(
        Thought("Hm", "anthropic", "c2ln"),
        Thought("", "anthropic", "ZGF0YQ==", is_redacted=True),
        Thought("", "anthropic", "c2ln"),
        Thought("Hm", "anthropic"),
        Thought("Hm", "gemini", "c2ln"),
        Thought("Hm", "openai"),
    ) == [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
    ]


def test_ids_are_kept_or_made_fit() -> None:
    """An id that Anthropic takes stays; two others never become one."""
    assert clean_id("toolu_01-A") == "toolu_01-A"
    assert clean_id("a.b") != clean_id("a:b")
    assert clean_id("x" * 300) != clean_id("x" * 301)


@given(st.text(max_size=300))
def test_any_id_is_made_fit(call_id: str) -> None:
    """Whatever a client calls a call, Anthropic gets letters, digits, `_` and `-`."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", clean_id(call_id))
    assert clean_id(call_id) == clean_id(call_id)
