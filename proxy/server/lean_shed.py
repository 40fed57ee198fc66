"""
Refusals of requests for which there is no place, when they are many: the cheapest there are.

The first of each second are the pipeline's, with a record and a line in the log. From then on
`lean_connection.py` asks for one before a request gets a task. A worker that has more than it can
answer has no time for more than reading the head, which must be read to know where the next one
begins: so nobody looks for the key, and there is no record and no line. They are counted.

Even these cost a hundredth of a millisecond each, and clients that ask again at once can have a
worker do nothing else. Beyond a rate that leaves it nine tenths of its time, refused connections
are not read from for a while: what they send waits in their kernels.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from random import randrange

from proxy.domain.errors import ProxyError, ServerOverloaded
from proxy.pipeline.authenticate import authenticate
from proxy.pipeline.context import Runtime, build_request_id
from proxy.pipeline.limit import RETRY_WITHIN_S, find_key_reason, find_shed_reason, name_key
from proxy.server.lean_head import PlainHead
from proxy.server.written_answer import build_reply_head
from proxy.wire.dialect import Dialect
from proxy.wire.dialects import find_dialect, list_dialects

LOGGED_PER_S = 50
"""So many a second are refused the usual way, which shows in the log who is."""
REFUSALS_PER_S = 6000.0
"""Less than a tenth of a core. With a thousand connections that ask on, each waits for a sixth of
a second; their clients were told to wait for one at least."""
MOST_AT_ONCE = 200.0
"""So many refusals may come at the same time before anybody is slowed down."""
RESUME_EACH_S = 0.005
FULL_FOR_S = 1.0
"""For so long after all places were taken, requests of one turn of the loop are counted."""
_ID = "req_" + "0" * 32
"""Stands where a request's id will, which is as long: a body may hold it, and has a length."""


class LeanShed:
    """Tells who is refused so, and with which answer; one for all connections of a process."""

    def __init__(
        self,
        runtime: Runtime,
        loop: asyncio.AbstractEventLoop,
        read_clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._loop = loop
        self._read_clock_s = read_clock_s
        self.was_full = False
        """A moment ago all places were taken."""
        self._refused_full = 0
        self._begun = 0
        self._second = 0
        self._logged = 0
        self._answers: dict[str, list[list[bytes]]] = {}
        self._slowed: deque[asyncio.Transport] = deque()
        self._credit = MOST_AT_ONCE
        self._credit_at_s = 0.0

    def refuse(self, head: PlainHead, came_bytes: int) -> bytes | None:
        """
        Return the answer of a request that is refused; None: it goes the usual way.

        That may refuse it all the same, and sees to bodies that are not here yet, to connections
        that end, and to headers for browsers.

        Args:
            head: the head.
            came_bytes: the length of what has come, with the head.
        """
        runtime = self._runtime
        reason = find_shed_reason(
            runtime, runtime.snapshot.settings, runtime.in_flight + self._begun
        )
        if reason is None:
            if self._takes_place(head):
                self._count_begun()
            return None
        if reason == "full" and not self.was_full:
            self._watch_full()
        if (
            not head.keeps_alive
            or runtime.is_draining
            or came_bytes - head.body_at != head.size_bytes
            or "Origin" in head.headers
        ):
            return None
        second = int(time.time())
        if second != self._second:
            self._second, self._answers, self._logged = second, _build_answers(), 0
        if self._logged < LOGGED_PER_S:
            self._logged += 1
            return None
        runtime.shed[reason] += 1
        runtime.unrecorded[head.route.endpoint] += 1
        answers = self._answers[find_dialect(head.route.operation).name]
        return build_request_id().encode().join(answers[randrange(len(answers))])

    def slow_down(self, transport: asyncio.Transport) -> None:
        """Stop reading from a connection that was refused, if there are too many like it."""
        self._earn()
        # Nobody who asks on goes before those who wait.
        if self._credit >= 1.0 and not self._slowed:
            self._credit -= 1.0
            return
        transport.pause_reading()
        if not self._slowed:
            self._loop.call_later(RESUME_EACH_S, self._resume)
        self._slowed.append(transport)

    def _resume(self) -> None:
        """Read again from those that have waited longest: as many as may be refused now."""
        self._earn()
        while self._slowed and self._credit >= 1.0:
            transport = self._slowed.popleft()
            if not transport.is_closing():
                self._credit -= 1.0
                transport.resume_reading()
        if self._slowed:
            self._loop.call_later(RESUME_EACH_S, self._resume)

    def _earn(self) -> None:
        now_s = self._read_clock_s()
        earned = (now_s - self._credit_at_s) * REFUSALS_PER_S
        self._credit, self._credit_at_s = min(MOST_AT_ONCE, self._credit + earned), now_s

    def _watch_full(self) -> None:
        """Count what begins in a turn for as long as requests find all places taken."""
        refused = self._runtime.shed["full"]
        self.was_full = refused != self._refused_full or not self.was_full
        self._refused_full = refused
        if self.was_full:
            self._loop.call_later(FULL_FOR_S, self._watch_full)

    def _takes_place(self, head: PlainHead) -> bool:
        """Return whether a place is for this one: not for a stranger, nor beyond a key's share."""
        runtime = self._runtime
        snapshot = runtime.snapshot
        try:
            caller = authenticate(head.headers, snapshot, runtime.hasher)
        except ProxyError:
            return False
        return find_key_reason(runtime, snapshot.settings, name_key(caller)) is None

    def _count_begun(self) -> None:
        """Count a request that will take its place later in this turn of the loop."""
        if not self._begun:
            self._loop.call_soon(self._end_turn)
        self._begun += 1

    def _end_turn(self) -> None:
        self._begun = 0


def _build_answers() -> dict[str, list[list[bytes]]]:
    """
    Return answers by the names of dialects, in parts that the request's id goes between.

    There is one for each time to come back.
    """
    return {dialect.name: _build_dialect_answers(dialect) for dialect in list_dialects()}


def _build_dialect_answers(dialect: Dialect) -> list[list[bytes]]:
    answers = []
    body = dialect.build_error_body(ServerOverloaded(), _ID)
    for retry_s in range(RETRY_WITHIN_S[0], RETRY_WITHIN_S[1] + 1):
        headers = {
            "Content-Type": "application/json",
            "x-request-id": _ID,
            "x-litellm-call-id": _ID,
            **dict.fromkeys(dialect.id_headers, _ID),
            "Retry-After": str(retry_s),
        }
        head = build_reply_head(503, {}, headers, f"Content-Length: {len(body)}\r\n")
        answers.append((head + body).split(_ID.encode()))
    return answers
