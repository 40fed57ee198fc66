"""The dialect of the Responses API: responses, and the tokens of an input."""

from collections.abc import Mapping, Sequence

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.responses_chat_reader import read_responses_chat
from proxy.wire.responses_failure import build_error_body, build_failure
from proxy.wire.responses_request import parse_ask
from proxy.wire.responses_writer import ResponsesWriter, write_response
from proxy.wire.sse import EVENT_STREAM, KEEP_ALIVE


class ResponsesDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "responses"
    stream_type = EVENT_STREAM
    keep_alive = KEEP_ALIVE
    id_headers: tuple[str, ...] = ()

    def parse_ask(
        self,
        operation: Operation,
        body: bytes,
        headers: Mapping[str, str],
        model: str | None = None,
    ) -> Ask:
        """Check a request body (see `wire/dialect.py`); no header has a part in it."""
        return parse_ask(operation, body, model)

    def read_chat(self, ask: Ask) -> ChatRequest:
        """Return what is asked (see `wire/dialect.py`)."""
        return read_responses_chat(ask)

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        return ResponsesWriter(ask)

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        return write_response(ask, events)

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""
        return build_error_body(error)

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """Return the events that end a stream which failed."""
        return build_failure(error, ask)
