"""A list of providers behind a URL: JSON, asked again with its ETag."""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import (
    DEFAULT_TYPE,
    Candidate,
    Found,
    complete_url,
    is_name,
)
from health_worker.discovery.fetch import Fetcher
from proxy.domain.discovery import RegistrySettings, SourceName


class _Entry(Struct):
    """One entry; whatever else it says means nothing here."""

    name: str
    base_url: str
    type: str = DEFAULT_TYPE
    models: list[str] = []
    priority: int | None = None
    weight: int = 1


class RegistrySource:
    """A Source (see `discovery/base.py`) that is asked again and again."""

    name: SourceName = "registry"
    waits_itself = False

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        parts = urlsplit(settings.url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._fetcher = Fetcher(f"{parts.scheme}://{parts.netloc}")
        self._tag: str | None = None
        self._found = Found()

    async def next(self) -> Found:
        """Return what the list says (see `discovery/base.py`)."""
        return await self.find()

    async def find(self) -> Found:
        """Return what the list says (see `discovery/base.py`)."""
        headers = {}
        if self._settings.token is not None:
            headers["Authorization"] = f"Bearer {self._settings.token.reveal()}"
        if self._tag is not None:
            headers["If-None-Match"] = self._tag
        answer = await self._fetcher.get(self._path, headers)
        if answer.status == 304 and self._tag is not None:
            return self._found
        if answer.status != 200:
            raise SourceFailed(f"it answers with status {answer.status}")
        self._found = _read(answer.body)
        self._tag = _read_tag(answer.headers.get("etag", ""))
        return self._found

    async def close(self) -> None:
        """Close every connection."""
        await self._fetcher.close()


def _read(body: bytes) -> Found:
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise SourceFailed("its answer is not JSON") from None
    items = value.get("providers") if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise SourceFailed("its answer is no list of providers")
    candidates, problems = [], []
    for number, item in enumerate(items, 1):
        try:
            entry = msgspec.convert(item, _Entry)
        except msgspec.ValidationError:
            problems.append(f"entry {number} needs name and base_url as text")
            continue
        if not is_name(entry.name):
            problems.append(f"entry {number} has a name that cannot be used")
            continue
        candidates.append(
            Candidate(
                name=entry.name,
                base_url=complete_url(entry.base_url, entry.type),
                type=entry.type,
                models=tuple(entry.models),
                priority=entry.priority,
                weight=entry.weight,
            )
        )
    return Found(tuple(candidates), tuple(problems))


def _read_tag(text: str) -> str | None:
    """Return an ETag that can be sent back."""
    is_plain = 0 < len(text) <= 200 and text.isascii() and text.isprintable()
    return text if is_plain else None
