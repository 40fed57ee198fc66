"""Tests of `proxy/wire/responses_dialect.py`."""

import json

from proxy.domain.chat import Message, Text
from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import Event, Finished, Said, Started
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.responses_dialect import ResponsesDialect
from tests.wire.responses_client import check_invariants, read_answer, split_events

DIALECT = ResponsesDialect()
BODY = b'{"model":"m","input":"hi"}'
EVENTS: list[Event] = [Started(), Said("x"), Finished("stop")]


def test_it_is_found_by_its_operations() -> None:
    """Responses and the tokens of an input are of one dialect, and it is this one."""
    assert find_dialect("responses") is find_dialect("input_tokens")
    assert isinstance(find_dialect("responses"), ResponsesDialect)


def test_a_request_is_read_and_answered() -> None:
    """From the body to what the SDK makes of the answer, whole and as a stream."""
    ask = DIALECT.parse_ask("responses", BODY, {})
    assert read_chat(ask).messages == (Message("user", (Text("hi"),)),)
    writer = DIALECT.open_writer(ask)
    streamed = check_invariants(split_events(writer.write(EVENTS) + writer.finish()))
    answered = read_answer(DIALECT.write_answer(ask, EVENTS))
    assert streamed["output"][0]["content"][0]["text"] == answered.output_text == "x"


def test_a_sign_of_life_is_a_comment() -> None:
    """It has no number, and changes none."""
    ask = DIALECT.parse_ask("responses", BODY, {})
    writer = DIALECT.open_writer(ask)
    alive = DIALECT.keep_alive
    check_invariants(split_events(alive + writer.write(EVENTS) + alive + writer.finish()))


def test_errors_have_openais_shape() -> None:
    """As a body, and in the event that ends a stream."""
    error = UpstreamTruncated()
    body = json.loads(DIALECT.build_error_body(error, "r1"))
    [event] = split_events(DIALECT.build_error_event(error, "r1"))
    assert event["error"] == body["error"]
