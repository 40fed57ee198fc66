"""
The fields of a request that are for this proxy, whatever the dialect: where else it may go.

`models` and `fallbacks` are taken out, so that no provider hears of them; `metadata` is only
looked at.
"""

import msgspec
from msgspec import Raw, Struct, ValidationError

from proxy.domain.errors import InvalidRequest
from proxy.wire.openai_fields import read_value

MAX_NAMES = 16
"""Most names in `models`, and in `fallbacks`."""
MAX_SESSION_CHARACTERS = 256

_LONGEST_NAME = 200
_LONGEST_LIST_BYTES = 32 * 1024
_WANTED = f"must be a list of at most {MAX_NAMES} model names"


class Names(Struct, frozen=True):
    """The names that a request gives besides `model`, in the order they are to be tried."""

    from_models: tuple[str, ...] | None
    """None: the request has no such field."""
    from_fallbacks: tuple[str, ...] | None


class _Metadata(Struct):
    session_id: Raw = Raw()


_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_session = msgspec.json.Decoder(str).decode


def take_names(fields: dict[str, Raw]) -> Names | None:
    """
    Take `models` and `fallbacks` out of a request's fields.

    Args:
        fields: of the request, by name; without the two of them afterwards.

    Returns:
        Their names, or None if both are absent or null.

    Raises:
        InvalidRequest: one of them is no list of at most MAX_NAMES texts that could be names.

    Source: `models`: OpenRouter's "Model Routing"; `fallbacks`: LiteLLM's "Fallbacks";
        docs/routing.md.
    """
    models, fallbacks = fields.pop("models", None), fields.pop("fallbacks", None)
    if models is None and fallbacks is None:
        return None
    names = Names(_read_names("models", models), _read_names("fallbacks", fallbacks))
    return None if names.from_models is None and names.from_fallbacks is None else names


def join_names(model: str, names: Names) -> tuple[tuple[str, ...], int]:
    """Return the names behind the first one, each once, and how many of them are of `models`."""
    first = dict.fromkeys(names.from_models or ())
    first.pop(model, None)
    both = first | dict.fromkeys(names.from_fallbacks or ())
    both.pop(model, None)
    return tuple(both), len(first)


def read_session_id(fields: dict[str, Raw]) -> str | None:
    """
    Return `metadata.session_id`, or None where there is none that could be used.

    `metadata` is the provider's business: whatever else it is, is no error here.

    Args:
        fields: of the request, by name.

    Returns:
        1 to MAX_SESSION_CHARACTERS characters.

    Raises:
        Nothing.

    Source: docs/routing.md.
    """
    raw = fields.get("metadata")
    if raw is None:
        return None
    try:
        session_id = _decode_session(_decode_metadata(raw).session_id)
    except (ValidationError, ValueError, RecursionError):
        return None
    return session_id if 0 < len(session_id) <= MAX_SESSION_CHARACTERS else None


def _read_names(field: str, raw: Raw | None) -> tuple[str, ...] | None:
    if raw is not None and len(memoryview(raw)) > _LONGEST_LIST_BYTES:
        raise InvalidRequest(f"'{field}' {_WANTED}.", param=field)
    names = read_value(field, raw, _decode_names, _WANTED)
    if names is None:
        return None
    if len(names) > MAX_NAMES or not all(map(_is_plausible, names)):
        raise InvalidRequest(f"'{field}' {_WANTED}.", param=field)
    return tuple(names)


def _is_plausible(name: str) -> bool:
    """Return whether a name could be an alias's or a model's, by the rules of the configuration."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()
