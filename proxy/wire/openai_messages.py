"""Messages of any dialect, written for a provider that speaks OpenAI's format."""

from collections.abc import Iterable, Sequence
from typing import Any

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
"""Texts of one message are one string: not every server takes a list of parts."""
_DEFAULT_FILE_NAME = "document.pdf"
_OPENROUTERS = "reasoning"
"""The name that thoughts have where signed details may stand beside them."""
_FAILED = "The tool failed."
_SHOWN = "The tool's result follows in the next message of the user."
_NOTHING_SAID = {"role": "assistant", "content": ""}
"""What is left of an answer that was nothing but others' thoughts: not every server takes it."""


def write_messages(messages: Sequence[Message], thoughts_as: str | None) -> list[dict[str, Any]]:
    """
    Return messages as OpenAI's format has them, ready to be encoded.

    Results of tools can only be text there: their images and files follow in a message of the
    user's, behind all results of that turn. Marks of Anthropic's cache are left out, and so are
    thoughts that the provider does not take back or that are another vendor's.

    Args:
        messages: of any dialect.
        thoughts_as: see `write_openai_chat`.

    Raises:
        NotOffered: a file by its address only.

    Source: wire-formats §2.2; tests/wire/test_openai_messages.py.
    """
    written: list[dict[str, Any]] = []
    shown: list[Part] = []
    """Images and files of the results so far that are still to follow."""
    for message in messages:
        results = [part for part in message.parts if isinstance(part, Result)]
        for result in results:
            written.append(_write_result(result, shown))
        if results and len(results) == len(message.parts):
            continue
        if shown:
            written.append({"role": "user", "content": _build_content(shown)})
            shown.clear()
        said = _write_message(message, thoughts_as)
        if not message.parts or said != _NOTHING_SAID:
            written.append(said)
    if shown:
        written.append({"role": "user", "content": _build_content(shown)})
    return written


def _write_message(message: Message, thoughts_as: str | None) -> dict[str, Any]:
    if message.role == "assistant":
        written = _write_assistant(message.parts, thoughts_as)
    else:
        others = [part for part in message.parts if not isinstance(part, Result)]
        role = "user" if message.role == "tool" else message.role
        written = {"role": role, "content": _build_content(others)}
    if message.name is not None:
        written["name"] = message.name
    return written


def _write_assistant(parts: Iterable[Part], thoughts_as: str | None) -> dict[str, Any]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    calls = [_build_call(part) for part in parts if isinstance(part, Call)]
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if not text and (calls or refusal):
        message["content"] = None
    if refusal:
        message["refusal"] = refusal
    if thoughts_as is not None:
        own = [part for part in parts if isinstance(part, Thought) and part.maker == "openai"]
        if thought := "".join(part.text for part in own):
            message[thoughts_as] = thought
        details = [part.extra for part in own if part.extra is not None]
        if details and thoughts_as == _OPENROUTERS:
            message["reasoning_details"] = details[0]
    if calls:
        message["tool_calls"] = calls
    return message


def _build_call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _write_result(result: Result, shown: list[Part]) -> dict[str, Any]:
    # There is no other place for it, and not every tool's own words say so.
    texts = [_FAILED] if result.is_error else []
    has_shown = False
    for part in result.parts:
        text = part.text if isinstance(part, Text | File) else None
        if text is not None:
            texts.append(text)
        else:
            has_shown = True
            shown.append(part)
    content = _BETWEEN_TEXTS.join(texts)
    if not content and has_shown:
        content = _SHOWN
    return {"role": "tool", "tool_call_id": result.call_id, "content": content}


def _build_content(parts: Sequence[Part]) -> object:
    """Return one string where there is only text, else a list of parts."""
    built = [found for part in parts if (found := _build_part(part)) is not None]
    if all(part["type"] == "text" for part in built):
        return _BETWEEN_TEXTS.join(part["text"] for part in built)
    return built


def _build_part(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Image):
        return _build_image(part)
    if isinstance(part, File):
        return _build_file(part)
    if isinstance(part, Audio):
        sound = {"data": part.data, "format": part.format}
        return {"type": "input_audio", "input_audio": sound}
    # Thoughts and calls are an assistant's only.
    return None


def _build_image(image: Image) -> dict[str, Any]:
    url = image.url
    if url is None:
        url = f"data:{image.media_type or 'image/png'};base64,{image.data or ''}"
    shown = {"url": url}
    if image.detail is not None:
        shown["detail"] = image.detail
    return {"type": "image_url", "image_url": shown}


def _build_file(file: File) -> dict[str, Any]:
    if file.text is not None:
        return {"type": "text", "text": file.text}
    if file.file_id is not None:
        return {"type": "file", "file": {"file_id": file.file_id}}
    if file.data is None:
        raise NotOffered(
            "The provider takes files as data, not by their address.", param="messages"
        )
    data = f"data:{file.media_type or 'application/pdf'};base64,{file.data}"
    name = file.name or _DEFAULT_FILE_NAME
    return {"type": "file", "file": {"filename": name, "file_data": data}}
