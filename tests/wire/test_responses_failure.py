"""Tests of `proxy/wire/responses_failure.py`."""

import json
from typing import Any

import openai
import pytest

from proxy.domain.errors import NotOffered, UpstreamRateLimited, UpstreamTruncated
from proxy.domain.events import Said, Started
from proxy.wire.base import Ask
from proxy.wire.responses_failure import build_error_body, build_failure
from proxy.wire.responses_writer import ResponsesWriter
from tests.wire.responses_client import build_ask, open_client, split_events

FAULT = UpstreamTruncated()


def begin(*events: Any) -> tuple[Ask, bytes]:
    ask = build_ask(store=False)
    return ask, ResponsesWriter(ask).write([Started("x", "gpt"), *events])


def test_a_stream_goes_on_with_its_own_id_and_numbers() -> None:
    """First the error, in both forms that clients know; then the response has failed."""
    ask, begun = begin(Said("Hel"))
    events = split_events(begun + build_failure(FAULT, ask))
    error, failed = events[-2:]
    told = {"message": FAULT.message, "param": None, "code": "upstream_truncated"}
    assert {name: error[name] for name in told} == told
    assert error["error"] == {"type": "upstream_error", **told}
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == events[0]["response"]["id"]
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": FAULT.message}
    assert failed["response"]["store"] is False


def test_a_client_that_was_told_of_no_response_gets_the_error_alone() -> None:
    """What another candidate had begun, and nobody has seen, is not gone on with."""
    ask, _ = begin()
    for asked in (ask, None):
        [error] = split_events(build_failure(FAULT, asked))
        assert error["error"]["code"] == "upstream_truncated"


def test_a_limit_is_told_by_openais_own_code() -> None:
    """Of what can happen in mid-answer its types know two codes."""
    ask, begun = begin(Said("Hel"))
    failed = split_events(begun + build_failure(UpstreamRateLimited(), ask))[-1]
    assert failed["response"]["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("param", "told"),
    [
        ("messages", "input"),
        ("response_format", "text"),
        ("reasoning_effort", "reasoning"),
        ("tools", "tools"),
        (None, None),
    ],
)
def test_a_field_is_called_as_the_client_does(param: str | None, told: str | None) -> None:
    """Whoever was to be asked by a chat: this dialect has other names for some of it."""
    error = NotOffered("no", param=param)
    [event] = split_events(build_failure(error, None))
    wanted = {
        "message": "no",
        "type": "invalid_request_error",
        "param": told,
        "code": "unsupported_parameter",
    }
    assert json.loads(build_error_body(error))["error"] == event["error"] == wanted
    assert event["param"] == told


@pytest.mark.parametrize("is_helper", [True, False])
def test_the_sdk_raises(is_helper: bool) -> None:
    """Neither its helper nor a bare stream takes what has failed for an answer."""
    ask, begun = begin(Said("Hel"))
    stream = begun + build_failure(FAULT, ask)
    texts = []
    with open_client(stream, "text/event-stream") as client:
        if is_helper:
            with (
                pytest.raises(openai.APIError, match="before"),
                client.responses.stream(model="m", input="x") as events,
            ):
                texts += [
                    each.delta for each in events if each.type == "response.output_text.delta"
                ]
        else:
            bare = client.responses.create(model="m", input="x", stream=True)
            with pytest.raises(openai.APIError) as refusal:
                texts += [each.type for each in bare]
            assert refusal.value.code == "upstream_truncated"
            assert json.dumps(refusal.value.body)
