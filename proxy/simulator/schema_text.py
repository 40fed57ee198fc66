"""Picks a text for a JSON property by its format and its name; `schema_value.py` calls it."""

import random
import re
from collections.abc import Mapping
from types import MappingProxyType

_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "date": "2026-11-20",
        "date-time": "2026-11-20T09:30:00Z",
        "time": "09:30:00Z",
        "duration": "PT15M",
        "email": "someone@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com/",
        "uri-reference": "/index.html",
        "uuid": "6f6f1a2c-8b1d-4f5e-9c3a-2d7b8e9f0a1b",
    }
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "city": "Lisbon",
        "location": "Lisbon",
        "place": "Lisbon",
        "country": "Portugal",
        "currency": "EUR",
        "date": "2026-11-20",
        "email": "someone@example.com",
        "language": "en",
        "time": "09:30",
        "timezone": "Europe/Lisbon",
        "unit": "celsius",
        "url": "https://example.com/",
    }
)
_PLACES = frozenset(("city", "location", "place", "country"))
_WHOLE_TEXTS = frozenset(
    ("expression", "input", "message", "prompt", "query", "question", "search", "text")
)
_WORDS = ("amber", "breeze", "cedar", "delta", "ember", "fable", "grove", "harbour")
_PROPER_NAME = re.compile(r"(?<=[\w,] )[A-Z]\w+")
_LONGEST_HINT = 200


def write_text(name: str, format_: object, hint: str, chance: random.Random) -> str:
    """
    Return a text for the property `name`.

    A known `format` decides first; then the name: places take a proper name out of
    `hint` (what the user said), questions the whole of it.
    """
    if isinstance(format_, str) and format_ in _FORMATS:
        return _FORMATS[format_]
    key = name.lower()
    hint = hint[:_LONGEST_HINT]
    if key in _PLACES and (found := _PROPER_NAME.search(hint)) is not None:
        return found[0]
    if key in _WHOLE_TEXTS and hint:
        return hint
    return _NAMES.get(key) or chance.choice(_WORDS)
