"""A request of the Responses API, read for a provider that speaks another dialect."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import NO_ARGUMENTS, Call, ChatRequest, Message, Part, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.model_name import is_plain_name
from proxy.wire.base import Ask
from proxy.wire.openai_fields import read_value
from proxy.wire.responses_content import RawPart, keep_texts, read_content, read_result
from proxy.wire.responses_options import read_options
from proxy.wire.responses_thought import CallSignature, unwrap_thought
from proxy.wire.shape_fault import build_shape_fault

_PASSED_OVER = frozenset(
    (
        *("web_search_call", "file_search_call", "code_interpreter_call"),
        *("image_generation_call", "mcp_list_tools", "mcp_call"),
    )
)
"""What OpenAI's servers have done in earlier turns: what came of it stands in the next message."""
_READ = frozenset(("message", "function_call", "function_call_output", "reasoning"))


class _Kind(Struct):
    """An item, as far as its type goes."""

    type: str | None = None
    role: str | None = None

    @property
    def kind(self) -> str:
        """Its type, also where it is left out."""
        return self.type or ("message" if self.role is not None else "item_reference")


class _Item(_Kind):
    """An item of any type; what its type does not have is empty."""

    content: str | list[RawPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[RawPart] | None = None
    summary: list[RawPart] | None = None
    encrypted_content: str | None = None


_decode_items = msgspec.json.Decoder(str | list[_Item]).decode
_decode_kinds = msgspec.json.Decoder(list[_Kind]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_responses_chat(ask: Ask) -> ChatRequest:
    """
    Return what a request for a response asks, dialects aside.

    Items of one turn of the assistant's, such as a thought, words and calls, become one message
    in their order: other formats know turns. What stood before (`ask.history`) comes first, and
    the instructions come before everything. Top-level fields that have no place in a ChatRequest
    are in `extra`.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        NotOffered: an item, content or a tool that only OpenAI knows.

    Source: wire-formats §2.7; tests/wire/test_responses_chat_reader.py.
    """
    if ask.pinned is not None:
        # The provider has had responses of its own, and is now one that has none.
        raise NotOffered(
            "The provider does not have what this goes on from; send it as a whole.",
            param="previous_response_id",
        )
    turns = _Turns()
    text = read_value(
        "instructions", ask.fields.get("instructions"), _decode_text, "must be a string"
    )
    if text:
        turns.add(Message("system", (Text(text),)))
    for raw in ask.history:
        try:
            item = _decode_item(raw)
        except (ValueError, RecursionError) as error:
            raise build_shape_fault(error, "previous_response_id") from None
        turns.read(item, "previous_response_id")
    for item, place in _list_input(ask.fields.get("input")):
        turns.read(item, place)
    return read_options(ask.fields, turns.finish())


def _list_input(raw: Raw | None) -> Sequence[tuple[_Item, str]]:
    if raw is None or bytes(raw) == b"null":
        return ()
    try:
        found = _decode_items(raw)
    except (ValueError, RecursionError) as error:
        _refuse_unknown(raw)
        raise build_shape_fault(error, "input") from None
    if isinstance(found, str):
        return ((_Item("message", "user", found), "input"),)
    return [(item, f"input[{position}]") for position, item in enumerate(found)]


class _Turns:
    """Makes messages of items, one after the other."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._said: list[Part] = []
        """Of the assistant's turn that has not ended."""
        self._signature: str | None = None
        """Of the call that comes next."""

    def add(self, message: Message) -> None:
        """Add a message that is not the assistant's."""
        self._end_turn()
        self._messages.append(message)

    def finish(self) -> tuple[Message, ...]:
        """Return all messages."""
        self._end_turn()
        return tuple(self._messages)

    def read(self, item: _Item, place: str) -> None:
        """Add an item, which stands at `place`."""
        kind = item.kind
        if kind == "message":
            self._read_message(item, place)
        elif kind == "function_call":
            call_id = _require(item.call_id, place, "call_id")
            name = _require(item.name, place, "name")
            # What a model has made up need not be JSON, and is kept.
            arguments = item.arguments if item.arguments and item.arguments.strip() else ""
            self._said.append(Call(call_id, name, arguments or NO_ARGUMENTS, self._signature))
            self._signature = None
        elif kind == "function_call_output":
            call_id = _require(item.call_id, place, "call_id")
            if item.output is None:
                raise _missing(place, "output")
            result = read_result(call_id, item.output, f"{place}.output")
            self.add(Message("tool", (result,)))
        elif kind == "reasoning":
            self._read_thought(item)
        elif kind not in _PASSED_OVER:
            raise _refuse_item(kind, place)

    def _read_message(self, item: _Item, place: str) -> None:
        content = read_content(item.content, f"{place}.content")
        if item.role == "assistant":
            self._said += content
        elif item.role == "user":
            self.add(Message("user", tuple(content)))
        elif item.role in ("system", "developer"):
            self.add(Message("system", keep_texts(content, f"{place}.content")))
        else:
            raise InvalidRequest(
                f"'{place}.role' must be user, assistant, system or developer.",
                param=f"{place}.role",
            )

    def _read_thought(self, item: _Item) -> None:
        summary = "\n\n".join(part.text for part in item.summary or () if part.text)
        found = unwrap_thought(item.encrypted_content, summary)
        if isinstance(found, CallSignature):
            self._signature = found.signature
        elif found is not None:
            self._said.append(found)

    def _end_turn(self) -> None:
        self._signature = None
        if self._said:
            self._messages.append(Message("assistant", tuple(self._said)))
            self._said.clear()


def _refuse_unknown(raw: Raw) -> None:
    """Refuse the first item of a type that is not read: its members may have other shapes."""
    try:
        kinds = _decode_kinds(raw)
    except (ValueError, RecursionError):
        return
    for position, found in enumerate(kinds):
        if found.kind not in _READ | _PASSED_OVER:
            raise _refuse_item(found.kind, f"input[{position}]")


def _refuse_item(kind: str, place: str) -> NotOffered:
    if kind == "item_reference":
        return NotOffered(
            "The provider keeps no items: send the item itself, or go on from a response by "
            "'previous_response_id'.",
            param=place,
        )
    shown = f" '{kind}'" if is_plain_name(kind) else ""
    return NotOffered(f"The provider knows no item of the type{shown}.", param=f"{place}.type")


def _require(text: str | None, place: str, name: str) -> str:
    if not text:
        raise _missing(place, name)
    return text


def _missing(place: str, name: str) -> InvalidRequest:
    return InvalidRequest(f"'{place}.{name}' is missing.", param=f"{place}.{name}")
