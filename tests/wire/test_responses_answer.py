"""Whole answers of the Responses API."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import (
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import MAX_VALUES
from proxy.wire.responses_answer import MOST_ITEMS, list_item_ids, read_responses_answer
from tests.wire.response_events import MESSAGE, REASONING, response


def ask_for(**fields: bytes) -> Ask:
    return Ask("responses", "m", {name: Raw(value) for name, value in fields.items()})


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_good_answer_passes_as_it_came(status: str) -> None:
    """Its bytes are the client's, its counts are read, and what is kept of it is noted."""
    ask = ask_for()
    body = encode(response(status, REASONING, MESSAGE, new=[1, {"a": None}]))
    answer = read_responses_answer(ask, body)
    assert answer.body is body
    assert answer.usage == Usage(9, 5, cached_tokens=2, reasoning_tokens=1)
    assert answer.anomalies == ()
    assert ask.stored is not None
    assert (ask.stored.id, ask.stored.item_ids) == ("resp_1", ("rs_1", "msg_1"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", UpstreamProtocolError),
        (b"[]", UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"object":"chat.completion","choices":[]}', UpstreamProtocolError),
        (encode(response("in_progress")), UpstreamTruncated),
        (encode(response("queued")), UpstreamTruncated),
        (encode(response("cancelled")), UpstreamTruncated),
        (encode(response("failed")), UpstreamServerError),
        (encode(response("failed", error={"code": "invalid_prompt"})), UpstreamRejected),
        (b'{"error":{"message":"x"}}', UpstreamServerError),
        (encode(response())[:-1] + b',"x":[' + b"1," * MAX_VALUES + b"1]}", UpstreamTooLarge),
    ],
    ids=range(11),
)
def test_what_is_no_complete_response_is_refused(body: bytes, kind: type[UpstreamError]) -> None:
    """Nothing of it is noted as kept."""
    ask = ask_for()
    with pytest.raises(kind):
        read_responses_answer(ask, body)
    assert ask.stored is None


def test_broken_text_is_mended() -> None:
    """A character that was cut costs the client that character and nothing else."""
    body = encode(response("completed", MESSAGE)).replace("é".encode(), b"\xc3")
    answer = read_responses_answer(ask_for(), body)
    assert "th\ufffdre".encode() in answer.body
    assert answer.anomalies == ("utf8_replaced",)


@pytest.mark.parametrize(("usage", "is_odd"), [(None, False), ({"input_tokens": -1}, True)])
def test_usage_that_did_not_come_is_estimated(usage: Any, is_odd: bool) -> None:
    """By the bytes of the input and of the output."""
    answer = read_responses_answer(
        ask_for(input=b'"12345678"'), encode(response("completed", usage=usage))
    )
    assert answer.usage == Usage(3, 1, source="estimated")
    assert answer.anomalies == (("usage_anomaly",) if is_odd else ())


def test_what_is_not_kept_is_not_noted() -> None:
    """The client has said so."""
    ask = ask_for(store=b"false")
    read_responses_answer(ask, encode(response()))
    assert ask.stored is None


def test_only_so_many_ids_are_kept_in_mind() -> None:
    """Each once, none that is too long, and none of what has no id."""
    many = [{"id": f"i{number}"} for number in range(MOST_ITEMS + 5)]
    assert len(list_item_ids(encode(many))) == MOST_ITEMS
    assert list_item_ids(encode([{"id": "a"}, {}, {"id": "x" * 300}, {"id": "a"}])) == ("a",)
    assert list_item_ids(b"null") == ()
