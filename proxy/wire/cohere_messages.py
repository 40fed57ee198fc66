"""
Messages of any dialect, written for Cohere's chat: as OpenAI has them, with less in them.

Text that comes with calls is their plan there. Thoughts are not wanted back.
"""

from collections.abc import Sequence
from typing import Any

from proxy.domain.chat import Message
from proxy.domain.errors import NotOffered
from proxy.wire.openai_messages import write_messages

_TAKEN = frozenset(("text", "image_url"))


def write_cohere_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """
    Return messages as Cohere's `/v2/chat` has them, ready to be encoded.

    Args:
        messages: of any dialect.

    Raises:
        NotOffered: files other than pictures and text, sound, or a system message that is not
            text alone.

    Source: wire-formats §3.3; tests/wire/test_cohere_messages.py.
    """
    return [_write(message) for message in write_messages(messages, None)]


def _write(message: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message["role"]}
    content = message["content"] or message.get("refusal") or ""
    if message["role"] == "assistant" and "tool_calls" in message:
        if content:
            written["tool_plan"] = content
        return {**written, "tool_calls": message["tool_calls"]}
    if message["role"] == "tool":
        written["tool_call_id"] = message["tool_call_id"]
    if isinstance(content, list):
        _check_parts(message["role"], content)
    return {**written, "content": content}


def _check_parts(role: str, parts: list[dict[str, Any]]) -> None:
    if role == "system":
        raise NotOffered("Cohere takes nothing but text as a system message.", param="messages")
    if any(part["type"] not in _TAKEN for part in parts):
        raise NotOffered("Cohere takes text and pictures, and no other files.", param="messages")
