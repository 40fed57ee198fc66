"""
The simulator as a Transport: answers from inside the worker, without any socket.

It plays plans of `generator.py` on the event loop's timers: no task, no thread. What only
HTTP can break is reported as the error that a real transport makes of it.
"""

import asyncio
import time

from proxy.domain.errors import (
    ProxyError,
    RequestError,
    UpstreamDisconnected,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest, ResponseHead
from proxy.simulator.draft import build_error
from proxy.simulator.file_store import FileStore
from proxy.simulator.form import FormCounter, find_boundary
from proxy.simulator.generator import build_plan
from proxy.simulator.knobs import NO_KNOBS, Knobs
from proxy.simulator.passed import Asked, build_passed_plan, is_passed
from proxy.simulator.plan import (
    Again,
    Cut,
    Data,
    End,
    Framing,
    Head,
    Plan,
    Raw,
    Refuse,
    Reset,
    Stall,
    Step,
    Wait,
)
from proxy.simulator.response_memory import ResponseMemory
from proxy.upstream.base import BodySink, OpenedResponse

_STEPS_PER_TURN = 64


class SimulatorTransport:
    """Serves the models named `sim-*`; anything else gets the 404 of a provider."""

    has_room = True
    """There are no connections that could be used up."""

    def __init__(self, options: Knobs = NO_KNOBS) -> None:
        self._options = options
        self._memory = ResponseMemory()
        self._answers: set[SimulatedAnswer] = set()
        self._opening: set[asyncio.Future[None]] = set()
        self._is_closed = False
        self._files = FileStore()

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Play the plan up to its head; the body follows into `sink` after `resume()`."""
        if self._is_closed:
            raise UpstreamUnreachable("The simulator is closed.")
        path, query = _read_path(request.url)
        created_at = int(time.time())
        if is_passed(path):
            plan = await self._plan_passed(request, path, created_at)
        else:
            plan = build_plan(
                request.method,
                path + query,
                request.body,
                created_at=created_at,
                face="in-process",
                options=self._options,
                memory=self._memory,
            )
        clocks = request.clocks
        patience_s = clocks.headers_s if request.streams else clocks.answer_s
        for number, step in enumerate(plan.steps):
            if isinstance(step, Head):
                head = ResponseHead(step.status, dict(step.headers))
                answer = SimulatedAnswer(
                    head, plan.steps[number + 1 :], step.framing, sink, self._answers
                )
                self._answers.add(answer)
                return answer
            if isinstance(step, Wait) and step.seconds < patience_s:
                await self._wait(step.seconds)
                patience_s -= step.seconds
            elif isinstance(step, Wait | Stall):
                await self._wait(patience_s)
                raise UpstreamTimeout(code="upstream_header_timeout")
            elif isinstance(step, Refuse):
                raise UpstreamUnreachable()
            elif isinstance(step, Raw):
                raise UpstreamProtocolError(step.error)
            else:
                break
        raise UpstreamDisconnected()

    def retire(self) -> None:
        """Do nothing: there are no connections to keep."""

    async def close(self) -> None:
        """End everything at once: answers and openings fail with UpstreamDisconnected."""
        self._is_closed = True
        for opening in self._opening:
            if not opening.done():
                opening.set_exception(UpstreamDisconnected())
        for answer in list(self._answers):
            answer.disconnect()

    async def _plan_passed(self, request: OutboundRequest, path: str, created_at: int) -> Plan:
        """Return the plan for what others would pass on: a form is counted and not kept."""
        asked = Asked(request.method, path, request.url.partition("?")[2], request.body)
        boundary = find_boundary(request.headers.get("Content-Type", ""))
        if request.upload is not None and boundary is not None:
            counter = FormCounter(boundary)
            while data := await request.upload.read():
                try:
                    counter.feed(data)
                except RequestError as error:
                    return Plan(build_error(error))
            asked.form = counter.form
        return build_passed_plan(
            asked, self._files, created_at=created_at, face="in-process", options=self._options
        )

    async def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        opening: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _finish, opening)
        self._opening.add(opening)
        try:
            await opening
        finally:
            timer.cancel()
            self._opening.discard(opening)


class SimulatedAnswer:
    """One answer whose head has been given; implements `upstream.base.OpenedResponse`."""

    __slots__ = (
        "_framing",
        "_handle",
        "_is_delivering",
        "_is_flowing",
        "_is_over",
        "_is_started",
        "_loop",
        "_next",
        "_open_answers",
        "_sink",
        "_steps",
        "head",
    )

    def __init__(
        self,
        head: ResponseHead,
        steps: tuple[Step, ...],
        framing: Framing,
        sink: BodySink,
        open_answers: "set[SimulatedAnswer]",
    ) -> None:
        self.head = head
        self._steps = steps
        self._framing = framing
        self._sink = sink
        self._open_answers = open_answers
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._handle: asyncio.Handle | None = None
        self._is_started = False
        self._is_flowing = False
        self._is_delivering = False
        self._is_over = False

    def resume(self) -> None:
        """Let the body flow, from the loop's next turn on."""
        self._is_started = True
        if self._is_flowing or self._is_over:
            return
        self._is_flowing = True
        if self._handle is None and not self._is_delivering:
            self._handle = self._loop.call_soon(self._deliver)

    def pause(self) -> None:
        """Stop the flow; nothing arrives after this call. A wait under way goes on."""
        self._is_flowing = False

    def close(self) -> None:
        """Drop the rest of the answer."""
        self._is_over = True
        self._is_flowing = False
        self._steps = ()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._open_answers.discard(self)

    def disconnect(self) -> None:
        """Fail as if the connection broke now; before the first `resume()`, fail after it."""
        if self._is_over:
            return
        if self._is_started:
            self._fail(UpstreamDisconnected())
        else:
            self._steps = (Reset(),)

    def _deliver(self) -> None:
        self._handle = None
        self._is_delivering = True
        for _ in range(_STEPS_PER_TURN):
            if not self._is_flowing:
                break
            step = self._steps[self._next]
            self._next += 1
            if isinstance(step, Data):
                self._sink.data(step.chunk)
            elif isinstance(step, Wait):
                self._handle = self._loop.call_later(step.seconds, self._deliver)
                break
            elif isinstance(step, Again):
                self._next -= step.back + 1
            elif isinstance(step, End) or (isinstance(step, Cut) and self._framing == "close"):
                self.close()
                self._sink.end()
            elif isinstance(step, Stall):
                self._next -= 1
                self._is_flowing = False
            else:
                self._fail(UpstreamDisconnected())
        self._is_delivering = False
        if self._is_flowing and self._handle is None:
            self._handle = self._loop.call_soon(self._deliver)

    def _fail(self, error: ProxyError) -> None:
        self.close()
        self._sink.fail(error)


def _read_path(url: str) -> tuple[str, str]:
    """Return the path of `simulator:/chat/completions`, or of any other URL, and `?` and query."""
    _, _, rest = url.partition(":")
    if rest.startswith("//"):
        rest = rest[2:].partition("/")[2]
    path, mark, query = rest.partition("?")
    return path, mark + query


def _finish(opening: asyncio.Future[None]) -> None:
    if not opening.done():
        opening.set_result(None)
