"""Ollama's dialect as the pipeline uses it, and the pair of its writer and its reader."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import Counted, Event, Started
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.ollama_dialect import OllamaDialect
from proxy.wire.ollama_events import OllamaEvents, read_ollama_events
from tests.wire.contract_dialect import ANSWERS, any_answer, what_is_said
from tests.wire.splits import cut

DIALECT = OllamaDialect()


def test_a_sign_of_life_is_no_line() -> None:
    """In front of a line it is a blank that JSON allows; a client that reads lines sees nothing."""
    assert json.loads(DIALECT.keep_alive * 3 + b'{"a":1}') == {"a": 1}
    assert b"\n" not in DIALECT.keep_alive


def test_an_error_in_a_stream_is_a_line() -> None:
    """The stream ends with it, and has no line that says it is done."""
    event = DIALECT.build_error_event(UpstreamTruncated(), "req_1")
    assert event.endswith(b"}\n")
    assert set(json.loads(event)) == {"error", "code"}
    assert DIALECT.build_error_body(UpstreamTruncated(), "req_1") + b"\n" == event
    event = DIALECT.build_error_event(UpstreamTruncated("a\u2028b"), "req_1")
    assert event.decode().splitlines(keepends=True) == [event.decode()]


def test_each_operation_is_read_as_a_chat() -> None:
    """A chat has its messages, a prompt becomes one."""
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":false}'
    chat = DIALECT.read_chat(DIALECT.parse_ask("ollama_chat", body, {}))
    prompt = DIALECT.parse_ask("ollama_generate", b'{"model":"m","prompt":"Hi"}', {})
    assert chat.messages == DIALECT.read_chat(prompt).messages
    assert (chat.streams, DIALECT.read_chat(prompt).streams) == (False, True)


def complete(events: Sequence[Event]) -> list[Event]:
    """Return an answer with all that the dialect has a place for."""
    return [Started(None, "m"), *events, Counted(Usage(40, 12))]


def ask_for(*, streams: bool) -> Ask:
    return Ask("ollama_chat", "m", {}, streams=streams, wants_usage=True)


def read(pieces: Sequence[bytes]) -> list[Event]:
    reader = OllamaEvents(ask_for(streams=True), 1 << 20)
    events = [event for piece in pieces for event in reader.feed(piece)]
    assert reader.is_over
    assert reader.error is None
    return events


# A filter has no word of its own in this dialect.
@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "held back"])
def test_what_was_written_is_what_is_read(name: str) -> None:
    """As a stream in any pieces, and as a whole answer, an answer says the same."""
    events = complete(ANSWERS[name])
    said = what_is_said(events)
    writer = DIALECT.open_writer(ask_for(streams=True))
    written = b"".join(writer.write([event]) for event in events) + writer.finish()
    for pieces in ([written], [written[at : at + 1] for at in range(len(written))]):
        assert what_is_said(read(pieces)) == said
    body = DIALECT.write_answer(ask_for(streams=False), events)
    assert what_is_said(read_ollama_events(ask_for(streams=False), body)[0]) == said


@given(events=any_answer(), places=st.lists(st.integers(0, 10_000), max_size=6))
def test_any_answer_is_the_same_when_it_was_written_and_read(
    events: list[Event], places: list[int]
) -> None:
    """Any text and any calls, cut anywhere; no line is cut by who finds ends as Unicode does."""
    whole = complete(events)
    writer = DIALECT.open_writer(ask_for(streams=True))
    written = writer.write(whole) + writer.finish()
    assert len(written.decode().splitlines()) == written.count(b"\n")
    assert arguments_of(read(cut(written, places))) == arguments_of(whole)


def arguments_of(events: Sequence[Event]) -> Any:
    """All that an answer says, its arguments as values: blanks in them are of no matter."""
    *rest, choices = what_is_said(events)
    text, thoughts, calls, *more = choices[0]
    values = [(call_id, name, json.loads(arguments)) for call_id, name, arguments in calls]
    return rest, text, thoughts, values, more


def test_what_is_cut_off_is_no_success() -> None:
    """Wherever a stream ends before the end of its last line, it is reported as truncated."""
    events = complete(ANSWERS["two calls behind text"])
    writer = DIALECT.open_writer(ask_for(streams=True))
    whole = (writer.write(events) + writer.finish()).rstrip()
    for size in range(0, len(whole), 7):
        reader = OllamaEvents(ask_for(streams=True), 1 << 20)
        reader.feed(whole[:size])
        reader.finish()
        assert reader.error is not None
