"""What a source tells of one provider, before anybody has judged it."""

import re
from hashlib import blake2b
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.providers.registry import find_kind

DEFAULT_TYPE = "openai_compatible"
MAX_NAME_CHARACTERS = 64
MAX_WEIGHT = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")
_OTHER_ONE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_END_CHARACTERS = 46
"""As many as an address of IPv6 and a port have; the name of a host may have more."""


class Candidate(Struct, frozen=True):
    """One provider as its source tells it; without models they are asked of itself."""

    name: str
    base_url: str
    type: str = DEFAULT_TYPE
    models: tuple[str, ...] = ()
    priority: int | None = None
    weight: int = 1


class Found(Struct, frozen=True):
    """All that a source knows now; `problems` tells in words what of it cannot be used."""

    candidates: tuple[Candidate, ...] = ()
    problems: tuple[str, ...] = ()


def build_name(service: str, *parts: object) -> str:
    """Return a name such as `vllm-10-0-0-7`; of a long service its beginning."""
    # One for one: `a::b:c` and `a:b::c` are different addresses.
    end = "".join(f"-{_OTHER_ONE.sub('-', str(part).replace('.', '-'))}" for part in parts)
    if len(end) > _MAX_END_CHARACTERS:
        end = f"-{blake2b(end.encode(), digest_size=8).hexdigest()}"
    begin = _OTHER.sub("-", service).strip("-._") or "found"
    return begin[: MAX_NAME_CHARACTERS - len(end)] + end


def is_name(text: str) -> bool:
    """Tell whether a provider may have this name."""
    return _NAME.match(text) is not None


def build_url(scheme: str, host: str, port: int, path: str | None, type_name: str) -> str:
    """Return where a server is; an address of IPv6 gets its brackets."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    behind = (path or "").strip("/")
    return complete_url(f"{scheme}://{authority}/{behind}".rstrip("/"), type_name)


def complete_url(base_url: str, type_name: str) -> str:
    """Return an address with `/v1` where its type needs that and it has no path of its own."""
    kind = find_kind(type_name)
    url = base_url.rstrip("/")
    try:
        path = urlsplit(url).path
    except ValueError:
        return url
    return f"{url}/v1" if kind is not None and kind.appends_v1 and not path else url
