"""
The configuration while it is edited: looked at, judged, accepted or refused, and told.

Everything that takes time (reading, parsing, building, writing history) happens in a thread;
decisions are made in the loop, one reload after the other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from proxy.config.changes import describe_changes, list_needs_restart
from proxy.config.guard import decide_guard
from proxy.config.history import SEARCH_CAUSE
from proxy.config.load import LoadedConfig
from proxy.config.problem import ConfigError
from proxy.config.watcher import SETTLE_S
from proxy.domain.service import ConfigStatus
from proxy.domain.settings import InstallSettings
from proxy.supervisor.accepted import Accepted, accept, keep, number
from proxy.supervisor.startup import First, Place
from proxy.telemetry.service_metrics import ReloadOutcome

SPACING_S = 1.0
"""Reloads that are asked for come no closer than this: a hundred signals are two reloads."""
MOST_LOOKS = 10
"""Who writes a file for longer than this is seen by the watch when it is done."""
UNNAMED_CHANGE = "something changed that has no name here"

_log = structlog.get_logger("llm_proxy.config")


class ReloadResult(Struct, frozen=True):
    """What one reload has come to; every text is fit to be shown."""

    result: ReloadOutcome
    generation: int
    cause: str
    message: str
    changes: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class _Wish(Struct):
    """A reload that somebody waits for."""

    cause: str
    allow_shrink: bool
    is_edit: bool
    done: "asyncio.Future[ReloadResult]"


class _Judged(Struct, frozen=True):
    """A result, with what is to be served if that changes."""

    result: ReloadResult
    accepted: Accepted | None = field(default=None)


class LiveConfig:
    """Owns what is accepted; made by `run.py` with what the start has come to."""

    def __init__(
        self,
        place: Place,
        first: First,
        running: InstallSettings,
        on_result: Callable[[ReloadResult, Accepted | None], Awaitable[None]],
    ) -> None:
        """
        Keep what the service has started with.

        Args:
            place: where the configuration is.
            first: what is served now.
            running: the install settings that are in force until a restart.
            on_result: told of every reload, with what is to be served if that has changed;
                it returns when all workers serve it.
        """
        self._place = place
        self._running = running
        self._on_result = on_result
        self._wishes: list[_Wish] = []
        self._under_way: list[_Wish] = []
        self._wished = asyncio.Event()
        self._began_s = -SPACING_S
        self.accepted = first.accepted
        self.judged = first.look
        """How the files were before they were read last."""
        self.status = ConfigStatus(
            generation=first.accepted.snapshot.generation,
            loaded_at=time.time(),
            last_error=first.error,
            last_error_at=None if first.error is None else time.time(),
            problem_count=first.problem_count,
            needs_restart=list_needs_restart(running, first.accepted.install),
        )

    async def reload(
        self, cause: str, *, allow_shrink: bool = False, is_edit: bool = False
    ) -> ReloadResult:
        """
        Read the configuration anew and return what came of it.

        Those who ask while a reload is under way share the next one.

        Args:
            cause: who or what asks, for the history.
            allow_shrink: let the guard pass it, this once.
            is_edit: a file was seen to change, and has come to rest already.
        """
        wish = self._build_wish(cause, allow_shrink=allow_shrink, is_edit=is_edit)
        self._wishes.append(wish)
        self._wished.set()
        return await wish.done

    def request(self, cause: str) -> None:
        """Have the configuration read anew; nobody waits for it, as with a signal."""
        self._wishes.append(self._build_wish(cause, allow_shrink=False, is_edit=False))
        self._wished.set()

    @staticmethod
    def _build_wish(cause: str, *, allow_shrink: bool, is_edit: bool) -> _Wish:
        done: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        return _Wish(cause, allow_shrink, is_edit, done)

    def stop(self) -> None:
        """Let go of who waits: nothing will be judged any more."""
        for wish in [*self._wishes, *self._under_way]:
            wish.done.cancel()

    async def run(self) -> None:
        """Do what is asked for, one reload after the other, for ever."""
        while True:
            await self._wished.wait()
            if not any(wish.is_edit for wish in self._wishes):
                await asyncio.sleep(self._began_s + SPACING_S - time.monotonic())
            self._wished.clear()
            wishes, self._wishes = self._wishes, []
            self._under_way = wishes
            self._began_s = time.monotonic()
            result = await self._reload(wishes)
            for wish in wishes:
                if not wish.done.done():
                    wish.done.set_result(result)

    async def _reload(self, wishes: list[_Wish]) -> ReloadResult:
        causes = dict.fromkeys(wish.cause for wish in wishes)
        allow_shrink = any(wish.allow_shrink for wish in wishes)
        if not all(wish.is_edit for wish in wishes):
            await self._settle()
        judged = await asyncio.to_thread(self._judge, ", ".join(causes), allow_shrink)
        result = judged.result
        if judged.accepted is not None:
            self.accepted = judged.accepted
        before, self.status = self.status, self._build_status(result)
        await self._on_result(result, judged.accepted)
        # Only now: what is said to be in force is served by every worker.
        _tell(result, before)
        return result

    async def _settle(self) -> None:
        """Wait until the files have come to rest, as they have where an edit was seen."""
        before = await asyncio.to_thread(self._place.watch.look)
        for _ in range(MOST_LOOKS):
            await asyncio.sleep(SETTLE_S)
            now = await asyncio.to_thread(self._place.watch.look)
            if now == before:
                return
            before = now

    def _load(self, now_at: float) -> LoadedConfig:
        """Read the files as they are; anew if one was written while they were read."""
        for attempt in range(MOST_LOOKS):
            self.judged = self._place.watch.look()
            is_last = attempt == MOST_LOOKS - 1
            try:
                loaded = self._place.load(
                    self.accepted.snapshot.generation + 1,
                    now_at,
                    self._running.listen,
                    self.accepted.discovered,
                )
            except ConfigError:
                if is_last or self._place.watch.look() == self.judged:
                    raise
            else:
                if is_last or self._place.watch.look() == self.judged:
                    return loaded
        raise AssertionError("the last attempt returns or raises")

    def _judge(self, cause: str, allow_shrink: bool) -> _Judged:
        """Read, check, guard and compare; in a thread."""
        now_at = time.time()
        before = self.accepted
        try:
            loaded = self._load(now_at)
        except ConfigError as error:
            return _Judged(self._refuse("rejected", cause, error))
        after = accept(loaded)
        verdict = decide_guard(
            before.facts,
            after.facts,
            source=str(loaded.config_path or ""),
            allow_shrink=allow_shrink,
        )
        if verdict.problem is not None:
            return _Judged(self._refuse("guarded", cause, ConfigError([verdict.problem])))
        changes = describe_changes(before.effective, after.effective)
        needs_restart = list_needs_restart(self._running, after.install)
        warnings = tuple(map(str, loaded.warnings))
        if not changes and before.is_same_as(after):
            generation = before.snapshot.generation
            message = f"nothing has changed: generation {generation} stays in force"
            return _Judged(
                ReloadResult("unchanged", generation, cause, message, (), needs_restart, warnings)
            )
        generation = max(after.snapshot.generation, self._place.history.next_generation())
        if generation != after.snapshot.generation:
            after = number(after, generation)
        changes = changes or (UNNAMED_CHANGE,)
        try:
            keep(self._place.history, after, cause, changes, now_at)
        except OSError as error:
            # The operator's change counts for more than our memory of it.
            _log.error("the history could not be written", reason=str(error))
        message = f"generation {generation} is in force"
        result = ReloadResult(
            "applied", generation, cause, message, changes, needs_restart, warnings
        )
        return _Judged(result, after)

    def _refuse(self, outcome: ReloadOutcome, cause: str, error: ConfigError) -> ReloadResult:
        generation = self.accepted.snapshot.generation
        problems = tuple(map(str, error.problems))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return ReloadResult(
            outcome,
            generation,
            cause,
            f"refused, generation {generation} stays in force: {problems[0]}{more}",
            problems=problems,
            needs_restart=self.status.needs_restart,
        )

    def _build_status(self, result: ReloadResult) -> ConfigStatus:
        if result.problems:
            return replace(
                self.status,
                last_error="\n".join(result.problems),
                last_error_at=time.time(),
                problem_count=len(result.problems),
            )
        is_new = result.result == "applied"
        return ConfigStatus(
            generation=result.generation,
            loaded_at=time.time() if is_new else self.status.loaded_at,
            needs_restart=result.needs_restart,
        )


def _tell(result: ReloadResult, before: ConfigStatus) -> None:
    """Say in the log what a reload has come to, in the words of the change or of the mistake."""
    about = {"generation": result.generation, "cause": result.cause}
    for change in result.changes:
        if change not in result.needs_restart:
            _log.info(change, **about)
    for problem in result.problems:
        _log.error(problem, **about)
    # A file of ours that is damaged changes nothing, and nobody else would tell of it.
    is_told = result.result == "applied" or result.cause == SEARCH_CAUSE
    for warning in result.warnings if is_told else ():
        _log.warning(warning)
    for setting in result.needs_restart:
        if setting not in before.needs_restart:
            _log.warning(f"{setting}: waits for a restart", **about)
    if result.problems:
        what = f"the configuration was refused: generation {result.generation} stays in force"
        _log.error(what, result=result.result, **about)
    else:
        is_mended = before.last_error is not None
        what = "the configuration is good again: " if is_mended else "the configuration was read: "
        _log.info(f"{what}{result.message}", result=result.result, **about)
