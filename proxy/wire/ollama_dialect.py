"""Ollama's dialect: chat, generate and embed."""

from collections.abc import Mapping, Sequence

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.ndjson import NDJSON, end_line
from proxy.wire.ollama_chat_reader import read_ollama_chat, read_ollama_generate
from proxy.wire.ollama_request import parse_ask
from proxy.wire.ollama_writer import OllamaWriter, build_error_body, write_ollama_answer


class OllamaDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "ollama"
    stream_type = NDJSON
    keep_alive = b" "
    """A blank in front of the next line: clients read line by line, and an empty line is none."""
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
        return (
            read_ollama_chat(ask) if ask.operation == "ollama_chat" else read_ollama_generate(ask)
        )

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        return OllamaWriter(ask)

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        return write_ollama_answer(ask, events)

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""
        return build_error_body(error)

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """Return the line that ends a stream which failed."""
        return end_line(build_error_body(error))
