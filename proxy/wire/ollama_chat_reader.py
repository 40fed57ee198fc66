"""Requests of Ollama's clients, read for a provider that speaks another dialect."""

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import (
    NO_ARGUMENTS,
    Call,
    ChatRequest,
    Image,
    Message,
    Part,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.base import Ask
from proxy.wire.ollama_options import read_ollama_options
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_fields import read_value
from proxy.wire.shape_fault import build_shape_fault

_PICTURES = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""Media types by how such pictures begin in Base64: nothing else tells them."""
_TEXT = "must be a string"


class _Function(Struct):
    name: str
    arguments: Raw = NO_VALUE


class _Call(Struct):
    function: _Function
    id: str | None = None


class _Message(Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_images = msgspec.json.Decoder(list[str]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode


def read_ollama_chat(ask: Ask) -> ChatRequest:
    """
    Return what `/api/chat` asks, dialects aside.

    Calls and their results need no ids in this dialect: where they have none, they get some that
    are the same for the same conversation, and a result is of the call whose name it has.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        NotOffered: a picture of no kind that is known.

    Source: wire-formats §3.4; tests/wire/test_ollama_chat_reader.py.
    """
    try:
        raw = _decode_messages(ask.fields.get("messages", b"[]"))
    except (ValueError, RecursionError) as error:
        raise build_shape_fault(error, "messages") from None
    reader = _Reader()
    messages = tuple(reader.read(item, f"messages[{n}]") for n, item in enumerate(raw))
    return read_ollama_options(ask.fields, messages, streams=ask.streams)


def read_ollama_generate(ask: Ask) -> ChatRequest:
    """
    Return what `/api/generate` asks, as a chat of one message.

    Raises:
        NotOffered: it has something that no chat has, such as `suffix`; `param` says which.
        InvalidRequest: a field has a shape that cannot be read; `param` says which.

    Source: wire-formats §3.4; tests/wire/test_ollama_chat_reader.py.
    """
    fields = ask.fields
    for name, why in (
        ("suffix", "The provider cannot fill in before a suffix."),
        ("template", "The provider has its own template."),
        ("context", "The provider does not know what tokens went before."),
    ):
        if bytes(fields.get(name, b"null")) not in (b"null", b'""', b"[]"):
            raise NotOffered(why, param=name)
    if read_value("raw", fields.get("raw"), _decode_flag, "must be a boolean"):
        raise NotOffered("The provider takes no prompt that is formatted already.", param="raw")
    try:
        images = _decode_images(fields.get("images") or b"null") if "images" in fields else None
    except (ValueError, RecursionError) as error:
        if bytes(fields["images"]) != b"null":
            raise build_shape_fault(error, "images") from None
        images = None
    messages = []
    system = read_value("system", fields.get("system"), _decode_text, _TEXT)
    if system:
        messages.append(Message("system", (Text(system),)))
    prompt = read_value("prompt", fields.get("prompt"), _decode_text, _TEXT)
    parts: list[Part] = [Text(prompt)] if prompt else []
    parts += _read_images(images, "images")
    messages.append(Message("user", tuple(parts)))
    return read_ollama_options(fields, tuple(messages), streams=ask.streams)


class _Asked(Struct):
    """A call that was made; a result is of one that has none yet."""

    call_id: str
    has_result: bool = False


class _Reader:
    """Reads one message after the other: calls have no ids but those that their order gives."""

    def __init__(self) -> None:
        # There may be very many of them: none is looked for among all others.
        self._by_order: deque[_Asked] = deque()
        self._by_id: defaultdict[str, deque[_Asked]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[_Asked]] = defaultdict(deque)
        self._count = 0

    def read(self, raw: _Message, place: str) -> Message:
        texts: list[Part] = [Text(raw.content)] if raw.content else []
        if raw.role in ("system", "developer"):
            return Message("system", tuple(texts))
        pictures = _read_images(raw.images, f"{place}.images")
        if raw.role == "user":
            return Message("user", (*texts, *pictures))
        if raw.role == "tool":
            parts: list[Text | Image] = [Text(raw.content)] if raw.content else []
            call_id = self._find_call(raw, place)
            return Message("tool", (Result(call_id, (*parts, *pictures)),))
        if raw.role != "assistant":
            raise InvalidRequest(
                f"'{place}.role' must be system, user, assistant or tool.", param=f"{place}.role"
            )
        said: list[Part] = [Thought(raw.thinking, "openai")] if raw.thinking else []
        said += texts
        for call in raw.tool_calls or ():
            self._count += 1
            call_id = call.id or f"call_{self._count}_{call.function.name}"
            asked = _Asked(call_id)
            self._by_order.append(asked)
            self._by_id[call_id].append(asked)
            self._by_name[call.function.name].append(asked)
            said.append(Call(call_id, call.function.name, _read_arguments(call.function, place)))
        return Message("assistant", tuple(said))

    def _find_call(self, raw: _Message, place: str) -> str:
        """Return the call that a result is of: by its id, its name, or the order."""
        if raw.tool_call_id is not None:
            _take_first(self._by_id.get(raw.tool_call_id))
            return raw.tool_call_id
        name = raw.tool_name or raw.name
        named = None if name is None else _take_first(self._by_name.get(name))
        asked = named or _take_first(self._by_order)
        if asked is None:
            raise InvalidRequest(f"'{place}' answers no call that stands before it.", param=place)
        return asked.call_id


def _take_first(queue: deque[_Asked] | None) -> _Asked | None:
    """Return the first call without a result, which it has from now on; None: there is none."""
    while queue:
        asked = queue.popleft()
        if not asked.has_result:
            asked.has_result = True
            return asked
    return None


def _read_arguments(function: _Function, place: str) -> str:
    text = bytes(function.arguments)
    if text in (b"", b"null", b'""'):
        return NO_ARGUMENTS
    if text.startswith(b'"'):
        return _decode_text(text)
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        param = f"{place}.tool_calls"
        raise InvalidRequest(f"'{param}' has arguments that are no object.", param=param) from None
    return text.decode()


def _read_images(images: Sequence[str] | None, place: str) -> list[Image]:
    found = []
    for number, data in enumerate(images or ()):
        # What a page would show it by is no part of it.
        text = data.partition(",")[2] if data.startswith("data:") else data
        kind = next((kind for start, kind in _PICTURES.items() if text.startswith(start)), None)
        if kind is None:
            raise NotOffered(
                f"'{place}[{number}]' is no picture in PNG, JPEG, GIF or WebP as Base64.",
                param=f"{place}[{number}]",
            )
        found.append(Image(media_type=kind, data=text))
    return found
