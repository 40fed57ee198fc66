"""Parts of the items of a Responses request: what a message, or a tool's output, consists of."""

from collections.abc import Sequence

from msgspec import Struct

from proxy.domain.chat import Audio, File, Image, Refusal, Result, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.model_name import is_plain_name
from proxy.wire.openai_content import read_file_data, split_data_url

ContentPart = Text | Image | File | Audio | Refusal


class _Sound(Struct):
    data: str
    format: str = "wav"


class RawPart(Struct):
    """One part as it comes; which members it has depends on its `type`."""

    type: str
    text: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    refusal: str | None = None


def read_content(content: str | Sequence[RawPart] | None, place: str) -> list[ContentPart]:
    """
    Return the parts of a message; empty texts are none.

    Args:
        content: one text, or a list of parts.
        place: where it stands, such as `input[0].content`, for errors.

    Raises:
        InvalidRequest: a part lacks what its type must have.
        NotOffered: a part of a type that is not known here, or a picture that only OpenAI keeps.

    Source: wire-formats §2.7; tests/wire/test_responses_content.py.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    read = (_read_part(raw, f"{place}[{position}]") for position, raw in enumerate(content))
    return [part for part in read if part is not None]


def read_result(call_id: str, output: str | Sequence[RawPart], place: str) -> Result:
    """
    Return what a tool has answered to a call.

    Raises:
        InvalidRequest: a part lacks what its type must have.
        NotOffered: a part that is neither text nor a picture nor a file.
    """
    parts = []
    for part in read_content(output, place):
        if not isinstance(part, Text | Image | File):
            raise NotOffered("A tool's output has text, images or files.", param=place)
        parts.append(part)
    return Result(call_id, tuple(parts))


def keep_texts(parts: Sequence[ContentPart], place: str) -> tuple[Text, ...]:
    """Return the parts of instructions, which are text; InvalidRequest if another is among them."""
    texts = [part for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        raise InvalidRequest(f"'{place}' must be text.", param=place)
    return tuple(texts)


def _read_part(raw: RawPart, place: str) -> ContentPart | None:
    if raw.type in ("input_text", "output_text", "text"):
        text = _require(raw.text, place, "text")
        return Text(text) if text else None
    if raw.type == "refusal":
        refusal = _require(raw.refusal, place, "refusal")
        return Refusal(refusal) if refusal else None
    if raw.type == "input_image":
        return _read_image(raw, place)
    if raw.type == "input_file":
        return _read_file(raw, place)
    if raw.type == "input_audio":
        if raw.input_audio is None:
            raise _missing(place, "input_audio")
        return Audio(raw.input_audio.data, raw.input_audio.format)
    shown = f" '{raw.type}'" if is_plain_name(raw.type) else ""
    raise NotOffered(f"The provider knows no content of the type{shown}.", param=f"{place}.type")


def _read_image(raw: RawPart, place: str) -> Image:
    if raw.image_url is None:
        if raw.file_id is not None:
            raise NotOffered(
                "The provider does not have files of OpenAI's.", param=f"{place}.file_id"
            )
        raise _missing(place, "image_url")
    url = raw.image_url
    if url[:5].lower() != "data:":
        return Image(url=url, detail=raw.detail)
    found = split_data_url(url)
    if found is None:
        where = f"{place}.image_url"
        raise InvalidRequest(f"'{where}' must be an address or Base64 data.", param=where)
    return Image(media_type=found[0], data=found[1], detail=raw.detail)


def _read_file(raw: RawPart, place: str) -> File:
    if raw.file_id is not None:
        return File(file_id=raw.file_id, name=raw.filename)
    member, url = (
        ("file_data", raw.file_data) if raw.file_url is None else ("file_url", raw.file_url)
    )
    return read_file_data(_require(url, place, member), raw.filename, None, f"{place}.{member}")


def _require(value: str | None, place: str, name: str) -> str:
    if value is None:
        raise _missing(place, name)
    return value


def _missing(place: str, name: str) -> InvalidRequest:
    return InvalidRequest(f"'{place}.{name}' is missing.", param=f"{place}.{name}")
