"""
What a dialect of clients, and one of providers, owes the other side: events and chat requests.

`dialects.py` knows which dialect an operation of a client's is. A provider type (see
`providers/base.py`) that is asked in a dialect not its own reads the request by
`Dialect.read_chat`, and has its answer written by `Dialect.open_writer`;
`translated_stream.py` joins the two.
Pure: no I/O, no clock of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.events import Event
from proxy.domain.exchange import Anomaly, Operation
from proxy.wire.base import Ask


class EventReader(Protocol):
    """
    Turns a provider's stream into events, whatever way the bytes were split.

    It holds back whatever is not whole, and never raises: what went wrong stands in `error`, and
    the events before it have been returned.
    """

    @property
    def is_over(self) -> bool:
        """The terminal event has arrived: nothing the provider still sends matters."""

    @property
    def may_end(self) -> bool:
        """Nothing would be missing if the body ended here, or broke: `finish` may be called."""

    @property
    def error(self) -> ProxyError | None:
        """What went wrong, None as long as nothing has."""

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd about the provider's events."""

    @property
    def event_count(self) -> int:
        """Whole events of the provider so far, signs of life among them; comments do not count."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say, often nothing."""

    def finish(self) -> list[Event]:
        """
        Take note of the end of the body and return what was still held back.

        Sets `error` to UpstreamTruncated if the answer was not complete.
        """


class EventWriter(Protocol):
    """Turns the events of one answer into a client's stream."""

    def write(self, events: Sequence[Event]) -> bytes:
        """
        Return what the client is sent for them, often b"".

        Raises:
            UpstreamTooLarge: the answer is longer than a dialect can take that repeats it.
        """

    def finish(self) -> bytes:
        """
        Return what completes the stream, once; called only if the answer is complete.

        Raises:
            UpstreamTooLarge: as above.
        """


class Dialect(Protocol):
    """How clients of one kind of endpoint speak."""

    name: str
    stream_type: str
    """The `Content-Type` of a stream to clients."""
    keep_alive: bytes
    """What clients of a stream get as a sign of life, and pass over."""
    id_headers: tuple[str, ...]
    """Headers that carry a request's id beside `x-request-id`."""

    def parse_ask(
        self,
        operation: Operation,
        body: bytes,
        headers: Mapping[str, str],
        model: str | None = None,
    ) -> Ask:
        """
        Check a request body and return what we decide on, all else as it came.

        `model` is the one that the path names, which goes before the body's.

        Raises:
            InvalidRequest: with `param` set to the field, or None if the body is no JSON object.
        """

    def read_chat(self, ask: Ask) -> ChatRequest:
        """
        Return what is asked, for a provider that speaks another dialect.

        Raises:
            InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        """

    def open_writer(self, ask: Ask) -> EventWriter:
        """Return the writer of one streamed answer to `ask`."""

    def write_answer(self, ask: Ask, events: Sequence[Event]) -> bytes:
        """Return a complete answer to `ask` from all of its events, which end it properly."""

    def build_error_body(self, error: ProxyError, request_id: str) -> bytes:
        """Return the body of an error reply."""

    def build_error_event(
        self, error: ProxyError, request_id: str, ask: Ask | None = None
    ) -> bytes:
        """
        Return what ends a stream which failed after it had begun.

        `ask` is what was asked, for dialects whose end repeats what the stream has told so far;
        its writer keeps that there.
        """
