"""A chat completion's request, read for a provider that speaks another dialect."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.chat import (
    NO_ARGUMENTS,
    Audio,
    Call,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.base import Ask
from proxy.wire.openai_content import ContentPart, RawPart, read_content
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_options import read_options
from proxy.wire.openai_tools import find_raw
from proxy.wire.shape_fault import build_shape_fault
from proxy.wire.thought_signature import unwrap_signature


class _Function(Struct):
    name: str
    arguments: str | dict[str, Any] | None = None


class _Google(Struct):
    thought_signature: str | None = None


class _ExtraContent(Struct):
    google: _Google | None = None


class _Call(Struct):
    id: str | None = None
    type: str = "function"
    function: _Function | None = None
    extra_content: _ExtraContent | None = None
    cache_control: Raw = NO_VALUE


class _Block(Struct):
    type: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None


class _Message(Struct):
    role: str
    content: str | list[str | RawPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    function_call: _Function | None = None
    audio: Raw = NO_VALUE
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Raw = NO_VALUE
    thinking_blocks: list[_Block] | None = None
    cache_control: Raw = NO_VALUE


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_encode = msgspec.json.encode


def read_openai_chat(ask: Ask) -> ChatRequest:
    """
    Return what a chat completion asks, dialects aside.

    Members that no provider of another dialect has a use for are passed over within messages;
    at the top level they are in `extra`.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        NotOffered: content, a tool or a format that only OpenAI knows.

    Source: wire-formats §2.2; tests/wire/test_openai_chat_reader.py.
    """
    try:
        raw = _decode_messages(ask.fields["messages"])
    except (ValueError, RecursionError) as error:
        raise build_shape_fault(error, "messages") from None
    reader = _Reader()
    messages = tuple(reader.read(item, f"messages[{n}]") for n, item in enumerate(raw))
    return read_options(ask.fields, messages)


class _Reader:
    """Reads one message after the other: the deprecated form of calls has no ids but this order."""

    def __init__(self) -> None:
        self._named_calls: dict[str, str] = {}
        """Of each function that was called without an id, the id that its last call has got."""
        self._unnamed_count = 0

    def read(self, raw: _Message, place: str) -> Message:
        if bytes(raw.audio) not in (b"", b"null"):
            raise NotOffered(
                "The provider does not know the audio of an earlier answer.",
                param=f"{place}.audio",
            )
        content = read_content(raw.content, f"{place}.content")
        if content and find_raw(raw.cache_control) is not None:
            content[-1] = _mark(content[-1], raw.cache_control)
        if raw.role in ("system", "developer"):
            return Message("system", _keep_texts(content, place), raw.name)
        if raw.role == "user":
            return Message("user", tuple(content), raw.name)
        if raw.role == "assistant":
            return Message("assistant", self._read_assistant(raw, content, place), raw.name)
        if raw.role == "tool":
            return Message("tool", (_read_result(raw.tool_call_id, content, place),))
        if raw.role == "function":
            call_id = self._named_calls.get(raw.name or "")
            return Message("tool", (_read_result(call_id, content, place),))
        raise InvalidRequest(
            f"'{place}.role' must be developer, system, user, assistant, tool or function.",
            param=f"{place}.role",
        )

    def _read_assistant(
        self, raw: _Message, content: Sequence[ContentPart], place: str
    ) -> tuple[Part, ...]:
        parts: list[Part] = [*_read_thoughts(raw), *content]
        if raw.refusal:
            parts.append(Refusal(raw.refusal))
        for position, call in enumerate(raw.tool_calls or ()):
            where = f"{place}.tool_calls[{position}]"
            if call.type != "function" or call.function is None:
                raise NotOffered("The provider knows calls of functions only.", param=where)
            if not call.id:
                raise InvalidRequest(f"'{where}.id' is missing.", param=f"{where}.id")
            extra = call.extra_content
            google = None if extra is None else extra.google
            signature = None if google is None else google.thought_signature
            mark = find_raw(call.cache_control)
            arguments = _read_arguments(call.function)
            parts.append(Call(call.id, call.function.name, arguments, signature, mark))
        old = raw.function_call
        if old is not None and not raw.tool_calls:
            self._unnamed_count += 1
            call_id = f"call_{self._unnamed_count}_{old.name}"
            self._named_calls[old.name] = call_id
            arguments = _read_arguments(old)
            parts.append(Call(call_id, old.name, arguments))
        return tuple(parts)


def _read_arguments(function: _Function) -> str:
    """Return the arguments of a call: what a model has made up need not be JSON, and is kept."""
    arguments = function.arguments
    if isinstance(arguments, dict):
        return _encode(arguments).decode()
    return arguments if arguments is not None and arguments.strip() else NO_ARGUMENTS


def _read_thoughts(raw: _Message) -> list[Thought]:
    """Return what was thought: as blocks that are signed, or as the text that there is."""
    thoughts = []
    for block in raw.thinking_blocks or ():
        if block.type == "redacted_thinking" and block.data:
            maker, data = unwrap_signature(block.data)
            thoughts.append(Thought("", maker, data, is_redacted=True))
        elif block.type == "thinking":
            maker, signature = unwrap_signature(block.signature or "")
            thoughts.append(Thought(block.thinking, maker, signature))
    if thoughts:
        return thoughts
    text = raw.reasoning_content or raw.reasoning or ""
    details = find_raw(raw.reasoning_details)
    return [Thought(text, "openai", extra=details)] if text or details is not None else []


def _read_result(call_id: str | None, content: Sequence[ContentPart], place: str) -> Result:
    if not call_id:
        raise InvalidRequest(
            f"'{place}.tool_call_id' must name the call that this answers.",
            param=f"{place}.tool_call_id",
        )
    parts = []
    for part in content:
        if not isinstance(part, Text | Image | File):
            raise NotOffered("A tool's result has text, images or files.", param=f"{place}.content")
        parts.append(part)
    return Result(call_id, tuple(parts))


def _keep_texts(content: Sequence[ContentPart], place: str) -> tuple[Text, ...]:
    texts = [part for part in content if isinstance(part, Text)]
    if len(texts) < len(content):
        raise InvalidRequest(f"'{place}.content' must be text.", param=f"{place}.content")
    return tuple(texts)


def _mark(part: ContentPart, cache_control: Raw) -> ContentPart:
    if isinstance(part, Audio | Refusal):
        return part
    return replace(part, cache_control=cache_control)
