"""The same requests at the same moments to two fleets of proxies, measured phase by phase."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random

import msgspec
from msgspec import Struct, field

from campaigns.ground.client import Answer, Broken, Client, build_chat_request
from campaigns.ground.health_chaos.plan import BUSY, FLEETS, PROVIDERS, QUIET

BUSY_PER_S, QUIET_PER_S = 56.0, 4.0
"""To each fleet."""
WITHIN_S = 20.0
_MOST_COMPLAINTS = 200
_DONE = b"data: [DONE]\n\n"


Twins = dict[str, float]
"""By fleet: the seconds that its answer to one and the same request took, if it was good."""


class Tally(Struct):
    """What one fleet has made of the requests that began in one phase."""

    asked: int = 0
    good: int = 0
    complaints: list[str] = field(default_factory=list)


class Phase(Struct):
    """One part of the campaign, and what both fleets have made of it."""

    name: str
    begun_at: float
    """In epoch seconds."""
    ended_at: float = 0.0
    fleets: dict[str, Tally] = field(default_factory=lambda: {name: Tally() for name in FLEETS})
    twins: list[Twins] = field(default_factory=list)


class TwinLoad:
    """
    Asks both fleets, each request the same and at the same time, until `stop`.

    Whatever else the machine does, it does to both. The proxies of a fleet take turns; which fleet
    is asked first is a matter of chance.
    """

    def __init__(self, ports: Mapping[str, Sequence[int]], seed: int) -> None:
        """`ports` are those of each fleet's proxies, as many in one as in the other."""
        self._idle = {(f, port): deque[Client]() for f in FLEETS for port in ports[f]}
        self._ports = ports
        self._chance = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._askers: list[asyncio.Task[None]] = []
        self.phases: list[Phase] = []
        self.faults: list[str] = []
        """Of the campaign itself."""

    def begin(self, name: str) -> Phase:
        """Count what begins from now on to another phase."""
        now_at = time.time()
        if self.phases:
            self.phases[-1].ended_at = now_at
        phase = Phase(name, now_at)
        self.phases.append(phase)
        return phase

    def start(self) -> None:
        """Ask from now on."""
        busy, quiet = [[route.model for route in routes] for routes in (BUSY, QUIET)]
        for models, per_s in ((busy, BUSY_PER_S), (quiet, QUIET_PER_S)):
            self._askers.append(asyncio.create_task(self._keep_asking(models, per_s)))

    async def stop(self) -> None:
        """Ask no more, wait for the answers that are due, and leave."""
        for asker in self._askers:
            asker.cancel()
        await asyncio.gather(*self._askers, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        self.phases[-1].ended_at = time.time()
        for clients in self._idle.values():
            while clients:
                clients.pop().close()

    async def _keep_asking(self, models: Sequence[str], per_s: float) -> None:
        begun_s = time.monotonic()
        for turn in itertools.count():
            await asyncio.sleep(max(0.0, begun_s + turn / per_s - time.monotonic()))
            model, is_stream = models[turn % len(models)], self._chance.random() < 0.5
            place = self._chance.randrange(len(self._ports[FLEETS[0]]))
            request = build_chat_request(model, is_stream=is_stream)
            phase, twins = self.phases[-1], Twins()
            phase.twins.append(twins)
            for fleet in self._chance.sample(FLEETS, len(FLEETS)):
                task = asyncio.create_task(self._ask(fleet, place, request, phase, twins))
                self._tasks.add(task)
                task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(f"{type(error).__name__}: {error}")

    async def _ask(
        self, fleet: str, place: int, request: bytes, phase: Phase, twins: Twins
    ) -> None:
        tally, port = phase.fleets[fleet], self._ports[fleet][place]
        idle = self._idle[fleet, port]
        client = idle.pop() if idle else Client(port)
        tally.asked += 1
        begun_s = time.monotonic()
        try:
            complaint = judge_answer(await client.ask(request, WITHIN_S))
        except Broken as broken:
            complaint = broken.what
        took_s = time.monotonic() - begun_s
        idle.append(client)
        if complaint is None:
            tally.good += 1
            twins[fleet] = took_s
        elif len(tally.complaints) < _MOST_COMPLAINTS:
            tally.complaints.append(complaint)


def judge_answer(answer: Answer) -> str | None:
    """Return what is wrong with an answer: it is whole, and of one provider."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:200]!r}"
    body = answer.body
    if body.startswith(b"data: ") and not body.endswith(_DONE):
        return f"a stream that ends so: {body[-100:]!r}"
    if not body.startswith(b"data: "):
        msgspec.json.decode(body)
    named = [name for name in PROVIDERS if name.encode() in body]
    return None if len(named) == 1 else f"an answer of {named}: {body[:200]!r}"
