"""
Clients of other dialects at a provider that only knows OpenAI's chats: there and back.

`openai_format.py` calls it. What a client asks becomes a chat completion, and the provider's
answer to that becomes the client's.
"""

from collections.abc import MutableSequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.chat import ChatRequest, Format, Message, Text, ToolChoice
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.providers.kind import READ_AS_CHAT, Kind
from proxy.providers.openai_models import fit_to_model
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.json_text import encode
from proxy.wire.openai_answer import read_openai_answer
from proxy.wire.openai_chat_writer import EFFORT, LIMIT, write_openai_chat
from proxy.wire.openai_events import OpenAIEvents, read_openai_events
from proxy.wire.openai_stream import OpenAIStream, Repair
from proxy.wire.translated_answer import translate_answer
from proxy.wire.translated_stream import TranslatedStream

_SCHEMA_WORDS = "Answer with nothing but JSON that fits this JSON schema: "
_decode_text = msgspec.json.Decoder(str).decode


def is_foreign(kind: Kind, operation: Operation) -> bool:
    """Return whether a type has no such operation itself, and can answer it by a chat."""
    return operation in READ_AS_CHAT and operation not in kind.operations


def build_chat_ask(ask: Ask, kind: Kind, model: str, dropped: MutableSequence[str]) -> Ask:
    """
    Return what a client of another dialect asks, as a client of chat completions would.

    Args:
        ask: the client's.
        kind: of the provider; its renames and drops are not yet applied.
        model: its name at the provider.
        dropped: gets the names of what has no place in a chat completion.

    Raises:
        InvalidRequest: a part of it cannot be read; `param` says which.
        NotOffered: it holds what a chat completion cannot carry.
    """
    chat = read_chat(ask)
    if not kind.has_schemas:
        chat = _ask_for_schema(chat, dropped)
    chat = _narrow_tools(chat, kind)
    fields: dict[str, Raw | bytes] = {"model": encode(ask.model)}
    fields.update(
        write_openai_chat(chat, dropped, also_takes=kind.also_takes, thoughts_as=kind.thoughts_as)
    )
    _fit_thinking(fields, chat, kind, dropped)
    if kind.has_openai_models:
        fit_to_model(fields, model, dropped)
    if LIMIT in fields:
        fields[kind.limit_field] = fields.pop(LIMIT)
    raw = {name: value if isinstance(value, Raw) else Raw(value) for name, value in fields.items()}
    return replace(_derive(ask), fields=raw)


def open_foreign_stream(ask: Ask, max_event_bytes: int, repair: Repair | None) -> StreamReader:
    """Return the reader of a chat completion's stream that a client of another dialect gets."""
    stream = OpenAIStream(_derive(ask), max_event_bytes, repair)
    return TranslatedStream(ask, OpenAIEvents(stream), find_dialect(ask.operation).open_writer(ask))


def read_foreign_answer(
    ask: Ask, body: bytes, repair: Repair | None, *, as_stream: bool = False
) -> CheckedAnswer:
    """
    Return a chat completion as a client of another dialect gets it.

    Args:
        ask: the client's.
        body: the provider's answer.
        repair: makes it regular.
        as_stream: the client gets it as the stream that it asked for.

    Raises:
        UpstreamError: an error inside the 200, or a body that is no chat completion.
    """
    checked = read_openai_answer(_derive(ask), body, repair)
    events: list[Event] = read_openai_events(checked.body)
    return translate_answer(ask, events, checked.anomalies, as_stream=as_stream)


def _ask_for_schema(chat: ChatRequest, dropped: MutableSequence[str]) -> ChatRequest:
    """Return a request that asks in words for what its format cannot be bound to."""
    if chat.format is None or chat.format.schema is None:
        return chat
    dropped.append("response_format")
    words = Text(f"{_SCHEMA_WORDS}{bytes(chat.format.schema).decode()}")
    messages = (Message("system", (words,)), *chat.messages)
    return replace(chat, messages=messages, format=Format())


def _narrow_tools(chat: ChatRequest, kind: Kind) -> ChatRequest:
    """Return a request that offers no other tools than may be called, if that must be said so."""
    choice = chat.tool_choice
    if choice is None or not choice.names or kind.tool_choices == "sets":
        return chat
    is_one = choice.mode == "required" and len(choice.names) == 1
    kept = tuple(tool for tool in chat.tools if tool.name in choice.names)
    if not kept or (is_one and kind.tool_choices == "names"):
        return chat
    return replace(chat, tools=kept, tool_choice=ToolChoice(choice.mode))


def _fit_thinking(
    fields: dict[str, Raw | bytes], chat: ChatRequest, kind: Kind, dropped: MutableSequence[str]
) -> None:
    """Say how much is to be thought as the provider does."""
    reasoning = chat.reasoning
    if reasoning is not None and reasoning.effort == "none" and kind.thinking_off is not None:
        fields["thinking"] = kind.thinking_off
        dropped.remove(EFFORT)
    elif EFFORT in fields:
        word = _decode_text(fields[EFFORT])
        fields[EFFORT] = encode(kind.efforts.get(word, word))


def _derive(ask: Ask) -> Ask:
    """Return the chat that is asked for a client; usage is wanted as often as it comes."""
    return Ask(
        "chat",
        ask.model,
        {},
        streams=ask.streams,
        wants_usage=True,
        keeps_chunk_usage=True,
        choices=ask.choices,
    )
