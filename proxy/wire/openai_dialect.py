"""OpenAI's dialect: chat completions, completions and embeddings."""

from collections.abc import Mapping, Sequence

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.openai_error import build_error_body, build_error_event
from proxy.wire.openai_request import parse_ask
from proxy.wire.sse import KEEP_ALIVE


class OpenAIDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "openai"
    keep_alive = KEEP_ALIVE
    id_headers: tuple[str, ...] = ()

    def parse_ask(self, operation: Operation, body: bytes, headers: Mapping[str, str]) -> Ask:
        """Check a request body (see `wire/dialect.py`); no header has a part in it."""
        return parse_ask(operation, body)

    def read_chat(self, ask: Ask) -> ChatRequest:
        """Return what is asked (see `wire/dialect.py`)."""
        raise NotImplementedError

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        raise NotImplementedError

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        raise NotImplementedError

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""
        return build_error_body(error)

    def build_error_event(self, error: ProxyError, request_id: str) -> bytes:
        """Return the event that ends a stream which failed."""
        return build_error_event(error)
