"""An Anthropic client's request, read for a provider that speaks another dialect."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.chat import NO_ARGUMENTS, Call, ChatRequest, Message, Part, Text, Thought
from proxy.domain.errors import InvalidRequest
from proxy.wire.anthropic_content import (
    Block,
    decode_member,
    find_raw,
    read_parts,
    read_result,
    require,
    wants_citations,
)
from proxy.wire.anthropic_options import read_options
from proxy.wire.base import Ask
from proxy.wire.thought_signature import split_call_signature, unwrap_signature

_WANTED = Raw(b'{"enabled":true}')
_READABLE = frozenset(("text", "image", "document", "search_result"))


class _Message(Struct):
    role: str
    content: str | list[Block]


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_system = msgspec.json.Decoder(str | list[Block]).decode


def read_anthropic_chat(ask: Ask) -> ChatRequest:
    """
    Return what a request for a message asks, dialects aside.

    What only Anthropic's servers have put into earlier answers, such as its web searches, is
    passed over: another vendor's model has no use for it. Top-level fields that have no place in
    a ChatRequest are in `extra`, and so is `citations` where a document asks for them.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        NotOffered: content or a tool that only Anthropic knows.

    Source: wire-formats §2.8 and §3.1; tests/wire/test_anthropic_chat_reader.py.
    """
    messages = decode_member(_decode_messages, ask.fields["messages"], "messages")
    read = [
        *_read_system(ask.fields.get("system")),
        *(
            turn
            for position, message in enumerate(messages)
            for turn in _read_message(message, f"messages[{position}]")
        ),
    ]
    chat = read_options(ask.fields, tuple(read))
    if any(wants_citations(block) for turn in messages for block in _list_blocks(turn.content)):
        chat.extra["citations"] = _WANTED
    return chat


def _read_system(raw: Raw | None) -> Iterator[Message]:
    if raw is None or find_raw(raw) is None:
        return
    system = decode_member(_decode_system, raw, "system")
    if texts := _read_texts(system, "system"):
        yield Message("system", texts)


def _read_message(message: _Message, place: str) -> Iterator[Message]:
    if message.role == "user":
        yield from _read_user(_list_blocks(message.content), f"{place}.content")
    elif message.role == "assistant":
        parts = _read_assistant(_list_blocks(message.content), f"{place}.content")
        yield Message("assistant", tuple(parts))
    elif message.role == "system":
        yield Message("system", _read_texts(message.content, f"{place}.content"))
    else:
        raise InvalidRequest(
            f"'{place}.role' must be user, assistant or system.", param=f"{place}.role"
        )


def _list_blocks(content: str | list[Block]) -> Sequence[Block]:
    return [Block("text", content)] if isinstance(content, str) else content


def _read_texts(content: str | list[Block], place: str) -> tuple[Text, ...]:
    texts = []
    for position, block in enumerate(_list_blocks(content)):
        where = f"{place}[{position}]"
        if block.type != "text":
            raise InvalidRequest(f"'{where}.type' must be 'text'.", param=f"{where}.type")
        texts.append(Text(require(block.text, where, "text"), find_raw(block.cache_control)))
    return tuple(texts)


def _read_user(blocks: Sequence[Block], place: str) -> Iterator[Message]:
    """Return one message for each result of a tool, and one for what stands between them."""
    if not blocks:
        raise InvalidRequest(f"'{place}' is empty.", param=place)
    parts: list[Part] = []
    for position, block in enumerate(blocks):
        where = f"{place}[{position}]"
        if block.type == "tool_result":
            if parts:
                yield Message("user", tuple(parts))
                parts.clear()
            yield Message("tool", (read_result(block, where),))
        else:
            parts += read_parts(block, where)
    if parts:
        yield Message("user", tuple(parts))


def _read_assistant(blocks: Sequence[Block], place: str) -> list[Part]:
    parts: list[Part] = []
    signature: str | None = None
    for position, block in enumerate(blocks):
        where = f"{place}[{position}]"
        if block.type in ("thinking", "redacted_thinking"):
            thought, signature = _read_thought(block, where)
            if thought is not None:
                parts.append(thought)
        elif block.type == "tool_use":
            parts.append(replace(_read_call(block, where), signature=signature))
            signature = None
        elif block.type in _READABLE:
            parts += read_parts(block, where)
    return parts


def _read_thought(block: Block, place: str) -> tuple[Thought | None, str | None]:
    """Return a thought, and the signature of the call behind it, where it has that one."""
    is_redacted = block.type == "redacted_thinking"
    # Some clients leave a signature out where it is empty.
    shown = require(block.data, place, "data") if is_redacted else block.signature or ""
    maker, signature = unwrap_signature(shown)
    signature, of_call = split_call_signature(maker, signature)
    text = "" if is_redacted else require(block.thinking, place, "thinking")
    if of_call is not None and not text:
        return None, of_call
    return Thought(text, maker, signature, is_redacted=is_redacted), of_call


def _read_call(block: Block, place: str) -> Call:
    call_id, name = require(block.id, place, "id"), require(block.name, place, "name")
    raw = find_raw(block.input)
    arguments = NO_ARGUMENTS if raw is None else bytes(raw).decode()
    if not arguments.startswith("{"):
        raise InvalidRequest(f"'{place}.input' must be an object.", param=f"{place}.input")
    return Call(call_id, name, arguments, cache_control=find_raw(block.cache_control))
