"""
Thoughts of OpenAI's format where bytes pass: put back into messages without reading all of them.

A client of chat completions at a provider of the same format is not translated, and loses what the
model has thought all the same. `kept_reasoning.py` does this for requests that are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.reasoning import KeptReasoning
from proxy.wire.json_text import build_object, encode

DETAILS = "reasoning_details"
"""OpenRouter's, which it wants back unaltered."""
_THOUGHTS = ("reasoning_content", "reasoning", DETAILS, "thinking_blocks")
_NOTHING = (b"null", b'""', b"[]")
_NAMED = b'"tool_calls"'


class _Call(Struct, gc=False):
    id: Any = None


_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_calls = msgspec.json.Decoder(list[_Call]).decode


def list_bare_turns(messages: Raw | bytes) -> list[tuple[str, ...]]:
    """
    Return the ids of the calls of each assistant's turn that has some and no thought.

    Args:
        messages: the raw member; of what is of another shape nothing is returned, since whoever
            gets the request will say so.
    """
    if _NAMED not in bytes(messages):
        return []
    try:
        items = _decode_items(messages)
    except (ValueError, RecursionError):
        return []
    return [ids for item in items if (ids := _read_ids(item)) and not _has_thought(item)]


def put_thoughts_back(
    messages: Raw | bytes, kept: Mapping[str, KeptReasoning], member: str
) -> Raw | bytes:
    """
    Return messages in which calls have their thoughts again.

    Args:
        messages: as `list_bare_turns` has read them.
        kept: by the first id of a turn's calls.
        member: the name by which the provider takes them.
    """
    written = []
    for item in _decode_items(messages):
        ids = _read_ids(item)
        found = kept.get(ids[0]) if ids and not _has_thought(item) else None
        written.append(build_object(item if found is None else _add(item, found, member)))
    return b"[" + b",".join(written) + b"]"


def _add(item: dict[str, Raw], kept: KeptReasoning, member: str) -> dict[str, Raw | bytes]:
    full: dict[str, Raw | bytes] = dict(item)
    text = "".join(thought.text for thought in kept.thoughts)
    if text:
        full[member] = encode(text)
    details = next((each.extra for each in kept.thoughts if each.extra is not None), None)
    if details is not None:
        full[DETAILS] = details
    return full


def _read_ids(item: dict[str, Raw]) -> tuple[str, ...]:
    if bytes(item.get("role", b"")) != b'"assistant"' or "tool_calls" not in item:
        return ()
    try:
        calls = _decode_calls(item["tool_calls"])
    except (ValueError, RecursionError):
        return ()
    return tuple(call.id for call in calls if isinstance(call.id, str))


def _has_thought(item: dict[str, Raw]) -> bool:
    return any(bytes(item[name]) not in _NOTHING for name in _THOUGHTS if name in item)
