"""The load of the campaign of chaos: requests at an even pace, however the last ones fare."""

import asyncio
import time
from random import Random

from msgspec import Struct

from campaigns.ground.chaos.calendar import REDIS, Calendar
from campaigns.ground.chaos.judge import SHAPES, Request, is_sure, judge
from campaigns.ground.chaos.plan import CALM, PROVIDERS, STEADY
from tests.faults.oracle import build_body, build_request
from tests.faults.raw_client import Outcome, judge_reply, send

CALM_SHARE = 0.15
LEAVING_SHARE = 0.06
SHAPE_SHARES = (0.5, 0.15, 0.35)
LEAVES_WITHIN_S = (0.03, 0.6)
"""Not before the server has read the request: it would never hear of it."""
RECENT_S = 1.5
"""So long after a trouble of Redis its consequences are still looked for."""


class Phase(Struct):
    """What was seen of the requests that began in one part of the campaign."""

    name: str
    begun_s: float
    attempts_before: int
    attempts: int = 0
    """At the providers, by their own count."""
    asked: int = 0
    answered: int = 0
    refused: int = 0
    broken: int = 0
    left: int = 0
    first_answer_s: float | None = None
    """When the first good answer had come to a request of this phase."""
    last_refused_s: float | None = None


class Seen(Struct):
    """What is kept of a request until its log line is looked for."""

    status: int
    kind: str
    code: str | None
    provider: str


class Load:
    """Asks so many times a second, until it is cancelled; `stop` waits for the last answers."""

    def __init__(self, port: int, per_s: float, calendar: Calendar, seed: int) -> None:
        self._port = port
        self._per_s = per_s
        self._calendar = calendar
        self._chance = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asker: asyncio.Task[None] | None = None
        self.phase = Phase("start", time.monotonic(), 0)
        self.phases: list[Phase] = []
        self.asked = 0
        self.left = 0
        self.sure = 0
        """Requests for which a provider was well all the time: they had to be answered."""
        self.complaints: dict[str, list[str]] = {"outcome": [], "oracle": []}
        self.seen: dict[str, Seen] = {}
        """By the request's id."""
        self.calm_s: dict[bool, list[float]] = {True: [], False: []}
        """Seconds of calm requests while the providers were well, by whether Redis was."""

    def start(self) -> None:
        """Begin."""
        self._asker = asyncio.create_task(self._keep_asking())

    async def stop(self) -> None:
        """Ask no more, and wait for the answers that are due."""
        if self._asker is not None:
            self._asker.cancel()
            await asyncio.wait([self._asker])
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def begin_phase(self, name: str, attempts: int) -> None:
        """Count what begins from now on to another phase; `attempts` are those until now."""
        self.phase.attempts = attempts - self.phase.attempts_before
        self.phase = Phase(name, time.monotonic(), attempts)
        self.phases.append(self.phase)

    def end_phase(self, attempts: int) -> None:
        """Count to the last phase what the providers have got since it began."""
        self.phase.attempts = attempts - self.phase.attempts_before

    async def _keep_asking(self) -> None:
        begun_s = time.monotonic()
        while True:
            due_s = begun_s + self.asked / self._per_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self.asked += 1
            task = asyncio.create_task(self._ask(f"tag-{self.asked:08d}"))
            self._tasks.add(task)
            task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.complaints["outcome"].append(f"{type(error).__name__}: {error}")

    async def _ask(self, tag: str) -> None:
        chance, phase = self._chance, self.phase
        is_calm = chance.random() < CALM_SHARE
        model = CALM if is_calm else chance.choice(sorted(STEADY))
        (shape,) = chance.choices(SHAPES, SHAPE_SHARES)
        phase.asked += 1
        body = build_body(tag.encode(), model=model, stream=shape != "whole")
        headers = {"x-llm-proxy-buffer": "true"} if shape == "buffered" else {}
        data = build_request(body, headers=headers)
        if not is_calm and chance.random() < LEAVING_SHARE:
            self.left += 1
            phase.left += 1
            await self._leave(data, chance.uniform(*LEAVES_WITHIN_S))
            return
        request = Request(tag, model, shape, time.monotonic())
        try:
            (reply,) = await send(self._port, data)
            outcome = judge_reply(reply)
        except (AssertionError, OSError) as error:
            self.complaints["outcome"].append(f"{phase.name}: {type(error).__name__}: {error}")
            return
        self._note(request, outcome, phase)

    def _note(self, request: Request, outcome: Outcome, phase: Phase) -> None:
        now_s, calendar = time.monotonic(), self._calendar
        complaint = judge(request, outcome, now_s, calendar)
        if complaint is not None:
            self.complaints["oracle"].append(
                f"{phase.name}, {request.shape} of {request.model}: {complaint}"
            )
        self.sure += is_sure(request, now_s, calendar)
        headers = outcome.reply.headers
        provider = headers.get("x-llm-proxy-provider", "")
        seen = Seen(outcome.reply.status, outcome.kind, outcome.code, provider)
        if outcome.request_id in self.seen:
            self.complaints["outcome"].append("two answers with one id")
        self.seen[outcome.request_id] = seen
        if outcome.kind == "answer":
            phase.answered += 1
            phase.first_answer_s = phase.first_answer_s or now_s
        elif outcome.kind == "refused":
            phase.refused += 1
            phase.last_refused_s = now_s
        else:
            phase.broken += 1
        is_quiet = not any(calendar.is_troubled(each, request.begun_s, now_s) for each in PROVIDERS)
        if request.model == CALM and outcome.kind == "answer" and is_quiet:
            is_well = calendar.is_clear(REDIS, request.begun_s - RECENT_S, now_s)
            self.calm_s[is_well].append(now_s - request.begun_s)

    async def _leave(self, data: bytes, after_s: float) -> None:
        """Ask, and be gone after a while, whatever has come by then."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(data)
            async with asyncio.timeout(after_s):
                await reader.read()
        except TimeoutError:
            pass
        finally:
            writer.close()
