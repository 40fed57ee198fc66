"""One request as the rest of the house sees it: what goes out, what comes back, how it ended."""

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct, field

from proxy.domain.settings import Clocks, PoolLimits
from proxy.domain.usage import Usage

Operation = Literal[
    "chat",
    "completions",
    "embeddings",
    "messages",
    "count_tokens",
    "responses",
    "input_tokens",
    "ollama_chat",
    "ollama_generate",
    "ollama_embed",
    "generate",
]
"""What a client asks for; it also says which dialect the client speaks: see `wire/dialects.py`."""
PassedOperation = Literal[
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "images/generations",
    "images/edits",
    "images/variations",
    "moderations",
    "rerank",
    "files",
    "batches",
]
"""What is passed to one provider as it came: nothing of it is translated."""
Ending = Literal["completed", "failed", "client_closed", "interrupted"]
Anomaly = Literal["utf8_replaced", "usage_anomaly"]
"""Broken text that was mended; token counts that could not be billed from."""
ConnectionFault = Literal["connection_rejected", "write_stall", "head_timeout", "invalid_http"]
"""Why a client's connection was refused or closed by us."""
HandoverReason = Literal["route", "head", "pipelined"]
"""
Why a connection without aiohttp was handed over to one with it: another method, route or version;
a head that is not plain, or not whole in one read; bytes behind a request that is not answered.
"""


class Upload(Protocol):
    """The body of a request that goes out while it still comes in: nobody ever has it whole."""

    size_bytes: int | None
    """How long it will be; None: nobody knows yet, and it is sent in chunks."""

    async def read(self) -> bytes:
        """
        Return its next bytes, or b"" once it is over.

        Raises:
            ProxyError: it broke, came too slowly, or may not go on.
        """


class OutboundRequest(Struct, frozen=True):
    """
    One HTTP request to one provider, ready to send.

    `headers` is complete but for Host and Content-Length; it holds the provider's key, so
    it is never printed. `streams` tells the transport which clocks hold: a stream's head
    is due within `clocks.headers_s`, any other within `clocks.answer_s`; where there is an
    `upload`, which then is the body, that time begins when all of it has been sent.
    """

    provider: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    streams: bool
    clocks: Clocks
    pool: PoolLimits = PoolLimits()
    model: str = ""
    upload: Upload | None = None

    def __repr__(self) -> str:
        return f"<OutboundRequest {self.method} {self.url} {len(self.body)} bytes>"


class ResponseHead(Struct, frozen=True):
    """Status and headers of an answer; names are looked up in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type in lower case without its parameters, "" if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class AttemptRecord(Struct, frozen=True):
    """One finished try at one deployment; times are seconds."""

    provider: str
    model: str
    outcome: str
    """`ok`, `client_closed`, or the public code of the error it ended with."""
    duration_s: float
    first_byte_s: float | None = None
    """Seconds from dispatch to the response head."""


class RequestRecord(Struct, frozen=True):
    """
    One finished request, as every observer gets it: exactly one per request.

    `started_at` is epoch seconds UTC; durations are seconds of a monotonic clock.
    `provider` and `model` are those of the last attempt, None if there was none. `status`
    is what the client saw (499: it had left before it saw anything).
    """

    request_id: str
    started_at: float
    duration_s: float
    endpoint: str
    """The route's pattern, never the raw path: a bounded label."""
    status: int
    ending: Ending
    streams: bool = False
    alias: str | None = None
    provider: str | None = None
    model: str | None = None
    key_id: str | None = None
    organization_id: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
    """What the operator should know besides: `ProxyError.detail`."""
    ttft_s: float | None = None
    usage: Usage | None = None
    attempts: tuple[AttemptRecord, ...] = field(default_factory=tuple)
    route_reason: str | None = None
    route_order: tuple[str, ...] = ()
    """Ids of deployments in the order to try them, at most 8; () where there was no choice."""
    fallback: str | None = None
    """The name that stood in for `alias` in the end, None if none did."""
    trace_id: str | None = None
    anomalies: tuple[Anomaly, ...] = ()
    """What was odd about the provider's answer and was mended or set aside."""
