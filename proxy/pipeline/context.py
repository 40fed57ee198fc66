"""What one request carries from stage to stage, and what all requests share."""

import time
from collections import Counter
from collections.abc import Mapping
from random import getrandbits
from typing import ClassVar

from proxy.domain.catalog import Deployment, Snapshot
from proxy.domain.errors import DeadlineExceeded, ProxyError, UpstreamRejected
from proxy.domain.exchange import Anomaly, AttemptRecord, Ending
from proxy.domain.identity import Caller, KeyHasher
from proxy.domain.usage import Usage
from proxy.pipeline.base import InboundRequest, ReplyWriter
from proxy.pipeline.board import Board, Place, Ticket
from proxy.pipeline.route import Route
from proxy.policy.limits import RateDecision
from proxy.policy.shedding import Shedding, ShedReason
from proxy.stores.base import RateStore, ReasoningStore, ResponseStore
from proxy.stores.memory_reasoning import MemoryReasoning
from proxy.stores.memory_responses import MemoryResponses
from proxy.telemetry.base import Observer
from proxy.telemetry.tracing import Trace
from proxy.upstream.base import Transport
from proxy.wire.base import Ask
from proxy.wire.openai_error import KNOWN_REJECTIONS


class Runtime:
    """What every request of this process shares; `snapshot` is only ever replaced whole."""

    def __init__(
        self,
        snapshot: Snapshot,
        hasher: KeyHasher,
        transports: Mapping[str, Transport],
        observer: Observer,
        rates: RateStore,
        board: Board,
        reasoning: ReasoningStore | None = None,
        responses: ResponseStore | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.hasher = hasher
        self.transports = transports
        self.observer = observer
        self.rates = rates
        self.board = board
        # An empty store is false.
        self.reasoning: ReasoningStore = MemoryReasoning() if reasoning is None else reasoning
        self.responses: ResponseStore = MemoryResponses() if responses is None else responses
        self.in_flight = 0
        """Requests under way, which `limit` counts."""
        self.in_flight_by_key: dict[str, int] = {}
        """How many of them are of each key that has any."""
        self.shedding = Shedding()
        self.shed: Counter[ShedReason] = Counter()
        """Requests that were refused for want of a place, since the start."""
        self.unrecorded: Counter[str] = Counter()
        """Those of them that have no record, by their endpoints: see `server/lean_shed.py`."""
        self.is_draining = False
        """The server is about to end: answers close their connections, readiness is 503."""

    def publish(self, snapshot: Snapshot, transports: Mapping[str, Transport]) -> None:
        """Have requests from now on go by `snapshot`; those under way keep what they began with."""
        self.snapshot = snapshot
        self.transports = transports


class Exchange:
    """One request on its way: filled in by the stages, read by `record` at the end."""

    clients_repeat: ClassVar[bool] = False
    """Nobody here asks a second time: if that may help, it is for the client to do."""
    __slots__ = (
        "alias",
        "anomalies",
        "ask",
        "attempt",
        "attempts",
        "caller",
        "ending",
        "error",
        "first_content_monotonic_s",
        "furthest_leg",
        "is_buffered",
        "lacks_reasoning",
        "leg",
        "place_of",
        "rate",
        "repeats",
        "reply",
        "request",
        "request_id",
        "route",
        "route_reason",
        "runtime",
        "snapshot",
        "started_at",
        "started_monotonic_s",
        "status",
        "trace",
        "transports",
        "usage",
    )

    def __init__(self, request: InboundRequest, reply: ReplyWriter, runtime: Runtime) -> None:
        self.request = request
        self.reply = reply
        self.runtime = runtime
        self.snapshot = runtime.snapshot
        self.transports = runtime.transports
        self.request_id = build_request_id()
        self.started_at = time.time()
        self.started_monotonic_s = time.monotonic()
        self.trace: Trace | None = None
        self.caller: Caller | None = None
        self.place_of: str | None = None
        """The key whose place among the requests under way this one has; None: it has none."""
        self.rate: RateDecision | None = None
        self.ask: Ask | None = None
        self.alias: str | None = None
        self.route: Route | None = None
        self.route_reason: str | None = None
        self.is_buffered = False
        """Nothing of an answer is shown before it is complete."""
        self.lacks_reasoning = False
        """The provider that is asked wants thoughts with some calls that nobody has kept."""
        self.attempts: list[AttemptRecord] = []
        self.attempt: Attempt | None = None
        self.repeats = 0
        """Attempts at a deployment that had failed this request before."""
        self.leg = 0
        """The leg of the route that is being asked, or was asked last; 0 is what was asked for."""
        self.furthest_leg = 0
        """How many fallbacks were tried."""
        self.usage: Usage | None = None
        self.anomalies: tuple[Anomaly, ...] = ()
        self.first_content_monotonic_s: float | None = None
        self.status = 0
        self.ending: Ending = "interrupted"
        self.error: ProxyError | None = None

    @property
    def provider_name(self) -> str | None:
        """The provider that is being asked, or was asked last."""
        if self.attempt is not None:
            return self.attempt.deployment.provider.name
        return self.attempts[-1].provider if self.attempts else None

    @property
    def fallback(self) -> str | None:
        """The name that stands in for the one that was asked for; None: none does."""
        if self.route is None or not self.leg:
            return None
        return self.route.legs[self.leg].name

    @property
    def route_order(self) -> tuple[str, ...]:
        """The ids of the deployments in the order to try them; () where there is no choice."""
        return () if self.route is None else self.route.list_order(self.furthest_leg)

    async def start_reply(self, headers: Mapping[str, str]) -> None:
        """Start a streamed reply: from here on errors can only be told in the stream."""
        self.status = 200
        await self.reply.start(200, headers)

    def begin_attempt(self, deployment: Deployment, ticket: Ticket) -> "Attempt":
        """Note that a request is about to go out to a deployment."""
        board = self.runtime.board
        self.attempt = attempt = Attempt(deployment, board.find_place(deployment), ticket)
        board.begin(attempt.place)
        self.runtime.observer.attempt_started(deployment.provider.name)
        return attempt

    def note_content(self, attempt: "Attempt", *, streams: bool) -> None:
        """Note that an attempt has something to show: its breaker need not wait for the end."""
        now_s = attempt.content_monotonic_s or time.monotonic()
        attempt.ttft_s = ttft_s = now_s - attempt.started_monotonic_s
        self.runtime.board.note_content(attempt.place, attempt.ticket, ttft_s, streams=streams)

    def fail_attempt(self, error: ProxyError) -> None:
        """Note the error that the attempt under way ended with; nothing if there is none."""
        attempt = self.attempt
        if attempt is None:
            return
        self._close_attempt(attempt, name_error(error))
        timeout_s = self.snapshot.settings.request_timeout_s
        spent_s = time.monotonic() - attempt.started_monotonic_s
        self.runtime.board.end(
            attempt.place,
            attempt.ticket,
            error,
            ttft_s=attempt.ttft_s,
            provider=attempt.deployment.provider,
            # It has not had the greater part of the time that there was: others had it.
            was_cut_short=isinstance(error, DeadlineExceeded) and spent_s < timeout_s / 2,
        )

    def end_attempt(self, outcome: str) -> None:
        """Note how the attempt under way ended without an error; nothing if there is none."""
        attempt = self.attempt
        if attempt is None:
            return
        self._close_attempt(attempt, outcome)
        self.runtime.board.end(
            attempt.place, attempt.ticket, None, ttft_s=attempt.ttft_s, is_over=outcome == "ok"
        )

    def _close_attempt(self, attempt: "Attempt", outcome: str) -> None:
        self.attempt = None
        record = attempt.build_record(outcome)
        self.attempts.append(record)
        self.runtime.observer.attempt_ended(record)


class PassedExchange(Exchange):
    """One request that passes as it comes."""

    clients_repeat = True
    __slots__ = ()


class Attempt:
    """One try at one deployment that has not ended yet."""

    __slots__ = (
        "content_monotonic_s",
        "deployment",
        "head_monotonic_s",
        "place",
        "started_monotonic_s",
        "ticket",
        "ttft_s",
    )

    def __init__(self, deployment: Deployment, place: Place, ticket: Ticket) -> None:
        self.deployment = deployment
        self.place = place
        self.ticket = ticket
        self.started_monotonic_s = time.monotonic()
        self.head_monotonic_s: float | None = None
        self.content_monotonic_s: float | None = None
        """When its first content came; of what is not streamed, all of it."""
        self.ttft_s: float | None = None
        """How long that took; set once its breaker has been told."""

    def note_head(self) -> None:
        """Note that the response head has arrived."""
        self.head_monotonic_s = time.monotonic()

    def build_record(self, outcome: str) -> AttemptRecord:
        """Return what observers get of this attempt, which ends now."""
        started_s, head_s = self.started_monotonic_s, self.head_monotonic_s
        return AttemptRecord(
            provider=self.deployment.provider.name,
            model=self.deployment.model,
            outcome=outcome,
            duration_s=time.monotonic() - started_s,
            first_byte_s=None if head_s is None else head_s - started_s,
        )


def name_error(error: ProxyError) -> str:
    """Return the word of ours for an error, as it may stand in a log and be a metric's label."""
    # A provider's own code for a client's mistake is neither ours nor one of a known few.
    if isinstance(error, UpstreamRejected) and error.code not in KNOWN_REJECTIONS:
        return "upstream_rejected"
    return error.code or error.type


def build_request_id() -> str:
    """Return a new id: `req_` and a UUIDv7 in hex, which sorts by time."""
    value = (time.time_ns() // 1_000_000) << 80 | getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"req_{value:032x}"
