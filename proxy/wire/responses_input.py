"""The items that led to a response, as they are kept: each whole, and with an id of its own."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from proxy.wire.base import Ask
from proxy.wire.json_text import build_object, encode
from proxy.wire.new_id import build_id

_PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "reasoning": "rs_",
}
_OTHER_PREFIX = "item_"
_WITH_STATUS = frozenset(("message", "function_call", "function_call_output"))
_NOTHING = (b"", b"null", b'""')
_MESSAGE = b'"message"'
_COMPLETED = b'"completed"'

Fields = dict[str, Raw | bytes]

_decode_input = msgspec.json.Decoder(str | list[dict[str, Raw]]).decode
_decode_text = msgspec.json.Decoder(str).decode


def build_input_items(ask: Ask) -> bytes:
    """
    Return the items of a request, those of what it goes on from first, as a JSON array.

    Args:
        ask: of the operation `responses`, whose `input` has been read as a chat. A text becomes
            the message that it stands for, and so does a message whose content is one text.
            Ids that came are kept.

    Source: wire-formats §2.7; tests/wire/test_responses_input.py.
    """
    return (
        b"[" + b",".join((*map(bytes, ask.history), *_list_items(ask.fields.get("input")))) + b"]"
    )


def _list_items(raw: Raw | None) -> Iterator[bytes]:
    if raw is None or bytes(raw) == b"null":
        return
    found = _decode_input(raw)
    if isinstance(found, str):
        yield _complete({"role": Raw(b'"user"'), "content": raw})
    else:
        for item in found:
            yield _complete(item)


def _complete(item: dict[str, Raw]) -> bytes:
    fields: Fields = dict(item)
    if bytes(fields.get("type", b"null")) in _NOTHING:
        fields["type"] = _MESSAGE
    kind = _decode_text(fields["type"])
    if bytes(fields.get("id", b"null")) in _NOTHING:
        fields["id"] = encode(build_id(_PREFIXES.get(kind, _OTHER_PREFIX)))
    if kind in _WITH_STATUS and bytes(fields.get("status", b"null")) in _NOTHING:
        fields["status"] = _COMPLETED
    if kind == "message":
        _complete_content(fields)
    return build_object(fields)


def _complete_content(fields: Fields) -> None:
    content = bytes(fields.get("content", b"null"))
    if content.startswith(b'"'):
        is_said = bytes(fields.get("role", b"")) == b'"assistant"'
        part = {"type": "output_text" if is_said else "input_text", "text": Raw(content)}
        fields["content"] = encode([{**part, "annotations": []} if is_said else part])
