"""Anthropic's dialect: messages and the counting of their tokens."""

from collections.abc import Mapping, Sequence

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.anthropic_chat_reader import read_anthropic_chat
from proxy.wire.anthropic_error import build_error_body, build_error_event
from proxy.wire.anthropic_request import parse_ask
from proxy.wire.anthropic_writer import AnthropicWriter, write_anthropic_answer
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.sse import EVENT_STREAM


class AnthropicDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "anthropic"
    stream_type = EVENT_STREAM
    keep_alive = b'event: ping\ndata: {"type":"ping"}\n\n'
    id_headers: tuple[str, ...] = ("request-id",)

    def parse_ask(
        self,
        operation: Operation,
        body: bytes,
        headers: Mapping[str, str],
        model: str | None = None,
    ) -> Ask:
        """Check a request body (see `wire/dialect.py`) and keep the dialect's own headers."""
        return parse_ask(operation, body, headers, model)

    def read_chat(self, ask: Ask) -> ChatRequest:
        """Return what is asked (see `wire/dialect.py`)."""
        return read_anthropic_chat(ask)

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        return AnthropicWriter(ask)

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        return write_anthropic_answer(ask, events)

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""
        return build_error_body(error, request_id)

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """Return the event that ends a stream which failed."""
        return build_error_event(error, request_id)
