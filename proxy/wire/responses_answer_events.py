"""
A complete response as the event stream that was asked for.

For providers that answer `stream: true` with one JSON object. What a client's accumulator makes
of the events is the response again.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from proxy.domain.errors import UpstreamProtocolError
from proxy.wire.json_text import build_object

Fields = Mapping[str, Raw | bytes]

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_STATUS = b'"in_progress"'
_TEXT = b'""'
_WHOLE_TEXTS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""The parts of a content that come in deltas, with the member that they are deltas of."""
_WHOLE_ITEMS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_text = msgspec.json.Decoder(str).decode


def build_response_events(body: bytes) -> bytes:
    """
    Return a response as a stream, from `response.created` to the event that ends it.

    Args:
        body: a response that `read_responses_answer` has found good.

    Returns:
        Its events in their order, numbered from 0. Each text is one delta. Items of kinds that
        have events of their own begin and end, and are whole when they end.

    Raises:
        UpstreamProtocolError: members that must be objects are none.

    Source: wire-formats §2.7; tests/wire/test_responses_answer_events.py.
    """
    try:
        # A line end inside a string is written as an escape: a raw one is only ever a blank.
        response = _decode_fields(body.translate(_ONE_LINE))
        events = list(_list_events(response))
    except (ValueError, RecursionError, KeyError):
        raise UpstreamProtocolError() from None
    return b"".join(
        _build_event(name, {**fields, "sequence_number": b"%d" % number})
        for number, (name, fields) in enumerate(events)
    )


def _list_events(response: Mapping[str, Raw]) -> Iterator[tuple[str, Fields]]:
    begun = {**response, "status": _STATUS, "output": b"[]", "usage": b"null"}
    begun["incomplete_details"] = b"null"
    yield "response.created", {"response": build_object(begun)}
    yield "response.in_progress", {"response": build_object(begun)}
    for index, item in enumerate(_decode_items(response["output"])):
        yield from _list_item(item, {"output_index": b"%d" % index})
    yield f"response.{_decode_text(response['status'])}", {"response": build_object(response)}


def _list_item(item: Mapping[str, Raw], place: Fields) -> Iterator[tuple[str, Fields]]:
    kind = _decode_text(item["type"])
    inside: Fields = {"item_id": item.get("id", _TEXT), **place}
    empty: dict[str, Raw | bytes] = {**item}
    if "status" in item:
        empty["status"] = _STATUS
    member, events = _WHOLE_ITEMS.get(kind, ("", ""))
    if member:
        empty[member] = _TEXT
    for name in ("content", "summary"):
        if bytes(item.get(name, b"")).startswith(b"["):
            empty[name] = b"[]"
    yield "response.output_item.added", {**place, "item": build_object(empty)}
    if kind in ("message", "reasoning"):
        yield from _list_summary(item, inside)
        yield from _list_content(item, inside)
    elif member:
        yield f"{events}.delta", {**inside, "delta": item[member]}
        yield f"{events}.done", {**inside, "name": item["name"], member: item[member]}
    yield "response.output_item.done", {**place, "item": build_object(item)}


def _list_content(item: Mapping[str, Raw], inside: Fields) -> Iterator[tuple[str, Fields]]:
    for index, part in enumerate(_list_parts(item, "content")):
        at: Fields = {**inside, "content_index": b"%d" % index}
        kind = _decode_text(part["type"])
        member = _WHOLE_TEXTS.get(kind)
        if member is None:
            yield "response.content_part.added", {**at, "part": build_object(part)}
        else:
            empty: Fields = {**part, member: _TEXT}
            more: Fields = {"logprobs": b"[]"} if kind == "output_text" else {}
            yield "response.content_part.added", {**at, "part": build_object(empty)}
            yield f"response.{kind}.delta", {**at, "delta": part[member], **more}
            yield f"response.{kind}.done", {**at, member: part[member], **more}
        yield "response.content_part.done", {**at, "part": build_object(part)}


def _list_summary(item: Mapping[str, Raw], inside: Fields) -> Iterator[tuple[str, Fields]]:
    for index, part in enumerate(_list_parts(item, "summary")):
        at: Fields = {**inside, "summary_index": b"%d" % index}
        text = part["text"]
        empty: Fields = {**part, "text": _TEXT}
        yield "response.reasoning_summary_part.added", {**at, "part": build_object(empty)}
        yield "response.reasoning_summary_text.delta", {**at, "delta": text}
        yield "response.reasoning_summary_text.done", {**at, "text": text}
        yield "response.reasoning_summary_part.done", {**at, "part": build_object(part)}


def _list_parts(item: Mapping[str, Raw], name: str) -> list[dict[str, Raw]]:
    parts = item.get(name)
    return [] if parts is None or bytes(parts) == b"null" else _decode_items(parts)


def _build_event(name: str, fields: Fields) -> bytes:
    data = build_object({"type": b'"%b"' % name.encode(), **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
