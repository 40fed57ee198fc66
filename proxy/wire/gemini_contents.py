"""
The messages of a chat request -> Gemini's `contents` and `systemInstruction`.

Gemini knows two roles: what a tool has answered is the user's. Turns of one role that follow each
other are one. A call and its answer find each other by the function's name, and by the id only
in newer models.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

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
from proxy.wire.gemini_models import GeminiModel

NO_SIGNATURE = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Google's own value for calls that no Gemini has made, such as those of another vendor's model:
Base64 of `skip_thought_signature_validator`."""

_FILES_PREFIX = "https://generativelanguage.googleapis.com/"
_VIDEO_HOSTS = frozenset(("youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"))
_SIGNS = (
    ("iVBOR", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lG", "image/gif"),
    ("UklG", "image/webp"),
    ("JVBERi", "application/pdf"),
)
"""How files of a kind begin in Base64, for those that come without a media type."""

_STUB = {"text": "."}
"""What the user has said where a conversation begins without them, or with nothing."""

_Role = Literal["user", "model"]
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class ContentsWriter:
    """Writes the messages of one request; `dropped` gets the names of what is left out."""

    def __init__(self, model: GeminiModel, dropped: list[str]) -> None:
        self.contents: list[dict[str, Any]] = []
        self.instructions: list[dict[str, Any]] = []
        """Parts of the `systemInstruction`, wherever in the conversation they stood."""
        self._model = model
        self._dropped = dropped
        self._names: dict[str, str] = {}
        """Of the functions that were called, by the id of the call."""
        self._places: dict[str, int] = {}
        """Which of all calls it was, by its id."""
        self._calls = 0

    def write(self, messages: Iterable[Message]) -> None:
        """
        Take all messages.

        Raises:
            NotOffered: one holds what Gemini cannot be given.
        """
        for role, run in groupby(messages, key=_find_role):
            # Where names alone tell answers from each other, those of one name go by their order.
            for message in sorted(run, key=self._find_place) if role == "tool" else run:
                self._write_message(message)
        self.instructions = [part for part in self.instructions if part["text"]]
        if not self.contents:
            # It must not be empty: what there is to say is then said by the user.
            self.contents = [{"role": "user", "parts": self.instructions or [_STUB]}]
            self.instructions = []
        if self.contents[0]["role"] == "model":
            # Calls are only taken behind a turn of the user's.
            self.contents.insert(0, {"role": "user", "parts": [_STUB]})

    def _write_message(self, message: Message) -> None:
        if message.role == "system":
            self.instructions += [self._write_instruction(part) for part in message.parts]
        elif message.role == "assistant":
            self._add("model", self._write_said(message.parts))
        else:
            parts = [p for part in message.parts for p in self._write_given(part, message)]
            self._add("user", parts)

    def _find_place(self, message: Message) -> int:
        """Return the place of what was called for this answer among all calls so far."""
        for part in message.parts:
            if isinstance(part, Result) and part.call_id in self._places:
                return self._places[part.call_id]
        return self._calls

    def _add(self, role: _Role, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _write_instruction(self, part: Part) -> dict[str, Any]:
        if not isinstance(part, Text):
            raise NotOffered("Gemini takes nothing but text as a system message.", param="messages")
        return {"text": part.text}

    def _write_said(self, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
        """Return what a model has said, with the signatures that Gemini wants back."""
        written: list[dict[str, Any]] = []
        signature: str | None = None
        needs_one = self._model.wants_signatures
        for part in parts:
            if isinstance(part, Thought):
                # Its text is not wanted back, its signature stands with what came next.
                if part.maker == "gemini" and not part.is_redacted:
                    signature = part.signature or signature
                continue
            if isinstance(part, Call):
                said = self._write_call(part)
                own = part.signature or signature
                if own is None and needs_one:
                    own = NO_SIGNATURE
                needs_one = False
            elif isinstance(part, Text | Refusal):
                if not part.text:
                    continue
                said, own = {"text": part.text}, signature
            else:
                said, own = self._write_media(part), None
            if own is not None:
                said["thoughtSignature"] = own
                signature = None
            written.append(said)
        return written

    def _write_call(self, call: Call) -> dict[str, Any]:
        self._names[call.id] = call.name
        self._places[call.id] = self._calls
        self._calls += 1
        written: dict[str, Any] = {"name": call.name, "args": _read_arguments(call.arguments)}
        if self._model.wants_signatures:
            written["id"] = call.id
        return {"functionCall": written}

    def _write_given(self, part: Part, message: Message) -> list[dict[str, Any]]:
        if isinstance(part, Result):
            return self._write_result(part, message)
        if isinstance(part, Text | Refusal):
            return [{"text": part.text}] if part.text else []
        if isinstance(part, Call | Thought):
            return []
        return [self._write_media(part)]

    def _write_result(self, result: Result, message: Message) -> list[dict[str, Any]]:
        name = self._names.get(result.call_id) or message.name
        if not name:
            raise NotOffered(
                "Gemini wants the name of the function with what a tool has answered, and no call "
                "before it has its id.",
                param="messages",
            )
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        media = [self._write_media(p) for p in result.parts if not isinstance(p, Text)]
        response: dict[str, Any] = {
            "name": name,
            "response": _build_response("\n".join(texts), is_error=result.is_error),
        }
        if not self._model.wants_signatures:
            return [{"functionResponse": response}, *media]
        response["id"] = result.call_id
        if media:
            response["parts"] = media
        return [{"functionResponse": response}]

    def _write_media(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Audio):
            return _build_inline(part.data, f"audio/{part.format}")
        if isinstance(part, File) and part.text is not None:
            return {"text": part.text}
        if not isinstance(part, Image | File):
            raise NotOffered("Gemini cannot be given a part of these messages.", param="messages")
        if isinstance(part, Image) and part.detail not in (None, "auto"):
            self._drop("detail")
        if part.data is not None:
            return _build_inline(part.data, part.media_type or _guess_type(part.data))
        address = part.url or (part.file_id if isinstance(part, File) else None) or ""
        return _build_reference(address, part.media_type)

    def _drop(self, name: str) -> None:
        if name not in self._dropped:
            self._dropped.append(name)


def _find_role(message: Message) -> str:
    return message.role


def _build_inline(data: str, media_type: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _build_reference(address: str, media_type: str | None) -> dict[str, Any]:
    """Return a file by its address, if it is one of those that Google fetches itself."""
    if address.startswith("files/"):
        address = f"{_FILES_PREFIX}v1beta/{address}"
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        raise _cannot_fetch() from None
    is_video = parts.scheme == "https" and host in _VIDEO_HOSTS
    if not (parts.scheme == "gs" or is_video or address.startswith(_FILES_PREFIX)):
        raise _cannot_fetch()
    data = {"fileUri": address}
    if media_type is not None:
        data["mimeType"] = media_type
    return {"fileData": data}


def _cannot_fetch() -> NotOffered:
    return NotOffered(
        "Gemini fetches files only from Google's Files API, gs:// and YouTube; send the "
        "file itself in Base64.",
        param="messages",
    )


def _guess_type(data: str) -> str:
    for sign, media_type in _SIGNS:
        if data.startswith(sign):
            return media_type
    return "application/octet-stream"


def _read_arguments(text: str) -> Raw | dict[str, str]:
    """Return the arguments of a call as an object, whatever a model has made of them."""
    try:
        _decode_object(text)
    except (ValueError, RecursionError):
        return {"arguments": text}
    return Raw(text.encode())


def _build_response(text: str, *, is_error: bool) -> Raw | dict[str, str]:
    if is_error:
        return {"error": text}
    if text.lstrip().startswith("{"):
        try:
            _decode_object(text)
        except (ValueError, RecursionError):
            pass
        else:
            return Raw(text.encode())
    return {"result": text}
