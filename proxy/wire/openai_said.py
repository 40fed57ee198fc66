"""
What a delta or a message says: whether it is content, and how many bytes of it there are.

`openai_stream.py` reads deltas with it, `openai_answer.py` messages that came without usage.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.wire.openai_error import NO_VALUE

_NO_CONTENT = frozenset((b"", b"null", b'""', b"[]", b"{}", b"false", b"0"))


class Said(Struct, gc=False):
    """The members of a delta or message that a client is shown or acts on."""

    content: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    reasoning_details: Raw = NO_VALUE
    audio: Raw = NO_VALUE
    images: Raw = NO_VALUE
    function_call: Raw = NO_VALUE


_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def holds_content(said: Said) -> bool:
    """Return whether there is anything that a person could see or a program act on."""
    return bool(
        said.content or said.tool_calls or said.reasoning_content or said.reasoning or said.refusal
    ) or not _NO_CONTENT.issuperset(
        bytes(value)
        for value in (
            said.reasoning_details,
            said.audio,
            said.images,
            said.function_call,
        )
    )


def count_said_bytes(said: Said) -> int:
    """
    Return the UTF-8 bytes of text, reasoning, refusal and arguments of tool calls.

    Reasoning that is there under both its names counts once. A value of a shape that is not
    known counts as its JSON.
    """
    content = said.content
    # The common case of every chunk, without a call.
    is_ascii = type(content) is str and content.isascii()
    size = len(content) if is_ascii else count_bytes(content)
    thought = said.reasoning_content or said.reasoning
    if thought:
        size += count_bytes(thought)
    if said.refusal:
        size += count_bytes(said.refusal)
    if said.tool_calls:
        size += _count_calls(said.tool_calls)
    if said.function_call is not NO_VALUE:
        size += _count_arguments(_decode_any(said.function_call))
    return size


def count_bytes(value: Any) -> int:
    """Return the UTF-8 bytes of a decoded text, of any other value those of its JSON."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return len(_encode(value)) if value else 0


def _count_calls(calls: Any) -> int:
    if type(calls) is not list:
        return count_bytes(calls)
    size = 0
    for call in calls:
        size += _count_arguments(call.get("function") if type(call) is dict else call)
    return size


def _count_arguments(function: Any) -> int:
    if type(function) is not dict:
        return count_bytes(function)
    arguments = function.get("arguments")
    if type(arguments) is str and arguments.isascii():
        return len(arguments)
    return count_bytes(arguments)
