"""Whole answers of the Responses API: checked, counted, and passed on as they came."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamProtocolError, UpstreamTooLarge, UpstreamTruncated
from proxy.domain.stored_response import StoredResponse
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.json_text import holds_too_many_values, mend_text
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.responses_error import read_failed_response
from proxy.wire.responses_usage import parse_responses_usage
from proxy.wire.usage_estimate import estimate_usage

LONGEST_ID = 256
MOST_ITEMS = 1024
"""Ids of one response's items that are kept in mind; a client refers to the others in vain."""
_COMPLETE = frozenset(("completed", "incomplete"))
_NO_BILL = (b"", b"null")


class _Item(Struct, gc=False):
    id: str | None = None


class ResponseFacts(Struct, gc=False):
    """What is read of a response object."""

    id: str | None = None
    status: str | None = None
    output: Raw = NO_VALUE
    usage: Raw = NO_VALUE
    error: Raw = NO_VALUE
    object: str | None = None
    store: bool | None = None


decode_facts = msgspec.json.Decoder(ResponseFacts).decode
_decode_items = msgspec.json.Decoder(list[_Item]).decode


def read_responses_answer(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Check a whole 200 answer for a client of the same dialect and return it as it came.

    Args:
        ask: what was asked; its `stored` says afterwards what the provider has kept.
        body: the provider's body, JSON.

    Raises:
        UpstreamProtocolError: not JSON, or no response object.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamTruncated: a response that is not complete.
        UpstreamError: a response that has failed, or an error object in its place.

    Source: wire-formats §2.7; tests/wire/test_responses_answer.py.
    """
    try:
        return _read(ask, body)
    except (ValueError, RecursionError):
        pass
    mended = mend_text(body)
    if mended == body:
        raise UpstreamProtocolError()
    try:
        answer = _read(ask, mended)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    return msgspec.structs.replace(answer, anomalies=("utf8_replaced", *answer.anomalies))


def note_kept(ask: Ask, facts: ResponseFacts) -> None:
    """Note in the ask what a provider keeps of its answer; nothing where it was told not to."""
    is_kept = facts.store is not False and ask.may_be_kept
    if not is_kept or not facts.id or len(facts.id) > LONGEST_ID:
        return
    ids = list_item_ids(facts.output)
    # Which provider that is, is filled in by whoever knows it.
    ask.stored = StoredResponse(facts.id, provider="", model=ask.model, item_ids=ids)


def read_output(response: bytes) -> Raw:
    """Return the output of a response object that was written here."""
    return decode_facts(response).output


def list_item_ids(output: Raw | bytes) -> tuple[str, ...]:
    """Return the ids of the items of an output, given as its JSON; () where it is no list."""
    try:
        items = _decode_items(output)
    except (ValueError, RecursionError):
        return ()
    ids = [item.id for item in items[:MOST_ITEMS] if item.id and len(item.id) <= LONGEST_ID]
    return tuple(dict.fromkeys(ids))


def _read(ask: Ask, body: bytes) -> CheckedAnswer:
    if not body.isascii():
        body.decode()
    if holds_too_many_values(body):
        raise UpstreamTooLarge(
            "The provider's answer has more parts than this proxy accepts.",
            code="answer_too_large",
        )
    facts = decode_facts(body)
    if facts.status == "failed":
        raise read_failed_response(body)
    check_no_error(facts.error, facts.object, body)
    if not facts.id or facts.status is None:
        raise UpstreamProtocolError()
    if facts.status not in _COMPLETE:
        raise UpstreamTruncated("The provider's answer is a response that is not complete.")
    note_kept(ask, facts)
    usage = None if facts.usage is NO_VALUE else parse_responses_usage(facts.usage)
    is_odd = usage is None and bytes(facts.usage) not in _NO_BILL
    return CheckedAnswer(
        body,
        usage or estimate_usage(ask, len(bytes(facts.output))),
        ("usage_anomaly",) if is_odd else (),
    )
