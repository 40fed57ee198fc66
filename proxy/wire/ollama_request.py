"""Request bodies of Ollama's clients (chat, generate, embed): bytes -> `Ask`."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Raw

from proxy.domain.catalog import LATEST
from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.json_text import encode
from proxy.wire.openai_fields import (
    MAX_ITEMS,
    MESSAGES,
    REFUSED,
    Check,
    ListReader,
    build_kind_check,
    read_value,
)
from proxy.wire.openai_request import parse_ask as parse_openai_ask

LONGEST_OPTIONS_BYTES = 64 * 1024
_OWN_OF_VECTORS = ("truncate", "options", "keep_alive")
_FLAG = "must be a boolean"

_decode_flag = msgspec.json.Decoder(bool).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Object(msgspec.Struct):
    """Any JSON object."""


_TOOLS = ListReader(_Object, f"must be a list of at most {MAX_ITEMS} objects", b"{},")
_IMAGES = ListReader(str, f"must be a list of at most {MAX_ITEMS} strings", b'"",')


def parse_ask(operation: Operation, body: bytes, model: str | None = None) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    A stream is what is asked for, unless `stream` is false. What asks for vectors becomes an
    embeddings request of OpenAI's, which every provider that has them understands.

    Args:
        operation: ollama_chat, ollama_generate or ollama_embed.
        body: the whole body, JSON in UTF-8.
        model: see `start_ask`.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical, without `models` and
        `fallbacks`, which are ours; of vectors OpenAI's fields, and Ollama's in `own_fields`.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: wire-formats §3.4; tests/wire/test_ollama_request.py.
    """
    ask = start_ask(operation, body, _CHECKS, model)
    _check_names(ask.fields)
    ask.may_untag = ask.model.endswith(LATEST)
    if operation == "ollama_embed":
        return _ask_for_vectors(ask)
    if operation == "ollama_chat":
        MESSAGES.read("messages", ask.fields.get("messages"))
    ask.wants_usage = True
    ask.streams = read_value("stream", ask.fields.get("stream"), _decode_flag, _FLAG) is not False
    return ask


def only_loads(ask: Ask) -> bool:
    """
    Return whether a request has nothing to answer: it has the model loaded, or let go of.

    Ollama's clients send no message, or no prompt, for that.
    """
    if ask.operation == "ollama_chat":
        return bytes(ask.fields.get("messages", b"null")).translate(None, b" \t\r\n") in _NOTHING
    if ask.operation == "ollama_generate":
        return all(
            bytes(ask.fields.get(name, b"null")) in _NOTHING
            for name in ("prompt", "suffix", "images")
        )
    return False


_NOTHING = (b"null", b"[]", b'""')


def _ask_for_vectors(ask: Ask) -> Ask:
    """Return the same as a client of OpenAI's would ask it."""
    came = ask.fields
    fields = {name: raw for name, raw in came.items() if name not in _OWN_OF_VECTORS}
    own = {name: came[name] for name in _OWN_OF_VECTORS if name in came}
    prompt = fields.pop("prompt", None)
    if prompt is not None and "input" not in fields:
        # The older form, of one text, which is answered with one vector.
        fields["input"] = own["prompt"] = prompt
    fields.pop("stream", None)
    asked = parse_openai_ask("embeddings", encode(fields))
    asked.own_fields = own
    asked.may_untag = ask.may_untag
    asked.fallbacks, asked.models_count = ask.fallbacks, ask.models_count
    return asked


def _check_names(names: Iterable[str]) -> None:
    """
    Refuse fields that are not in small letters.

    Ollama, as all that is written in Go, takes `Options`, and even `option\u017f`, for `options`:
    what is bounded here would come in there.
    """
    for name in names:
        if not name.isascii() or name != name.lower():
            raise InvalidRequest("The names of fields are written in small letters of ASCII.")


def _check_options(name: str, raw: Raw) -> None:
    _OBJECT(name, raw)
    if len(memoryview(raw)) > LONGEST_OPTIONS_BYTES:
        raise InvalidRequest(f"'{name}' is longer than {LONGEST_OPTIONS_BYTES} bytes.", param=name)


def _check_tools(name: str, raw: Raw) -> None:
    _TOOLS.read(name, raw)


def _check_images(name: str, raw: Raw) -> None:
    _IMAGES.read(name, raw)


_OBJECT = build_kind_check("must be an object", b"{")
_TEXT = build_kind_check("must be a string", b'"')

_CHECKS: Mapping[str, Check] = {
    **REFUSED,
    "prompt": _TEXT,
    "system": _TEXT,
    "suffix": _TEXT,
    "template": _TEXT,
    "images": _check_images,
    "tools": _check_tools,
    "options": _check_options,
    "format": build_kind_check("must be 'json' or an object", b'"', b"{"),
    "think": build_kind_check("must be a boolean or a string", b"true", b"false", b'"'),
    "raw": build_kind_check(_FLAG, b"true", b"false"),
}
"""What is looked at wherever it stands."""
