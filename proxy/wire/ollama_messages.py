"""Messages of any dialect, written as Ollama's: one text each, pictures beside it."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.domain.errors import NotOffered

_BETWEEN_TEXTS = "\n\n"
_FAILED = "The tool failed."
_INVALID = "invalid_arguments"
"""Where arguments that are no object stand, as an object must be there."""
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class WrittenMessages(Struct, frozen=True):
    """Messages ready to be encoded, and what they hold besides text."""

    messages: list[dict[str, Any]]
    picture_bytes: int = 0
    pictures: int = 0


def write_ollama_messages(messages: Sequence[Message]) -> WrittenMessages:
    """
    Return messages as Ollama's native API has them.

    Results of calls stand in messages of their own, with the name of the tool. Marks of
    Anthropic's cache, names of who speaks, and thoughts that only their maker reads are left out.

    Raises:
        NotOffered: sound, a picture by its address, or a file that is no text.

    Source: wire-formats §3.4; tests/wire/test_ollama_messages.py.
    """
    writer = _Writer()
    for message in messages:
        writer.write(message)
    return WrittenMessages(writer.messages, writer.picture_bytes, writer.pictures)


class _Writer:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.picture_bytes = 0
        self.pictures = 0
        self._names: dict[str, str] = {}
        """Of the tools that were called, by the ids of the calls."""

    def write(self, message: Message) -> None:
        others: list[Part] = []
        for part in message.parts:
            if isinstance(part, Result):
                self._write_result(part)
            else:
                others.append(part)
        if not others and message.parts:
            return
        role = "user" if message.role == "tool" else message.role
        written = self._build(role, others)
        if role == "assistant":
            self._add_thoughts_and_calls(written, others)
            if len(written) == 2 and not written["content"] and others:
                return  # nothing is left of what were others' thoughts
        self.messages.append(written)

    def _write_result(self, result: Result) -> None:
        written = self._build("tool", result.parts)
        if result.is_error:
            # There is no other place for it, and not every tool's own words say so.
            said = [_FAILED, written["content"]]
            written["content"] = _BETWEEN_TEXTS.join(text for text in said if text)
        name = self._names.get(result.call_id)
        if name is not None:
            written["tool_name"] = name
        written["tool_call_id"] = result.call_id
        self.messages.append(written)

    def _build(self, role: str, parts: Iterable[Part]) -> dict[str, Any]:
        texts: list[str] = []
        pictures: list[str] = []
        for part in parts:
            if isinstance(part, Text | Refusal):
                texts.append(part.text)
            elif isinstance(part, Image):
                pictures.append(_read_picture(part))
            elif isinstance(part, File):
                texts.append(_read_file(part))
            elif isinstance(part, Audio):
                raise NotOffered("Ollama takes no sound.", param="messages")
        # What an assistant has said came in pieces that belong together.
        between = "" if role == "assistant" else _BETWEEN_TEXTS
        built: dict[str, Any] = {
            "role": role,
            "content": between.join(text for text in texts if text),
        }
        if pictures:
            built["images"] = pictures
            self.pictures += len(pictures)
            self.picture_bytes += sum(map(len, pictures))
        return built

    def _add_thoughts_and_calls(self, written: dict[str, Any], parts: Iterable[Part]) -> None:
        thoughts = [p.text for p in parts if isinstance(p, Thought) and p.maker == "openai"]
        if thought := "".join(thoughts):
            written["thinking"] = thought
        calls = [part for part in parts if isinstance(part, Call)]
        for call in calls:
            self._names[call.id] = call.name
        if calls:
            written["tool_calls"] = [_build_call(call) for call in calls]


def _build_call(call: Call) -> dict[str, Any]:
    arguments = _read_arguments(call.arguments)
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _read_arguments(text: str) -> Raw | dict[str, str]:
    """Return the arguments of a call as an object, whatever a model has made of them."""
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        return {_INVALID: text} if text.strip() else {}
    return Raw(text.encode())


def _read_picture(image: Image) -> str:
    if image.data is None:
        raise NotOffered(
            "Ollama takes pictures as data, and does not fetch them from an address.",
            param="messages",
        )
    return image.data


def _read_file(file: File) -> str:
    if file.text is None:
        raise NotOffered("Ollama takes no files but text.", param="messages")
    return file.text
