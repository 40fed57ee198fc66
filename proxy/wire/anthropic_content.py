"""The blocks of an Anthropic client's messages, as parts that any provider may be given."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import File, Image, Result, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.model_name import is_plain_name
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.shape_fault import build_shape_fault

_T = TypeVar("_T")


class Block(Struct):
    """A block of any type; what its type does not have is empty."""

    type: str
    text: str | None = None
    source: Raw = NO_VALUE
    content: Raw = NO_VALUE
    title: str | None = None
    context: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NO_VALUE
    tool_use_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: Raw = NO_VALUE
    citations: Raw = NO_VALUE


class _Citations(Struct):
    enabled: bool | None = None


class _Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: Raw = NO_VALUE


_decode_source = msgspec.json.Decoder(_Source).decode
_decode_citations = msgspec.json.Decoder(_Citations).decode
_decode_content = msgspec.json.Decoder(str | list[Block]).decode
_decode_text = msgspec.json.Decoder(str).decode


def decode_member(decode: Callable[[Any], _T], raw: Raw, place: str) -> _T:
    """
    Return a decoded member of a request.

    Args:
        decode: decoder of the type that is taken.
        raw: its bytes, which are JSON.
        place: where it stands, such as `messages[0].content`.

    Raises:
        InvalidRequest: it is of another type; `param` says where.

    Source: tests/wire/test_anthropic_content.py.
    """
    try:
        return decode(raw)
    except (ValueError, RecursionError) as error:
        raise build_shape_fault(error, place) from None


def find_raw(raw: Raw) -> Raw | None:
    """Return a raw member, None where it did not come or is null."""
    return None if bytes(raw) in (b"", b"null") else raw


def read_parts(block: Block, place: str) -> list[Text | Image | File]:
    """
    Return what a block says to a model, whoever made it.

    Args:
        block: text, image, document, search_result or tool_reference.
        place: where it stands.

    Raises:
        InvalidRequest: it has not what its type must have.
        NotOffered: it is something that only Anthropic knows.

    Source: wire-formats §3.1; tests/wire/test_anthropic_content.py.
    """
    mark = find_raw(block.cache_control)
    if block.type == "text":
        return [Text(require(block.text, place, "text"), mark)]
    if block.type == "image":
        return [_read_image(_read_source(block, place), mark, f"{place}.source")]
    if block.type == "document":
        parts: list[Text | Image | File] = [Text(block.context)] if block.context else []
        return parts + _read_document(block, _read_source(block, place), mark, f"{place}.source")
    if block.type == "search_result":
        return [_read_search_result(block, mark, place)]
    if block.type == "tool_reference":
        # What a search for tools has found: another vendor's model is given all of them at once.
        return [Text(require(block.tool_name, place, "tool_name"))]
    shown = f" '{block.type}'" if is_plain_name(block.type) else ""
    raise NotOffered(f"The provider knows no block of the type{shown}.", param=f"{place}.type")


def read_result(block: Block, place: str) -> Result:
    """
    Return a `tool_result`.

    Raises:
        InvalidRequest: it does not say of which call it is, or has no content that can be read.
        NotOffered: a part of it is something that only Anthropic knows.
    """
    call_id = require(block.tool_use_id, place, "tool_use_id")
    parts = _read_content(block.content, f"{place}.content")
    return Result(call_id, tuple(parts), bool(block.is_error), find_raw(block.cache_control))


def wants_citations(block: Block) -> bool:
    """Return whether the answer is to say which of its words are from this block."""
    if block.type not in ("document", "search_result"):
        return False
    try:
        return bool(_decode_citations(block.citations).enabled)
    except (ValueError, RecursionError):
        return False


def require(text: str | None, place: str, name: str) -> str:
    """
    Return a member that a block of its type must have.

    Raises:
        InvalidRequest: it has none; `param` says which.
    """
    if text is None:
        raise InvalidRequest(f"'{place}.{name}' is missing.", param=f"{place}.{name}")
    return text


def _read_content(raw: Raw, place: str) -> list[Text | Image | File]:
    if find_raw(raw) is None:
        return []
    content = decode_member(_decode_content, raw, place)
    if isinstance(content, str):
        return [Text(content)]
    return [
        part
        for position, block in enumerate(content)
        for part in read_parts(block, f"{place}[{position}]")
    ]


def _read_source(block: Block, place: str) -> _Source:
    if find_raw(block.source) is None:
        raise InvalidRequest(f"'{place}.source' is missing.", param=f"{place}.source")
    return decode_member(_decode_source, block.source, f"{place}.source")


def _read_image(source: _Source, mark: Raw | None, place: str) -> Image:
    if source.type == "base64":
        media_type = require(source.media_type, place, "media_type")
        data = require(source.data, place, "data")
        return Image(media_type=media_type, data=data, cache_control=mark)
    if source.type == "url":
        return Image(url=require(source.url, place, "url"), cache_control=mark)
    raise _refuse_source(source, place)


def _read_document(
    block: Block, source: _Source, mark: Raw | None, place: str
) -> list[Text | Image | File]:
    name = block.title
    if source.type == "base64":
        media_type = source.media_type or "application/pdf"
        data = require(source.data, place, "data")
        return [File(media_type=media_type, data=data, name=name, cache_control=mark)]
    if source.type == "text":
        text = require(source.data, place, "data")
        media_type = source.media_type or "text/plain"
        document = File(text=text, media_type=media_type, name=name, cache_control=mark)
        return [Text(name), document] if name else [document]
    if source.type == "url":
        return [File(url=require(source.url, place, "url"), name=name, cache_control=mark)]
    if source.type == "content":
        parts = _read_content(source.content, f"{place}.content")
        return [Text(name), *parts] if name else parts
    raise _refuse_source(source, place)


def _refuse_source(source: _Source, place: str) -> InvalidRequest:
    param = f"{place}.type"
    if source.type == "file":
        return NotOffered("The provider does not have files of Anthropic's.", param=param)
    return InvalidRequest(f"'{param}' is no source that is known.", param=param)


def _read_search_result(block: Block, mark: Raw | None, place: str) -> Text:
    """Return a search result as the text that another vendor's model can read."""
    source = ""
    if find_raw(block.source) is not None:
        source = decode_member(_decode_text, block.source, f"{place}.source")
    said = [
        part.text
        for part in _read_content(block.content, f"{place}.content")
        if isinstance(part, Text)
    ]
    head = [line for line in (block.title, source) if line]
    return Text("\n".join([*head, *said]), mark)
