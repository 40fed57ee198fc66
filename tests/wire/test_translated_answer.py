"""Tests of `proxy/wire/translated_answer.py`."""

import json

import pytest
from msgspec import Raw

from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import Event, Finished, Said
from proxy.domain.exchange import Operation
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.translated_answer import translate_answer
from tests.wire.answers import COUNTED, TEXT, accumulate


def ask_for(operation: Operation = "chat", choices: int = 1) -> Ask:
    prompt = {"prompt": Raw(b'"12345678"')}
    return Ask(operation, "m", prompt, choices=choices, wants_usage=True)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("chat", "chat.completion"), ("completions", "text_completion")],
)
def test_the_answer_is_in_the_clients_dialect(operation: Operation, kind: str) -> None:
    """The operation says how the client is answered; usage and oddities go with the answer."""
    answer = translate_answer(ask_for(operation), TEXT, ("utf8_replaced",))
    assert json.loads(answer.body)["object"] == kind
    assert answer.usage == COUNTED.usage
    assert answer.anomalies == ("utf8_replaced",)


def test_anthropics_clients_are_answered_in_theirs() -> None:
    """A client of messages gets a message."""
    assert json.loads(translate_answer(ask_for("messages"), TEXT).body)["type"] == "message"


def test_it_may_be_the_stream_that_was_asked_for() -> None:
    """The same answer as a stream, complete with its end and its usage."""
    answer = translate_answer(ask_for(), TEXT, as_stream=True)
    found = accumulate(answer.body)
    assert found.choices[0].message.content == "Hi there \u2013 é"
    assert found.usage is not None and found.usage.total_tokens == 52


def test_usage_that_nobody_counted_is_estimated_for_the_client_too() -> None:
    """The client reads the count that is billed."""
    answer = translate_answer(ask_for(), [Said("12345"), Finished("stop")])
    assert answer.usage == Usage(3, 2, source="estimated")
    assert json.loads(answer.body)["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(
    ("events", "choices"),
    [
        ([Said("a")], 1),
        ([], 1),
        ([Said("a"), Finished("stop")], 2),
        ([Said("a"), Finished("stop"), Said("b", 1)], 1),
    ],
)
def test_an_answer_without_an_end_is_no_success(events: list[Event], choices: int) -> None:
    """Every choice that was asked for, and every one that began, must have ended."""
    with pytest.raises(UpstreamTruncated):
        translate_answer(ask_for(choices=choices), events)
