"""Tests of `proxy/wire/anthropic_content.py`."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from proxy.domain.chat import File, Image, Result, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.anthropic_content import (
    Block,
    decode_member,
    find_raw,
    read_parts,
    read_result,
    require,
    wants_citations,
)

MARK = {"type": "ephemeral"}


def block(kind: str, **members: Any) -> Block:
    return msgspec.json.decode(json.dumps({"type": kind, **members}), type=Block)


def parts(kind: str, **members: Any) -> list[Any]:
    return list(read_parts(block(kind, **members), "m[0]"))


def refused(kind: str, **members: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as found:
        parts(kind, **members)
    assert "canary" not in found.value.message
    return found.value


def mark(part: Any) -> Any:
    return json.loads(bytes(part.cache_control))


def test_text_is_text() -> None:
    """A mark for the cache stays with it, and its own citations are left out."""
    assert parts("text", text="x") == [Text("x")]
    assert parts("text", text="x", citations=[{"a": 1}], cache_control=None) == [Text("x")]
    assert mark(parts("text", text="x", cache_control=MARK)[0]) == MARK


def test_pictures_come_by_address_or_as_bytes() -> None:
    """Either way the picture is kept as it came, and its mark with it."""
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert parts("image", source=source) == [Image(media_type="image/png", data="AAAA")]
    assert parts("image", source={"type": "url", "url": "https://a"}) == [Image(url="https://a")]
    assert mark(parts("image", source=source, cache_control=MARK)[0]) == MARK


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            File(media_type="application/pdf", data="AAAA", name="T"),
        ),
        (
            {"type": "base64", "data": "AAAA"},
            File(media_type="application/pdf", data="AAAA", name="T"),
        ),
        ({"type": "url", "url": "https://a"}, File(url="https://a", name="T")),
    ],
)
def test_documents_are_files(source: dict[str, str], expected: File) -> None:
    """Title, type and content are kept, wherever the content is."""
    assert parts("document", source=source, title="T") == [expected]
    assert mark(parts("document", source=source, cache_control=MARK)[0]) == MARK


def test_the_title_of_a_document_of_text_stands_before_it() -> None:
    """Text has no file's name elsewhere, and a question may be about one of several documents."""
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    document = File(text="words", media_type="text/plain", name="T")
    assert parts("document", source=source, title="T") == [Text("T"), document]
    assert len(parts("document", source=source)) == 1


def test_the_context_of_a_document_stands_before_it() -> None:
    """It is what the client says about the document, and no part of that."""
    source = {"type": "text", "data": "words"}
    assert parts("document", source=source, context="About it.")[0] == Text("About it.")


def test_a_document_of_blocks_is_those_blocks() -> None:
    """Its title goes before them."""
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    source = {"type": "content", "content": content}
    assert parts("document", source=source, title="T") == [Text("T"), Text("a"), Text("b")]
    assert parts("document", source={"type": "content", "content": "a"}) == [Text("a")]


def test_a_search_result_is_the_text_it_holds() -> None:
    """Title and source stand in its first lines."""
    found = parts(
        "search_result",
        source="https://a",
        title="T",
        content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    )
    assert found == [Text("T\nhttps://a\na\nb")]


def test_a_tool_that_was_found_is_named() -> None:
    """The model reads which tool its search has found."""
    assert parts("tool_reference", tool_name="f") == [Text("f")]


@pytest.mark.parametrize(
    ("kind", "members", "param"),
    [
        ("text", {}, "m[0].text"),
        ("image", {}, "m[0].source"),
        ("image", {"source": "canary"}, "m[0].source"),
        ("image", {"source": {"type": "base64", "data": "canary"}}, "m[0].source.media_type"),
        ("image", {"source": {"type": "base64", "media_type": "canary"}}, "m[0].source.data"),
        ("image", {"source": {"type": "url"}}, "m[0].source.url"),
        ("image", {"source": {"type": "url", "url": 1}}, "m[0].source.url"),
        ("image", {"source": {"type": "canary"}}, "m[0].source.type"),
        ("document", {"source": None}, "m[0].source"),
        ("document", {"source": {"type": "text"}}, "m[0].source.data"),
        (
            "document",
            {"source": {"type": "content", "content": [{"canary": 1}]}},
            "m[0].source.content[0].type",
        ),
        ("tool_reference", {}, "m[0].tool_name"),
    ],
)
def test_what_is_missing_or_wrong_is_named(kind: str, members: dict[str, Any], param: str) -> None:
    """The client learns where to look, and nothing that it has sent is repeated."""
    error = refused(kind, **members)
    assert error.param == param
    assert not isinstance(error, NotOffered)


@pytest.mark.parametrize(
    ("kind", "members", "param"),
    [
        ("image", {"source": {"type": "file", "file_id": "canary"}}, "m[0].source.type"),
        ("document", {"source": {"type": "file", "file_id": "canary"}}, "m[0].source.type"),
        ("container_upload", {"file_id": "canary"}, "m[0].type"),
        ("a canary", {}, "m[0].type"),
    ],
)
def test_what_only_anthropic_knows_is_not_offered(
    kind: str, members: dict[str, Any], param: str
) -> None:
    """Another provider of the route may know it: nothing is wrong with the request itself."""
    error = refused(kind, **members)
    assert isinstance(error, NotOffered)
    assert error.param == param


def test_a_result_has_the_content_of_its_call() -> None:
    """Text alone, blocks or nothing; and whether the tool has failed."""
    assert read_result(block("tool_result", tool_use_id="c", content="x"), "m") == Result(
        "c", (Text("x"),)
    )
    assert read_result(block("tool_result", tool_use_id="c"), "m") == Result("c", ())
    source = {"type": "url", "url": "https://a"}
    content = [{"type": "text", "text": "x"}, {"type": "image", "source": source}]
    found = read_result(block("tool_result", tool_use_id="c", content=content, is_error=True), "m")
    assert found == Result("c", (Text("x"), Image(url="https://a")), is_error=True)
    marked = read_result(block("tool_result", tool_use_id="c", cache_control=MARK), "m")
    assert mark(marked) == MARK


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"content": "canary"}, "m.tool_use_id"),
        ({"tool_use_id": "c", "content": 1}, "m.content"),
        ({"tool_use_id": "c", "content": [{"type": "text"}]}, "m.content[0].text"),
        ({"tool_use_id": "c", "content": [{"type": "text", "text": 1}]}, "m.content[0].text"),
    ],
)
def test_a_result_that_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    """Down to the member that cannot be read."""
    with pytest.raises(InvalidRequest) as found:
        read_result(block("tool_result", **members), "m")
    assert found.value.param == param


def test_a_member_that_did_not_come_is_none() -> None:
    """Absent and null mean the same."""
    assert find_raw(Raw(b"")) is None
    assert find_raw(Raw(b"null")) is None
    assert find_raw(Raw(b"{}")) == Raw(b"{}")


def test_who_wants_citations_says_so_at_a_document() -> None:
    """Text has citations of its own, which are no wish."""
    assert wants_citations(block("document", citations={"enabled": True}))
    assert wants_citations(block("search_result", citations={"enabled": True}))
    assert not wants_citations(block("document", citations={"enabled": False}))
    assert not wants_citations(block("document", citations="canary"))
    assert not wants_citations(block("document"))
    assert not wants_citations(block("text", text="x", citations=[{"enabled": True}]))


def test_members_are_decoded_or_named() -> None:
    """The type that is wanted comes back; of any other only the place is told."""
    decode = msgspec.json.Decoder(list[int]).decode
    assert decode_member(decode, Raw(b"[1]"), "a") == [1]
    with pytest.raises(InvalidRequest) as found:
        decode_member(decode, Raw(b'[1,"canary"]'), "a")
    assert found.value.param == "a[1]"
    assert "canary" not in found.value.message
    assert require("", "a", "b") == ""
