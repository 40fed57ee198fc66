"""The dialect of Cohere's old `generate`, which some clients still speak: a prompt, and text."""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.dialect import EventWriter
from proxy.wire.generate_request import find_likelihoods, parse_ask, read_generate
from proxy.wire.generate_writer import GenerateLines, write_generate_answer
from proxy.wire.json_text import encode
from proxy.wire.ndjson import NDJSON, build_line

_NAMES = {
    "n": "num_generations",
    "stop": "stop_sequences",
    "top_p": "p",
    "top_k": "k",
    "messages": "prompt",
    "logprobs": "return_likelihoods",
}
"""What this dialect calls fields that providers refuse by OpenAI's name for them."""


class GenerateDialect:
    """A Dialect (see `wire/dialect.py`)."""

    name = "generate"
    stream_type = NDJSON
    # Blanks in front of the next line's JSON: a line of their own would have to be an object.
    keep_alive = b" "
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
        return read_generate(ask)

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer (see `wire/dialect.py`)."""
        return GenerateLines(ask)

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer (see `wire/dialect.py`)."""
        return write_generate_answer(ask, events, has_likelihoods=find_likelihoods(ask))

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply; Cohere's own is nothing but its `message`."""
        return encode({"id": request_id, "message": error.message, **_describe(error)})

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """Return the line that ends a stream which failed."""
        end = {"is_finished": True, "event_type": "stream-error", "finish_reason": "ERROR"}
        return build_line({**end, "err": error.message, **_describe(error)})


def _describe(error: ProxyError) -> dict[str, Any]:
    param = None if error.param is None else _NAMES.get(error.param, error.param)
    told = {"code": error.code, "param": param}
    return {name: value for name, value in told.items() if value is not None}
