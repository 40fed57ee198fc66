"""
Whether a loop of calls may go on with thinking, in messages of Anthropic's own clients.

`anthropic_thinking.py` asks the same of what is written anew.
"""

import msgspec
from msgspec import Raw, Struct

from proxy.wire.json_text import MAX_NAMES, holds_too_many_values

_THOUGHTS = ("thinking", "redacted_thinking")

_RESULT = b'"tool_use_id"'
_OWN_ID = b'"toolu_'
_LONGEST_GAP = 64


class _Block(Struct):
    type: str = ""


class _Turn(Struct):
    role: str = ""
    content: str | list[_Block] = ""


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode


def lacks_thoughts(messages: Raw) -> bool:
    """
    Return whether a call is being answered before which there is no thought.

    Where thinking is on, Anthropic refuses such a conversation.

    Args:
        messages: of a request; what cannot be read of them is for Anthropic to refuse.

    Source: wire-formats §3.1; tests/wire/test_anthropic_loops.py.
    """
    if holds_too_many_values(bytes(messages), MAX_NAMES):
        return False
    try:
        turns = _decode_turns(messages)
    except (ValueError, RecursionError):
        return False
    for turn in reversed(turns):
        kinds = [] if isinstance(turn.content, str) else [block.type for block in turn.content]
        if turn.role == "assistant":
            return "tool_use" in kinds and kinds[0] not in _THOUGHTS
        if turn.role == "user" and "tool_result" not in kinds:
            return False
    return False


def answers_foreign_call(messages: Raw) -> bool:
    """
    Return whether the last result of a tool may be of a call that no Claude has made.

    It is only looked for, not read: whether it matters is what `lacks_thoughts` says.

    Args:
        messages: of a request.
    """
    text = bytes(messages)
    place = text.rfind(_RESULT)
    if place < 0:
        return False
    start = place + len(_RESULT)
    return not text[start : start + _LONGEST_GAP].lstrip(b" :\t\r\n").startswith(_OWN_ID)
