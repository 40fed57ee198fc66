"""One configuration file and whoever edits it, with what must be seen of each edit."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from campaigns.ground import edits
from campaigns.ground.client import Answer
from campaigns.ground.foretell import foretell
from campaigns.ground.paced import Ground, build_model, read_version
from campaigns.ground.probes import Names, Probes
from campaigns.ground.service import Service

GIVE_UP_S = 6.0
LOOK_S = 0.05


class Phase(Struct):
    """What one part of the campaign has found; `complaints` are by check."""

    title: str
    promise_s: float
    complaints: dict[str, list[str]] = field(
        default_factory=lambda: {"requests": [], "refused": [], "served": [], "in time": []}
    )
    times_s: list[float] = field(default_factory=list)
    refused: int = 0
    let_through: int = 0
    """Files that were cut off, which nothing tells from files that were edited."""

    def complain(self, check: str, text: str) -> None:
        """Keep what was wrong."""
        self.complaints[check].append(text)


class Editor:
    """Edits the file and looks at what comes of it."""

    def __init__(self, ground: Ground, service: Service, probes: Probes) -> None:
        self._ground = ground
        self._path = ground.config
        self._service = service
        self._probes = probes
        self.has_marker = True
        self.version = 1
        """The newest that was written."""
        self.sure = 1
        """The newest that every worker is known to serve."""
        self.served: Names = frozenset()

    @property
    def text(self) -> str:
        """The newest good version."""
        return self._ground.build(self.version, has_marker=self.has_marker)

    async def change(self, way: edits.Edit, phase: Phase) -> None:
        """Make a good edit and wait until every worker serves it."""
        edits.clear(self._path)
        self.version += 1
        # The clock runs from the end of the edit: half of a file is not to be served.
        way(self._path, self.text)
        model = build_model(self.version)
        took_s = await self._probes.wait_until(lambda names: model in names, GIVE_UP_S)
        if took_s is None:
            phase.complain("in time", f"{way.__name__}: not served after {GIVE_UP_S:g} s")
            return
        phase.times_s.append(took_s)
        if took_s > phase.promise_s:
            phase.complain("in time", f"{way.__name__}: {took_s:.2f} s")
        self.sure = self.version
        self.served = (await self._probes.read())[0]

    async def spoil(self, name: str, act: Callable[[Path], None], phase: Phase) -> None:
        """Do what must be refused, and see that nothing else is served than before."""
        done_at = time.time()
        act(self._path)
        deadline_s = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline_s:
            await self._check_served(name, phase)
            config = (await asyncio.to_thread(self._service.read_status))["config"]
            if (config["last_error_at"] or 0) >= done_at:
                phase.refused += 1
                await self._check_served(name, phase)
                return
            await asyncio.sleep(LOOK_S)
        phase.complain("refused", f"{name}: nothing is said of it")

    async def shrink(self, percent: int, phase: Phase) -> None:
        """Cut the file off without a marker: it is let through or refused as foretold."""
        text = edits.cut(self.text, percent)
        names = foretell(text, self._ground.folder)
        if names is None:
            await self.spoil(f"cut at {percent} %", partial(edits.write_in_place, text=text), phase)
            return
        edits.write_in_place(self._path, text)
        took_s = await self._probes.wait_until(lambda served: served == names, GIVE_UP_S)
        if took_s is None:
            phase.complain("served", f"cut at {percent} %: not served, and nothing refuses it")
        self.served = names
        phase.let_through += 1

    async def drop_marker(self, phase: Phase) -> None:
        """Take the marker out, which is refused as a cut is, until somebody says it is meant."""
        self.has_marker = False
        self.version += 1
        text = self.text
        await self.spoil("no marker", partial(edits.rename_over, text=text), phase)
        done = await asyncio.to_thread(self._service.run_command, "reload", "--allow-shrink")
        if done.returncode:
            phase.complain("served", f"--allow-shrink: {done.stdout}{done.stderr}")
        self.sure = self.version
        self.served = (await self._probes.read())[0]

    async def _check_served(self, name: str, phase: Phase) -> None:
        if any(names != self.served for names in await self._probes.read()):
            phase.complain("served", f"{name} changes what is served")

    def begin_request(self) -> Callable[[Answer], str | None]:
        """Begin a request for the alias that each version leads elsewhere."""
        oldest = self.sure

        def judge(answer: Answer) -> str | None:
            if answer.status != 200:
                return f"status {answer.status}: {answer.body[:200]!r}"
            told = answer.body.partition(b'"content":')[2].strip().partition(b'"')[2]
            version = read_version(told.partition(b'"')[0].decode())
            if version is None or not oldest <= version <= self.version:
                return f"version {version} instead of {oldest} to {self.version}"
            return None

        return judge
