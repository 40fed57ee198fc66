"""Tests of `proxy/wire/anthropic_dialect.py`."""

import json

from proxy.domain.chat import Message, Text
from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import Event, Finished, Said, Started
from proxy.wire.anthropic_dialect import AnthropicDialect
from proxy.wire.dialects import find_dialect, read_chat
from tests.wire.anthropic_client import read_answer, read_stream, split_events

DIALECT = AnthropicDialect()
BODY = json.dumps(
    {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
).encode()
EVENTS: list[Event] = [Started(), Said("x"), Finished("stop")]


def test_it_is_found_by_its_operations() -> None:
    """Messages and the counting of their tokens are of one dialect, and it is this one."""
    assert find_dialect("messages") is find_dialect("count_tokens")
    assert isinstance(find_dialect("messages"), AnthropicDialect)
    assert DIALECT.name == "anthropic"


def test_a_request_is_read_and_answered() -> None:
    """From the body to what the SDK makes of the answer, whole and as a stream."""
    ask = DIALECT.parse_ask("messages", BODY, {"anthropic-version": "2023-06-01"})
    assert ask.passed_headers == {"anthropic-version": "2023-06-01"}
    chat = read_chat(ask)
    assert chat.messages == (Message("user", (Text("hi"),)),)
    assert chat is read_chat(ask)
    writer = DIALECT.open_writer(ask)
    streamed = read_stream(writer.write(EVENTS) + writer.finish())
    answered = read_answer(DIALECT.write_answer(ask, EVENTS))
    assert streamed.content == answered.content
    assert answered.content[0].text == "x"  # type: ignore[union-attr]


def test_a_sign_of_life_is_a_ping() -> None:
    """The SDK passes it over wherever it stands, before the beginning, too."""
    ask = DIALECT.parse_ask("messages", BODY, {})
    writer = DIALECT.open_writer(ask)
    ping = DIALECT.keep_alive
    assert split_events(ping) == [{"type": "ping"}]
    out = writer.write(EVENTS)
    message = read_stream(ping + out + ping + writer.finish())
    assert [block.type for block in message.content] == ["text"]


def test_errors_are_told_with_the_id_of_the_request() -> None:
    """As a body and as the event that ends a stream, alike."""
    error = UpstreamTruncated()
    body = DIALECT.build_error_body(error, "r1")
    assert json.loads(body)["request_id"] == "r1"
    assert split_events(DIALECT.build_error_event(error, "r1")) == [json.loads(body)]
    assert DIALECT.id_headers == ("request-id",)
