"""
Searches for providers wherever the settings say, and keeps `discovered.json` up to date.

A source that fails keeps what it found before: a provider leaves only when its source answers
without it, and more than half of them leave only when it says so twice.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from health_worker.discovery.base import Source, SourceFailed, SourceStatus
from health_worker.discovery.candidate import Candidate, Found
from health_worker.discovery.collect import Collected, collect, is_shrunk
from health_worker.discovery.factory import OpenSource, identify_source, open_source
from health_worker.discovery.file import FoundFile
from health_worker.discovery.models import ModelAsker
from health_worker.discovery.shared_run import SharedRun
from proxy.domain.discovery import DiscoverySettings, FoundProvider, SourceName

NOW_S = 4.8
"""The longest that a search on request takes; of two in a row somebody may wait for both."""
SEARCH_S = 3.5
"""The same of one source in it."""
SECOND_LOOK_S = 2.0
SETTLE_S = 1.0
"""After a change that a source has told by itself: others often follow, and become one."""
FIRST_RETRY_S = 1.0
MODELS_AGAIN_S = 15.0
"""How soon servers are asked again that have not said which models they have."""
MAX_SHOWN = 20
"""Names in one line of the log."""
MAX_PROBLEMS = 100
"""Reasons that are told of one search: a list may hold many thousands of entries."""
_JITTER = 0.1
_NOTHING = "nothing is searched: set provider_registry_url, or a source in discovery"

_log = structlog.get_logger("llm_proxy.discovery")


class Delays(Struct, frozen=True):
    """What is waited for, in seconds; tests wait for less."""

    second_look_s: float = SECOND_LOOK_S
    settle_s: float = SETTLE_S
    first_retry_s: float = FIRST_RETRY_S
    models_again_s: float = MODELS_AGAIN_S


class _Search(Struct):
    """One source that is open, and what it has told."""

    source: Source
    identity: object
    task: "asyncio.Task[None] | None" = None
    found: Found | None = None
    answered_at: float | None = None
    problem: str | None = None


class Discovery:
    """All searches of one health worker; made inside a running loop."""

    def __init__(
        self,
        settings: DiscoverySettings,
        state_dir: Path,
        own_ports: Iterable[int] = (),
        *,
        open_one: OpenSource = open_source,
        delays: Delays | None = None,
        read_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Read what was found before; nothing is searched until `start`.

        Args:
            settings: what is searched, and what is allowed.
            state_dir: where `discovered.json` is.
            own_ports: where this proxy listens: none of these is a local server.
            open_one: opens a source.
            delays: the waits.
            read_clock: epoch seconds.
        """
        self._settings = settings
        self._file = FoundFile(state_dir)
        self._own_ports = frozenset(own_ports)
        self._open_one = open_one
        self._delays = delays or Delays()
        self._read_clock = read_clock
        self._asker = ModelAsker(settings)
        self._known = {entry.name: entry for entry in self._file.read()}
        self._models: dict[Candidate, tuple[str, ...]] = {}
        self._problems: dict[str, str] = {}
        self._has_unasked = False
        self._searches: dict[SourceName, _Search] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._asks_anew = False
        self._waiting: list[asyncio.Future[None]] = []
        self._searching = SharedRun(self._search_all)
        self._is_running = False

    @property
    def statuses(self) -> tuple[SourceStatus, ...]:
        """How each source stands."""
        return tuple(
            SourceStatus(name, self._count(name), search.answered_at, search.problem)
            for name, search in self._searches.items()
        )

    @property
    def found(self) -> tuple[FoundProvider, ...]:
        """What is in `discovered.json`."""
        return tuple(self._known.values())

    def start(self) -> None:
        """Search from now on; what was found before stays as long as no settings say otherwise."""
        self._is_running = True
        self._run(self._build_always())
        self._run(self._refresh())
        if self._settings.is_on:
            self.update(self._settings)

    def update(self, settings: DiscoverySettings) -> None:
        """Go by these settings from now on; sources that are the same stay open."""
        self._settings = settings
        self._asker.update(settings)
        if not self._is_running:
            return
        for name, search in list(self._searches.items()):
            is_on = name in settings.sources
            if not is_on or search.identity != _identify(name, settings):
                del self._searches[name]
                self._run(_close(search))
        for name in settings.sources:
            if name not in self._searches:
                source = self._open_one(name, settings, self._asker, self._own_ports)
                search = _Search(source, _identify(name, settings))
                self._searches[name] = search
                search.task = asyncio.create_task(self._follow(name, search))
        self._wanted.set()

    async def run_now(self) -> dict[str, Any]:
        """
        Search everywhere now, and return what has come of it within NOW_S.

        Returns:
            `found` is how many there are now, `added` and `removed` are names, `problems` is
            a reason by the name of a source or of a provider.

        Whoever asks while a search is under way gets what comes of the next one, as all others do.
        """
        return await self._searching()

    async def _search_all(self) -> dict[str, Any]:
        if not self._is_running:
            self.start()
        if not self._settings.is_on:
            nothing = {"discovery": _NOTHING}
            return {"found": 0, "added": [], "removed": [], "problems": nothing}
        before = set(self._known)
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(NOW_S):
                searches = list(self._searches.items())
                reasons = await asyncio.gather(*(self._search(*item) for item in searches))
                failures = {
                    name: why for (name, _), why in zip(searches, reasons, strict=True) if why
                }
                await self._rebuild(asks_anew=True)
        except TimeoutError:
            failures["discovery"] = f"not all servers have told their models within {NOW_S:g} s"
        return {
            "found": len(self._known),
            "added": sorted(set(self._known) - before),
            "removed": sorted(before - set(self._known)),
            "problems": {**self._problems, **failures},
        }

    async def close(self) -> None:
        """End every search; what was found stays in its file."""
        self._is_running = False
        searches = list(self._searches.values())
        self._searches.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._searching.close()
        for done in self._waiting:
            done.cancel()
        for search in searches:
            await _close(search)
        await self._asker.close()

    async def _follow(self, name: SourceName, search: _Search) -> None:
        """Take what a source tells, for ever; its faults cost nobody else."""
        retry_s, ask = self._delays.first_retry_s, search.source.next
        while True:
            is_told = search.source.waits_itself
            wait_s = self._delays.settle_s if is_told else _jitter(self._settings.interval_s)
            try:
                await self._note(name, search, await ask())
                await self._rebuild()
                retry_s, ask = self._delays.first_retry_s, search.source.next
            except SourceFailed as error:
                self._note_failure(name, search, str(error))
                # What there is now: a change may have been told that was not taken.
                ask = search.source.find
                wait_s, retry_s = _jitter(retry_s), min(retry_s * 2, self._settings.interval_s)
            except Exception as error:  # noqa: BLE001 - one source's fault must not end another's
                _log.exception("a search for providers has a fault", source=name)
                self._note_failure(name, search, type(error).__name__)
                ask = search.source.find
                wait_s, retry_s = _jitter(retry_s), min(retry_s * 2, self._settings.interval_s)
            await asyncio.sleep(wait_s)

    async def _search(self, name: SourceName, search: _Search) -> str | None:
        """Ask one source now; return why that has failed, None if it has not."""
        try:
            async with asyncio.timeout(SEARCH_S):
                await self._note(name, search, await search.source.find())
        except SourceFailed as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no answer within {SEARCH_S:g} s"
        else:
            return None
        self._note_failure(name, search, reason)
        return reason

    async def _note(self, name: SourceName, search: _Search, found: Found) -> None:
        """Keep what a source says; where most is gone, what it says when it is asked again."""
        before = [entry.name for entry in self._known.values() if entry.found_by == name]
        if is_shrunk(before, [candidate.name for candidate in found.candidates]):
            left = len({candidate.name for candidate in found.candidates} & set(before))
            _log.warning(
                "most providers are gone at once: looking again", source=name, left=left,
                before=len(before),
            )  # fmt: skip
            await asyncio.sleep(self._delays.second_look_s)
            found = await search.source.find()
        if search.problem is not None:
            _log.info("a search for providers answers again", source=name)
        search.found, search.problem = found, None
        search.answered_at = self._read_clock()

    def _note_failure(self, name: SourceName, search: _Search, reason: str) -> None:
        if search.problem != reason:
            age_s = None
            if search.answered_at is not None:
                age_s = round(self._read_clock() - search.answered_at)
            _log.warning(
                "a search for providers has failed: what it found before goes on",
                source=name, reason=reason, kept=self._count(name), age_s=age_s,
            )  # fmt: skip
        search.problem = reason

    async def _refresh(self) -> None:
        """Ask servers for their models, now and then: they change without their address."""
        while True:
            until_s = time.monotonic() + _jitter(self._settings.interval_s)
            while (left_s := until_s - time.monotonic()) > 0:
                await asyncio.sleep(min(left_s, self._delays.models_again_s))
                if self._has_unasked:
                    await self._rebuild()
            await self._rebuild(asks_anew=True)

    async def _rebuild(self, *, asks_anew: bool = False) -> None:
        """Return once all that is known now is in the file; servers tell their models before."""
        self._asks_anew = self._asks_anew or asks_anew
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wanted.set()
        await done

    async def _build_always(self) -> None:
        """Build whenever it is wanted; whoever stops waiting for it interrupts nothing."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            asks_anew, self._asks_anew = self._asks_anew, False
            try:
                await self._build(asks_anew=asks_anew)
            except Exception:  # noqa: BLE001 - a fault of ours must not end all searches
                _log.exception("what was found could not be put together")
            finally:
                for done in waiting:
                    if not done.done():
                        done.set_result(None)

    async def _build(self, *, asks_anew: bool) -> None:
        """Put all that is known together, and write it down if it comes to something else."""
        told = {
            name: search.found
            for name, search in self._searches.items()
            if search.found is not None
        }
        reasons: dict[str, str] = {}
        candidates = {
            name: await self._complete(name, found.candidates, reasons, asks_anew=asks_anew)
            for name, found in told.items()
        }
        collected = collect(candidates, self._known, self._settings, self._read_clock())
        self._has_unasked = bool(reasons)
        broken: dict[str, str] = {}
        broken |= {name: "; ".join(told[name].problems[:5]) for name in told if told[name].problems}
        problems = {**broken, **collected.problems, **reasons}
        before, self._problems = self._problems, dict(islice(problems.items(), MAX_PROBLEMS))
        if new := {f"{name}: {why}" for name, why in self._problems.items() - before.items()}:
            _log.warning("something that was found cannot be used", reason=_name(new, ". "))
        # Until somebody has said something the proxies go on with what a damaged file held before.
        if told or self._file.is_as_known:
            await self._write(collected)
        self._asker.rest()

    async def _complete(
        self,
        source: SourceName,
        candidates: Sequence[Candidate],
        reasons: dict[str, str],
        *,
        asks_anew: bool,
    ) -> list[Candidate]:
        """Return candidates with models: their source's, else those that they name themselves."""
        unknown = [c for c in candidates if not c.models and (asks_anew or c not in self._models)]
        # No more than could be used: a long list of silent servers must not hold up the others.
        asking = unknown[: self._settings.max_providers]
        answers = await asyncio.gather(*(self._asker.ask(c, source) for c in asking))
        for candidate, asked in zip(asking, answers, strict=True):
            if asked.models:
                self._models[candidate] = asked.models
            else:
                reasons[candidate.name] = asked.reason
        complete = []
        for candidate in candidates:
            models = candidate.models or self._models.get(candidate) or self._recall(candidate)
            if models:
                reasons.pop(candidate.name, None)
            complete.append(replace(candidate, models=models))
        return complete

    def _recall(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the models that a server had before this start."""
        before = self._known.get(candidate.name)
        return before.models if before is not None and before.base_url == candidate.base_url else ()

    async def _write(self, collected: Collected) -> None:
        after = {entry.name: entry for entry in collected.providers}
        if after == self._known and self._file.is_as_known:
            return
        try:
            await asyncio.to_thread(self._file.write, collected.providers)
        except OSError as error:
            _log.error("what was found could not be written down", reason=str(error.strerror))
            return
        added, removed = _name(after.keys() - self._known), _name(self._known.keys() - after)
        self._known = after
        self._models = {c: models for c, models in self._models.items() if c.name in after}
        _log.info("providers were found", found=len(after), added=added, removed=removed)

    def _count(self, name: SourceName) -> int:
        return sum(entry.found_by == name for entry in self._known.values())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _identify(name: SourceName, settings: DiscoverySettings) -> object:
    # A source that waits for its next turn would not hear of another interval.
    return identify_source(name, settings), settings.interval_s


def _name(names: Collection[str], between: str = ", ") -> str:
    """Return names for the log, the first of many."""
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return between.join(sorted(names)[:MAX_SHOWN]) + more


def _jitter(wait_s: float) -> float:
    return wait_s * random.uniform(1 - _JITTER, 1 + _JITTER)


async def _close(search: _Search) -> None:
    if search.task is not None:
        search.task.cancel()
        await asyncio.gather(search.task, return_exceptions=True)
    await search.source.close()
