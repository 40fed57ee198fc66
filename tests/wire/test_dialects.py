"""Tests of `proxy/wire/dialects.py`: which dialect is whose, and the contract of each pair."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.chat import Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.anthropic_events import AnthropicEvents, read_anthropic_events
from proxy.wire.base import Ask
from proxy.wire.dialect import EventReader
from proxy.wire.dialects import MAX_VALUES, find_dialect, list_dialects, read_chat
from proxy.wire.openai_events import OpenAIEvents, read_openai_events
from proxy.wire.openai_stream import OpenAIStream
from tests.wire.contract_dialect import DialectContract, any_answer, what_is_said
from tests.wire.responses_client import ResponseEvents, build_ask, read_whole
from tests.wire.splits import cut

MESSAGES = Raw(b'[{"role":"user","content":"hi"}]')


class TestOpenAI(DialectContract):
    """Chat completions, for OpenAI's clients and from providers of its format."""

    dialect = find_dialect("chat")
    maker = "anthropic"

    def ask(self, *, streams: bool) -> Ask:
        """Return a request that wants usage."""
        return Ask("chat", "m", {}, streams=streams, wants_usage=True, keeps_chunk_usage=True)

    def open_reader(self) -> EventReader:
        """Return a fresh reader of a stream."""
        return OpenAIEvents(OpenAIStream(self.ask(streams=True), 1 << 20))

    def read_whole(self, body: bytes) -> Sequence[Event]:
        """Return the events of a whole answer."""
        return read_openai_events(body)

    def shortest_success(self, whole: bytes) -> int:
        """A choice that has its finish reason is complete, whatever comes behind it."""
        return whole.index(b'"tool_calls"}]}') + len(b'"tool_calls"}]}')


class TestAnthropic(DialectContract):
    """Messages, for Anthropic's clients and from Anthropic."""

    dialect = find_dialect("messages")
    maker = "anthropic"

    def ask(self, *, streams: bool) -> Ask:
        """Return a request that has thoughts shown."""
        thinking = Raw(b'{"type":"enabled","budget_tokens":1024}')
        return Ask("messages", "m", {"thinking": thinking}, streams=streams, wants_usage=True)

    def open_reader(self) -> EventReader:
        """Return a fresh reader of a stream."""
        return AnthropicEvents(1 << 20)

    def read_whole(self, body: bytes) -> Sequence[Event]:
        """Return the events of a whole answer."""
        return read_anthropic_events(body)[0]

    def shortest_success(self, whole: bytes) -> int:
        """The event with the reason is the end, whatever comes behind it."""
        return whole.index(b"\n\nevent: message_stop")


class TestResponses(DialectContract):
    """Responses, for clients, and as the tests read them: no provider's stream is read so."""

    dialect = find_dialect("responses")
    maker = "anthropic"

    def ask(self, *, streams: bool) -> Ask:
        """Return a request that has thoughts shown."""
        return build_ask(reasoning={"effort": "low", "summary": "auto"}, stream=streams)

    def open_reader(self) -> EventReader:
        """Return a fresh reader of a stream."""
        return ResponseEvents()

    def read_whole(self, body: bytes) -> Sequence[Event]:
        """Return the events of a whole answer."""
        return read_whole(body)

    def shortest_success(self, whole: bytes) -> int:
        """The last event is the end, with the blank line behind it."""
        return len(whole)

    def test_the_split_of_the_bytes_is_of_no_matter(self) -> None:
        """However a stream is cut, it says the same; few cuts do, as the reader is a test's own."""
        events = self.complete(self.thoughts)
        written = self.write(events)
        for places in range(1, len(written), len(written) // 50):
            pieces = [written[:places], written[places:]]
            assert what_is_said(self.read(pieces)) == what_is_said(events)


@pytest.mark.parametrize(
    "pair",
    [TestOpenAI(), TestAnthropic(), TestResponses()],
    ids=["openai", "anthropic", "responses"],
)
@given(events=any_answer(), places=st.lists(st.integers(0, 10_000), max_size=6))
def test_any_answer_is_the_same_when_it_was_written_and_read(
    pair: DialectContract, events: list[Event], places: list[int]
) -> None:
    """Any text and any calls, as a stream cut anywhere and as a whole answer."""
    whole = pair.complete(events)
    said = what_is_said(whole)
    assert what_is_said(pair.read(cut(pair.write(whole), places))) == said
    body = pair.dialect.write_answer(pair.ask(streams=False), whole)
    assert what_is_said(pair.read_whole(body)) == said


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("chat", "openai"),
        ("completions", "openai"),
        ("embeddings", "openai"),
        ("messages", "anthropic"),
        ("count_tokens", "anthropic"),
        ("generate", "generate"),
        ("responses", "responses"),
        ("input_tokens", "responses"),
        ("ollama_chat", "ollama"),
        ("ollama_generate", "ollama"),
        ("ollama_embed", "ollama"),
    ],
)
def test_each_operation_has_its_dialect(operation: Operation, name: str) -> None:
    """What a client asks for says how it speaks."""
    assert find_dialect(operation).name == name


def test_each_dialect_is_listed_once() -> None:
    """Whoever prepares something for all of them has one of each, by its name."""
    names = [dialect.name for dialect in list_dialects()]
    assert len(set(names)) == len(names)
    assert {"openai", "anthropic"} <= set(names)


@pytest.mark.parametrize(
    ("operation", "name"), [("chat", "messages"), ("messages", "messages"), ("chat", "tool_choice")]
)
def test_a_body_of_countless_values_is_not_taken_apart(operation: Operation, name: str) -> None:
    """Ten million empty objects fit into a body, and would fill the memory."""
    ask = Ask(
        operation, "m", {"messages": MESSAGES, name: Raw(b"[" + b"{}," * MAX_VALUES + b"{}]")}
    )
    with pytest.raises(InvalidRequest) as refusal:
        read_chat(ask)
    assert (refusal.value.param, refusal.value.code) == (name, "too_many_values")


def test_a_long_text_is_no_reason_to_refuse() -> None:
    """Only values count: what stands in a string may be as long as a body."""
    words = b"[{,:" * MAX_VALUES
    ask = Ask("chat", "m", {"messages": Raw(b'[{"role":"user","content":"' + words + b'"}]')})
    assert read_chat(ask).messages[0].parts == (Text(words.decode()),)


def test_a_chat_is_read_once() -> None:
    """The second time the same request is given, not another one."""
    ask = Ask("chat", "m", {"messages": MESSAGES})
    chat = read_chat(ask)
    assert chat.messages[0].role == "user"
    assert read_chat(ask) is chat is ask.chat


@pytest.mark.parametrize(
    ("operation", "fields", "param"),
    [
        ("chat", {"tool_choice": b'"required"'}, "tool_choice"),
        ("chat", {"tool_choice": b'"required"', "tools": b"[]"}, "tool_choice"),
        ("chat", {"function_call": b'{"name":"f"}'}, "function_call"),
        ("messages", {"tool_choice": b'{"type":"any"}'}, "tool_choice"),
        ("messages", {"tool_choice": b'{"type":"tool","name":"f"}'}, "tool_choice"),
    ],
)
def test_a_call_of_no_tool_is_refused(
    operation: Operation, fields: dict[str, bytes], param: str
) -> None:
    """What must be called is not left out: the answer would not be what was asked for."""
    raw = {name: Raw(value) for name, value in fields.items()}
    with pytest.raises(InvalidRequest) as refusal:
        read_chat(Ask(operation, "m", {"messages": MESSAGES, **raw}))
    assert refusal.value.param == param


@pytest.mark.parametrize("choice", [b'"auto"', b'"none"', b"null"])
def test_a_choice_that_forces_nothing_needs_no_tools(choice: bytes) -> None:
    """Some clients always send it."""
    read_chat(Ask("chat", "m", {"messages": MESSAGES, "tool_choice": Raw(choice)}))


def test_what_a_provider_keeps_is_read_for_no_other_dialect() -> None:
    """A conversation without its beginning would be another."""
    ask = Ask("responses", "m", {"input": Raw(b'"And?"')}, pinned="openai")
    with pytest.raises(NotOffered) as caught:
        read_chat(ask)
    assert caught.value.param == "previous_response_id"
