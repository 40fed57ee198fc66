"""
Thoughts and citations of other vendors in what an Anthropic client sends to Anthropic itself.

Bytes pass untouched between two ends of one dialect, but for these: Anthropic refuses a whole
request for a signature that is not its own. They have our mark, see `thought_signature.py`.
"""

from typing import Any

import msgspec
from msgspec import Raw

from proxy.wire.json_text import MAX_NAMES, encode, holds_too_many_values
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.thought_signature import MARK

_MARKED = b'"' + MARK.encode()
_KINDS = ("thinking", "redacted_thinking")


class _Message(msgspec.Struct):
    role: str = ""
    content: Raw = NO_VALUE


class _Block(msgspec.Struct):
    type: str = ""
    signature: str = ""
    data: str = ""
    citations: Raw = NO_VALUE


class _Citation(msgspec.Struct):
    encrypted_index: str = ""


_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_citation = msgspec.json.Decoder(_Citation).decode


def strip_foreign_thoughts(messages: Raw) -> Raw:
    """
    Return a request's messages without what has our mark.

    Args:
        messages: the field as it came.

    Returns:
        The very same where nothing is marked, as in nearly every request. Else blocks and
        messages without a mark are byte-identical, and an assistant's message that was nothing
        but foreign thoughts is gone.

    Raises:
        Nothing: what cannot be read, or would fill the memory, is the provider's to refuse.

    Source: wire-formats §2.8; tests/wire/test_foreign_thoughts.py.
    """
    if _MARKED not in bytes(messages) or holds_too_many_values(bytes(messages), MAX_NAMES):
        return messages
    try:
        kept = [_strip_message(raw) for raw in _decode_items(messages)]
        return Raw(encode([raw for raw in kept if raw is not None]))
    except (ValueError, RecursionError):
        return messages


def _strip_message(raw: Raw) -> Raw | None:
    if _MARKED not in bytes(raw):
        return raw
    message = _decode_message(raw)
    if message.role != "assistant" or not bytes(message.content).startswith(b"["):
        return raw
    kept = [_strip_block(block) for block in _decode_items(message.content)]
    blocks = [block for block in kept if block is not None]
    if not blocks:
        return None
    fields: dict[str, Any] = _decode_fields(raw)
    return Raw(encode({**fields, "content": blocks}))


def _strip_block(raw: Raw) -> Raw | None:
    if _MARKED not in bytes(raw):
        return raw
    block = _decode_block(raw)
    if block.type in _KINDS:
        return None if (block.signature or block.data).startswith(MARK) else raw
    if not bytes(block.citations).startswith(b"["):
        return raw
    citations = [
        citation for citation in _decode_items(block.citations) if not _is_marked(citation)
    ]
    fields: dict[str, Any] = _decode_fields(raw)
    if citations:
        return Raw(encode({**fields, "citations": citations}))
    del fields["citations"]
    return Raw(encode(fields))


def _is_marked(citation: Raw) -> bool:
    return _decode_citation(citation).encrypted_index.startswith(MARK)
