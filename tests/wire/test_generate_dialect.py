"""Tests of `proxy/wire/generate_dialect.py`."""

import json

import pytest

from proxy.domain.chat import Text
from proxy.domain.errors import InvalidRequest, NotOffered, ProxyError, UpstreamTruncated
from proxy.domain.events import Event, Finished, Said
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.generate_dialect import GenerateDialect

DIALECT = find_dialect("generate")
BODY = b'{"model":"m","prompt":"hi","return_likelihoods":"GENERATION"}'


def test_it_is_found_by_its_operation() -> None:
    """Lines of JSON are its streams, and blanks its signs of life."""
    assert isinstance(DIALECT, GenerateDialect)
    assert (DIALECT.name, DIALECT.stream_type) == ("generate", "application/x-ndjson")
    assert DIALECT.keep_alive.isspace() and b"\n" not in DIALECT.keep_alive


def test_a_request_becomes_an_answer() -> None:
    """What was asked is read as a chat, and what is said is written whole or in lines."""
    ask = DIALECT.parse_ask("generate", BODY, {})
    assert read_chat(ask).messages[0].parts == (Text("hi"),)
    events: list[Event] = [Said("yes"), Finished("stop")]
    assert json.loads(DIALECT.write_answer(ask, events))["generations"][0]["text"] == "yes"
    writer = DIALECT.open_writer(ask)
    lines = (writer.write(events) + writer.finish()).splitlines()
    assert [json.loads(line)["is_finished"] for line in lines] == [False, True]


def test_an_error_is_its_message() -> None:
    """Code and field stand beside it, where there are any."""
    error = InvalidRequest("No.", param="prompt", code="odd")
    assert json.loads(DIALECT.build_error_body(error, "r1")) == {
        "id": "r1",
        "message": "No.",
        "code": "odd",
        "param": "prompt",
    }
    told = json.loads(DIALECT.build_error_body(ProxyError("Oh."), "r1"))
    assert told["message"] == "Oh." and "param" not in told


@pytest.mark.parametrize(
    ("param", "name"),
    [("n", "num_generations"), ("stop", "stop_sequences"), ("messages", "prompt"), ("k", "k")],
)
def test_a_field_has_the_clients_name(param: str, name: str) -> None:
    """A provider refuses it by OpenAI's."""
    body = DIALECT.build_error_body(NotOffered("No.", param=param), "r1")
    assert json.loads(body)["param"] == name


def test_a_stream_that_failed_ends_with_an_error() -> None:
    """By the line that Cohere's own client knows for it."""
    line = DIALECT.build_error_event(UpstreamTruncated(), "r1")
    assert line.endswith(b"}\n") and line.count(b"\n") == 1
    assert json.loads(line) == {
        "is_finished": True,
        "event_type": "stream-error",
        "finish_reason": "ERROR",
        "err": UpstreamTruncated().message,
        "code": "upstream_truncated",
    }
