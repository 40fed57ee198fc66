"""Parts of a message as OpenAI's clients are shown them, in streams and in whole answers."""

from typing import Any

import msgspec

from proxy.domain.chat import Citation, Maker
from proxy.wire.base import Ask
from proxy.wire.thought_signature import wrap_signature

_NO_TOOLS = (b"null", b"[]")

_decode_any = msgspec.json.Decoder().decode


def build_call(call_id: str, name: str, arguments: str, signature: str | None) -> dict[str, Any]:
    """Return one tool call; what Gemini wants back stands where Gemini's own endpoint has it."""
    call: dict[str, Any] = {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    if signature is not None:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


def wants_function_call(ask: Ask) -> bool:
    """
    Return whether a client has offered `functions`, the deprecated form of tools.

    It looks for its one call in `function_call`, and knows of no `tool_calls`.
    """
    old, new = (bytes(ask.fields.get(name, b"null")) for name in ("functions", "tools"))
    return old not in _NO_TOOLS and new in _NO_TOOLS


def build_thinking_block(
    text: str, maker: Maker, signature: str | None, *, is_redacted: bool
) -> dict[str, Any]:
    """
    Return one element of `thinking_blocks`: a thought that its maker wants back as it is.

    OpenAI has no such field. Its shape is that of Anthropic's blocks, which clients of several
    gateways know; the signature of another maker is marked (see `thought_signature.py`).
    """
    if is_redacted:
        return {"type": "redacted_thinking", "data": wrap_signature(maker, signature)}
    block = {"type": "thinking", "thinking": text}
    if signature is not None:
        block["signature"] = wrap_signature(maker, signature)
    return block


def build_annotation(citation: Citation, place: int) -> dict[str, Any] | None:
    """
    Return one element of `annotations`, or None where there is nothing that it could lead to.

    Args:
        citation: one without an address, such as of a document in the prompt, has no place in
            OpenAI's format.
        place: how many characters of text there are before it. It stands for positions that the
            provider has not said: clients want numbers.
    """
    if citation.raw is not None and citation.maker == "openai":
        value = _decode_any(citation.raw)
        if isinstance(value, dict):
            return value
    if citation.url is None:
        return None
    start = place if citation.start is None else citation.start
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": start,
            "end_index": max(start, place) if citation.end is None else citation.end,
            "title": citation.title or citation.url,
            "url": citation.url,
        },
    }
