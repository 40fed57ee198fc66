"""OpenAI's dialect: chat completions, completions and embeddings."""

from collections.abc import Mapping, Sequence

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import NotOffered, ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.openai_chat_reader import read_openai_chat
from proxy.wire.openai_chunks import OpenAIChunks
from proxy.wire.openai_completions import CompletionChunks, read_completion, write_completion
from proxy.wire.openai_error import build_error_body, build_error_event
from proxy.wire.openai_message import write_openai_answer
from proxy.wire.openai_request import parse_ask
from proxy.wire.sse import EVENT_STREAM, KEEP_ALIVE


class OpenAIDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "openai"
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
        if ask.operation == "chat":
            return read_openai_chat(ask)
        if ask.operation == "completions":
            return read_completion(ask)
        raise _no_chat(ask)

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        if ask.operation == "chat":
            return OpenAIChunks(ask)
        if ask.operation == "completions":
            return CompletionChunks(ask)
        raise _no_chat(ask)

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        if ask.operation == "chat":
            return write_openai_answer(ask, events)
        if ask.operation == "completions":
            return write_completion(ask, events)
        raise _no_chat(ask)

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""
        return build_error_body(error)

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """Return the event that ends a stream which failed."""
        return build_error_event(error)


def _no_chat(ask: Ask) -> NotOffered:
    """Return the refusal of vectors, which no provider makes of a chat."""
    return NotOffered(
        f"The provider of '{ask.model}' offers no {ask.operation}.",
        param="model",
        code="unsupported_operation",
    )
