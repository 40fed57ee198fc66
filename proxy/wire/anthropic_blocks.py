"""Parts of a chat request -> the content blocks of Anthropic's messages."""

import base64
import re
from typing import Any
from zlib import crc32

import msgspec
from msgspec import Raw

from proxy.domain.chat import Call, File, Image, Part, Refusal, Result, Text, Thought
from proxy.domain.errors import InvalidRequest, NotOffered

Json = dict[str, Any]
"""An object that is about to be written; its values may be Raw."""

_PICTURES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_PDF = "application/pdf"
_PDF_START = "JVBERi"
"""`%PDF` in Base64."""
_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_OF_ID = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_START = 100
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def build_blocks(parts: tuple[Part, ...]) -> list[Json]:
    """
    Return the blocks of some parts of one message, in their order.

    What a text of nothing says, and thoughts of other makers or without proof, have no block.

    Raises:
        NotOffered: sound, or a picture or document of a type that Anthropic does not read.
        InvalidRequest: a text file whose bytes are no text.

    Source: wire-formats §3.1; tests/wire/test_anthropic_blocks.py.
    """
    blocks = []
    for part in parts:
        block = _build(part)
        if block is not None:
            blocks.append(block)
    return blocks


def clean_id(call_id: str) -> str:
    """
    Return the id of a call as Anthropic takes it; the same for the call and for its result.

    An id of its own stays as it is. In any other, what is not allowed in one is replaced, and
    what tells two such ids apart is put behind.
    """
    if _ID.fullmatch(call_id):
        return call_id
    start = _NOT_OF_ID.sub("_", call_id[:_LONGEST_START])
    return f"{start}_{crc32(call_id.encode('utf-8', 'replace')):08x}"


def _build(part: Part) -> Json | None:
    if isinstance(part, Text):
        return _mark({"type": "text", "text": part.text}, part) if part.text.strip() else None
    if isinstance(part, Image):
        return _mark(_build_image(part), part)
    if isinstance(part, File):
        return _mark(_build_file(part), part)
    if isinstance(part, Call):
        call = {"type": "tool_use", "id": clean_id(part.id), "name": part.name}
        return _mark(call | {"input": _read_arguments(part.arguments)}, part)
    if isinstance(part, Result):
        return _mark(_build_result(part), part)
    if isinstance(part, Thought):
        return _build_thought(part)
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    raise _refuse("sound")


def _mark(block: Json, part: Text | Image | File | Call | Result) -> Json:
    if part.cache_control is not None:
        block["cache_control"] = part.cache_control
    return block


def _build_image(image: Image) -> Json:
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    return _build_picture(image.media_type, image.data)


def _build_picture(media_type: str | None, data: str | None) -> Json:
    kind = (media_type or "").lower()
    kind = "image/jpeg" if kind == "image/jpg" else kind
    if kind not in _PICTURES or data is None:
        raise _refuse("other pictures than JPEG, PNG, GIF and WebP")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _build_file(file: File) -> Json:
    kind = (file.media_type or "").partition(";")[0].strip().lower()
    if file.file_id is not None:
        source: Json = {"type": "file", "file_id": file.file_id}
    elif file.url is not None:
        source = {"type": "url", "url": file.url}
    elif file.text is not None:
        source = _build_text_source(file.text)
    elif kind.startswith("image/"):
        return _build_picture(kind, file.data)
    elif kind.startswith("text/") or kind == "application/json":
        source = _build_text_source(_decode_text(file.data or ""))
    elif kind == _PDF or (file.data or "").startswith(_PDF_START):
        source = {"type": "base64", "media_type": _PDF, "data": file.data or ""}
    else:
        raise _refuse("other files than PDF, text and pictures")
    block = {"type": "document", "source": source}
    return block | {"title": file.name} if file.name else block


def _build_text_source(text: str) -> Json:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _decode_text(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        raise InvalidRequest(
            "A text file's data must be UTF-8 in Base64.", param="messages"
        ) from None


def _build_result(result: Result) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": clean_id(result.call_id)}
    content = build_blocks(result.parts)
    if content:
        block["content"] = content
    return block | {"is_error": True} if result.is_error else block


def _build_thought(thought: Thought) -> Json | None:
    if thought.maker != "anthropic" or not thought.signature:
        return None
    if thought.is_redacted:
        return {"type": "redacted_thinking", "data": thought.signature}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _read_arguments(text: str) -> Raw | Json:
    """Return the arguments as an object: what a model made up need not have been one."""
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        return {"invalid_arguments": text} if text.strip() else {}
    return Raw(text.encode())


def _refuse(what: str) -> NotOffered:
    return NotOffered(f"This provider does not read {what}.", param="messages")
