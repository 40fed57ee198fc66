"""
What a client dialect offers the pipeline: pure functions from bytes to bytes and values.

A dialect never sees a socket, a clock or a provider's address.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Raw, Struct, field

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import ProxyError
from proxy.domain.exchange import Anomaly, Operation
from proxy.domain.reasoning import KeptReasoning
from proxy.domain.stored_response import StoredResponse
from proxy.domain.usage import Usage


def _no_clock() -> float:
    return 0.0


class Ask(Struct):
    """
    One validated client request: the few fields that we decide on, and all others as bytes.

    `fields` maps every top-level name to its raw JSON, byte-identical to what came; it is
    what outbound bodies are rebuilt from. What is meant for this proxy alone is not in it.
    """

    operation: Operation
    model: str
    fields: dict[str, Raw]
    streams: bool = False
    wants_usage: bool = False
    """The client asked for `stream_options.include_usage`."""
    keeps_chunk_usage: bool = False
    """The client asked for `continuous_usage_stats`: usage on every chunk is wanted."""
    choices: int = 1
    """How many answers are due: `n` of each prompt, or one vector of each input."""
    wants_base64: bool = False
    """The client asked for `encoding_format: base64`."""
    fallbacks: tuple[str, ...] | None = None
    """Names to try after `model`, in this order; None: the request has not said."""
    models_count: int = 0
    """How many of `fallbacks` came in `models`; the others came in `fallbacks`."""
    session_id: str | None = None
    """What the client calls its conversation, in `metadata`; in memory only, never logged."""
    asked_at: int = 0
    """Epoch seconds, for answers that must say when they were made."""
    passed_headers: dict[str, str] = field(default_factory=dict)
    """Headers of the client's dialect itself, such as `anthropic-beta`: only for a provider that
    speaks the same dialect."""
    own_fields: dict[str, Raw] = field(default_factory=dict)
    """Fields of the client's dialect itself, such as Ollama's `keep_alive`, where `fields` are in
    another: only for a provider that speaks the same dialect."""
    may_untag: bool = False
    """The client may have put `:latest` behind the name of the model, as Ollama's do."""
    measure_s: Callable[[], float] = _no_clock
    """Tells the seconds since the request had come, for answers that say how long they took."""
    history: tuple[Raw, ...] = ()
    """Items that stand before those of a request of the Responses API: what it goes on from."""
    pinned: str | None = None
    """The provider that alone can answer, because what is gone on from is kept there."""
    keepers: dict[str, str | None] = field(default_factory=dict)
    """Which provider keeps an item of the input that is worth nothing without what is kept under
    its id; None: none that does so for the caller."""
    stored: StoredResponse | None = None
    """What is to be kept of a complete answer, so that a later request can go on from it."""
    response_id: str | None = None
    """The id that a stream of the Responses API has told its client, once it has content."""
    next_number: int = 0
    """The `sequence_number` that comes next in such a stream."""
    chat: ChatRequest | None = None
    """What is asked, dialects aside; None as long as nobody has had to read it."""
    dropped: list[str] = field(default_factory=list)
    """Fields that the chosen provider does not take and that were therefore left out."""
    recalled: dict[str, KeptReasoning] = field(default_factory=dict)
    """What was kept for calls of this request, by the first of each turn: where bytes pass, and
    the chosen provider wants it."""
    kept: list[KeptReasoning] = field(default_factory=list)
    """What was thought before calls of a complete answer; clients seldom send it back."""

    @property
    def may_be_kept(self) -> bool:
        """Whether something of a response may be kept: unless its client wants nothing stored."""
        return self.operation != "responses" or bytes(self.fields.get("store", b"")) != b"false"


class CheckedAnswer(Struct, frozen=True):
    """A complete answer that has been read and found good."""

    body: bytes
    """What the client gets."""
    usage: Usage
    """As the provider reported it, or estimated where it reported nothing usable."""
    anomalies: tuple[Anomaly, ...] = ()


class StreamReader(Protocol):
    """
    Turns a provider's event stream into the client's, any split of the bytes.

    The reader holds back whatever is not a whole event. It never raises: what went wrong
    stands in `error`, and what was good before it has been returned.
    """

    has_content: bool
    """The commit point has been passed: content, a tool call, reasoning or a finish reason."""
    is_over: bool
    """The terminal event has arrived: nothing the provider still sends matters."""
    usage: Usage | None
    """As the provider has reported it so far; of several valid reports the last."""

    @property
    def error(self) -> ProxyError | None:
        """What went wrong, None as long as nothing has."""

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd so far."""

    @property
    def event_count(self) -> int:
        """Whole events so far; comments do not count."""

    @property
    def is_complete(self) -> bool:
        """Every choice has finished, or the dialect's terminal event has arrived; no error."""

    @property
    def has_said_more(self) -> bool:
        """More has been said since the provider last reported usage."""

    def estimate_usage(self) -> Usage:
        """Return the usage so far as estimated from the bytes that were delivered."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return what the client may be sent for them, often b""."""

    def finish(self) -> bytes:
        """
        Take note of the end of the body and return what completes the client's stream.

        Sets `error` to UpstreamTruncated if the answer was not complete, and then returns b"".
        """
