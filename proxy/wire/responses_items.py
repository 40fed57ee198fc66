"""
The items of a request of the Responses API: which stand for others, and what a provider is sent.

An item may be a mere reference to one of an earlier answer, by its id. Providers of the same
dialect would look it up in what all our clients share there, so who may refer to what is decided
in `pipeline/resume.py`, by what is found here.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import InvalidRequest
from proxy.domain.stored_response import StoredResponse
from proxy.wire.base import Ask
from proxy.wire.json_text import build_object, holds_too_many_values
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.thought_signature import MARK

PREVIOUS = "previous_response_id"
INPUT = "input"
MOST_VALUES = 500_000
"""Most values of an input that is taken apart into its items."""
_REFERENCE = "item_reference"
_WHOLE = frozenset(
    (
        *("message", "function_call", "custom_tool_call", "mcp_approval_response"),
        *("computer_call", "local_shell_call", "shell_call", "apply_patch_call"),
    )
)
"""Types of items that say all of what they are, as do the outputs of calls."""
_LIST = "'input' must be a string or a list of items, each an object."
_FOREIGN = MARK.encode()


class _Shape(Struct, gc=False):
    type: Any = None
    role: Any = None
    id: Any = None
    encrypted_content: Raw = NO_VALUE


class _Thought(Struct, gc=False):
    type: Any = None
    encrypted_content: Any = None


class _Answer(Struct):
    output: Raw = Raw(b"[]")


_decode_shapes = msgspec.json.Decoder(list[_Shape]).decode
_decode_thought = msgspec.json.Decoder(_Thought).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_previous(ask: Ask) -> str | None:
    """
    Return the id of the response that a request goes on from; None: it begins anew.

    Raises:
        InvalidRequest: it is no text.
    """
    raw = ask.fields.get(PREVIOUS)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return _decode_text(raw)
    except ValueError:
        raise InvalidRequest(f"'{PREVIOUS}' must be a string.", param=PREVIOUS) from None


def find_references(ask: Ask) -> list[str]:
    """
    Return the ids that the input refers to, in their order, each as often as it stands there.

    Raises:
        InvalidRequest: the input is a list of something else than objects, or of too many values,
            or what would be a reference has no id.

    Source: OpenAI's API reference, "Item reference": its `type` may be left out.
    """
    raw = bytes(ask.fields.get(INPUT, b""))
    if not raw.startswith(b"["):
        return []
    if len(raw) > MOST_VALUES and holds_too_many_values(raw, MOST_VALUES):
        raise InvalidRequest(
            f"'{INPUT}' holds more than {MOST_VALUES} values.", param=INPUT, code="too_many_values"
        )
    try:
        shapes = _decode_shapes(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(_LIST, param=INPUT) from None
    return [
        _read_id(shape, position) for position, shape in enumerate(shapes) if _is_reference(shape)
    ]


def find_bare_ids(ask: Ask) -> list[str]:
    """
    Return the ids of items that a provider completes by what it keeps under them, each once.

    Such are thoughts without `encrypted_content`, and what OpenAI's servers have done: the id of
    somebody else's would bring it into this conversation.

    Args:
        ask: whose input has been read by `find_references`.
    """
    raw = bytes(ask.fields.get(INPUT, b""))
    if not raw.startswith(b"["):
        return []
    return list(dict.fromkeys(shape.id for shape in _decode_shapes(raw) if _is_bare(shape)))


def replace_references(ask: Ask, items: Mapping[str, Raw]) -> None:
    """Put the items that are known, by their ids, into the place of the references to them."""
    raw = ask.fields[INPUT]
    replaced = [
        items.get(str(shape.id), item) if _is_reference(shape) else item
        for shape, item in zip(_decode_shapes(raw), _decode_items(raw), strict=True)
    ]
    ask.fields[INPUT] = Raw(_write_list(replaced))


def list_history(stored: StoredResponse) -> tuple[Raw, ...]:
    """
    Return the items that led to a response kept here, and those that it consists of.

    Raises:
        InvalidRequest: they have more values than are taken apart.
    """
    if len(stored.input) > MOST_VALUES and holds_too_many_values(stored.input, MOST_VALUES):
        raise InvalidRequest(
            f"What led to '{PREVIOUS}' holds more than {MOST_VALUES} values.",
            param=PREVIOUS,
            code="too_many_values",
        )
    output = _decode_answer(stored.body).output
    return (*_decode_items(stored.input), *_decode_items(output))


def find_items(stored: StoredResponse, ids: Set[str]) -> dict[str, Raw]:
    """Return those items of the output of a response kept here that have one of these ids."""
    output = _decode_answer(stored.body).output
    shapes = zip(_decode_shapes(output), _decode_items(output), strict=True)
    # Copied: as they are they would hold all of the response in memory.
    return {str(shape.id): item.copy() for shape, item in shapes if shape.id in ids}


def build_passed_fields(ask: Ask, provider: str) -> dict[str, Raw | bytes]:
    """
    Return the fields of a request for a provider of the same dialect.

    They are as they came, but for what is kept here and not there: earlier items are written out,
    without their ids, and thoughts of other vendors' models are left out, which it would refuse.
    So is what it would complete by what it keeps, unless it is known to be the caller's.

    Args:
        ask: what was asked; its `keepers` say who keeps which of the items that are bare.
        provider: its name.
    """
    fields: dict[str, Raw | bytes] = dict(ask.fields)
    if ask.pinned is None:
        fields.pop(PREVIOUS, None)
    if ask.history:
        earlier = [_without_id(item) for item in ask.history]
        fields[INPUT] = _write_list((*earlier, *_list_input(fields.get(INPUT, b"[]"))))
    passed = bytes(fields.get(INPUT, b""))
    if _FOREIGN in passed and passed.startswith(b"["):
        own = [item for item in _decode_items(passed) if not _is_foreign_thought(item)]
        fields[INPUT] = _write_list(own)
    if ask.keepers or ask.history:
        fields[INPUT] = _leave_out(fields.get(INPUT, b"null"), ask.keepers, provider)
    return fields


def _leave_out(raw: Raw | bytes, keepers: Mapping[str, str | None], provider: str) -> Raw | bytes:
    """Return an input without the bare items that this provider does not keep for the caller."""
    if not bytes(raw).startswith(b"["):
        return raw
    items = list(zip(_decode_shapes(raw), _decode_items(raw), strict=True))
    left = [
        (shape, item)
        for shape, item in items
        if not _is_bare(shape) or keepers.get(shape.id) == provider
    ]
    if len(left) == len(items):
        return raw
    # The ids of calls and words would have the provider ask for the thoughts before them.
    return _write_list(
        item if _is_bare(shape) or _is_reference(shape) else _without_id(item)
        for shape, item in left
    )


def _list_input(raw: Raw | bytes) -> list[Raw]:
    text = bytes(raw)
    if text.startswith(b"["):
        return _decode_items(text)
    return [Raw(build_object({"role": b'"user"', "content": text}))]


def _read_id(shape: _Shape, position: int) -> str:
    if isinstance(shape.id, str) and shape.id:
        return shape.id
    # More often than a reference it is a message that lacks its role.
    needed = "'id'" if shape.type == _REFERENCE else "'role', 'type' or 'id'"
    where = f"{INPUT}[{position}]"
    raise InvalidRequest(f"'{where}' needs {needed}, a string.", param=where)


def _is_reference(shape: _Shape) -> bool:
    return shape.type == _REFERENCE or (shape.type is None and shape.role is None)


def _is_bare(shape: _Shape) -> bool:
    """Return whether an item has an id, and nothing that it would be worth without."""
    if not isinstance(shape.id, str) or _is_reference(shape):
        return False
    kind = "message" if shape.type is None else str(shape.type)
    if kind in _WHOLE or kind.endswith("_output"):
        return False
    return bytes(shape.encrypted_content) in (b"", b"null", b'""')


def _is_foreign_thought(item: Raw) -> bool:
    if _FOREIGN not in bytes(item):
        return False
    thought = _decode_thought(item)
    kept = thought.encrypted_content
    return thought.type == "reasoning" and isinstance(kept, str) and kept.startswith(MARK)


def _without_id(item: Raw) -> Raw:
    fields: dict[str, Raw | bytes] = dict(_decode_fields(item))
    # A thought is worth nothing without its id; those of our own are left out as a whole.
    is_thought = bytes(fields.get("type", b"")) == b'"reasoning"'
    if is_thought or fields.pop("id", None) is None:
        return item
    return Raw(build_object(fields))


def _write_list(items: Iterable[Raw]) -> bytes:
    return b"[" + b",".join([bytes(item) for item in items]) + b"]"
