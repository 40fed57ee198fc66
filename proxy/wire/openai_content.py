"""Parts of a message's content as OpenAI's clients write them: text, pictures, sound and files."""

from collections.abc import Sequence

from msgspec import Raw, Struct

from proxy.domain.chat import Audio, File, Image, Refusal, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_tools import find_raw

ContentPart = Text | Image | File | Audio | Refusal

_BY_ENDING = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "xml": "application/xml",
}
"""Media types of files whose data does not say it."""
_UNKNOWN_FILE = "application/octet-stream"


class _ImageUrl(Struct):
    url: str
    detail: str | None = None


class _Sound(Struct):
    data: str
    format: str = "wav"


class _File(Struct):
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None


class RawPart(Struct):
    """One part as it comes; which members it has depends on its `type`."""

    type: str = "text"
    text: str | None = None
    image_url: str | _ImageUrl | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    refusal: str | None = None
    cache_control: Raw = NO_VALUE


def read_content(content: str | Sequence[str | RawPart] | None, place: str) -> list[ContentPart]:
    """
    Return the parts of a content; empty texts are none.

    Args:
        content: one text, or a list of parts and, as some clients write it, of texts.
        place: where it stands, such as `messages[0].content`, for errors.

    Raises:
        InvalidRequest: a part lacks what its type says.
        NotOffered: a part of a type that is not known here, such as a video.

    Source: wire-formats §2.2; tests/wire/test_openai_content.py.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[ContentPart] = []
    for position, raw in enumerate(content):
        part = _read_part(raw, f"{place}[{position}]")
        if part is not None:
            parts.append(part)
    return parts


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return media type and Base64 of a data URL, or None if it is no such address."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *options = head.split(";")
    if not comma or "base64" not in (option.strip().lower() for option in options):
        return None
    return media_type.strip().lower(), data


def read_file_data(url: str, name: str | None, mark: Raw | None, place: str) -> File:
    """
    Return a file by what its client has sent of it.

    Args:
        url: a data URL, an address, or Base64 alone, as some clients send it.
        name: of the file; its ending stands in for a media type that is not said.
        mark: of Anthropic's cache.
        place: where it stands, for errors.

    Raises:
        InvalidRequest: a data URL that is not Base64.
    """
    found = split_data_url(url)
    if found is not None:
        media_type = found[0] or _find_media_type(name)
        return File(media_type=media_type, data=found[1], name=name, cache_control=mark)
    if url[:5].lower() == "data:":
        raise InvalidRequest(f"'{place}' must be an address or Base64 data.", param=place)
    if "://" in url[:16]:
        return File(url=url, name=name, cache_control=mark)
    # Some clients send the Base64 alone.
    return File(media_type=_find_media_type(name), data=url, name=name, cache_control=mark)


def _read_part(raw: str | RawPart, place: str) -> ContentPart | None:
    if isinstance(raw, str):
        return Text(raw) if raw else None
    mark = find_raw(raw.cache_control)
    if raw.type == "text" and raw.text is not None:
        return Text(raw.text, mark) if raw.text else None
    if raw.type == "image_url" and raw.image_url is not None:
        return _read_image(raw.image_url, mark, f"{place}.image_url")
    if raw.type == "file" and raw.file is not None:
        return _read_file(raw.file, mark, f"{place}.file")
    if raw.type == "input_audio" and raw.input_audio is not None:
        return Audio(raw.input_audio.data, raw.input_audio.format)
    if raw.type == "refusal" and raw.refusal is not None:
        return Refusal(raw.refusal) if raw.refusal else None
    if raw.type in ("text", "image_url", "file", "input_audio", "refusal"):
        raise InvalidRequest(f"'{place}' lacks its '{raw.type}'.", param=f"{place}.{raw.type}")
    raise NotOffered(
        "The provider does not know this type of content. Known are text, image_url, "
        "input_audio and file.",
        param=f"{place}.type",
    )


def _read_image(image: str | _ImageUrl, mark: Raw | None, place: str) -> Image:
    url, detail = (image, None) if isinstance(image, str) else (image.url, image.detail)
    if url[:5].lower() != "data:":
        return Image(url=url, detail=detail, cache_control=mark)
    found = split_data_url(url)
    if found is None:
        raise InvalidRequest(f"'{place}' must be an address or Base64 data.", param=place)
    return Image(media_type=found[0], data=found[1], detail=detail, cache_control=mark)


def _read_file(file: _File, mark: Raw | None, place: str) -> File:
    name = file.filename
    if file.file_id is not None:
        return File(file_id=file.file_id, name=name, cache_control=mark)
    url = file.file_data if file.file_url is None else file.file_url
    if url is None:
        raise InvalidRequest(f"'{place}' needs a 'file_id' or 'file_data'.", param=place)
    return read_file_data(url, name, mark, place)


def _find_media_type(name: str | None) -> str:
    if name is None:
        return _BY_ENDING["pdf"]
    return _BY_ENDING.get(name.rpartition(".")[2].lower(), _UNKNOWN_FILE)
