"""
Whether the files of the configuration have changed, and whether they have come to rest.

The truth is a look each second at what lies there; inotify only wakes it, because it stays
silent on network file systems, on some mounts, and when its watches are used up. Called by the
supervisor alone; what a change comes to is decided there.
"""

import asyncio
import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct

from proxy.config.sources import MAX_FILE_BYTES

POLL_S = 1.0
SETTLE_S = 0.3
YOUNG_S = 2.0
"""A file that was written this recently may change again without a new time: it is read anew."""
_DEBOUNCE_MS = 50

_log = structlog.get_logger("llm_proxy.config")

Kind = Literal["file", "missing", "unreadable", "too large", "no file"]


class FileState(Struct, frozen=True):
    """What lay under one path: its content by its SHA-256, and what else decides if it is read."""

    kind: Kind
    digest: str = ""
    mode: int = 0
    user: int = 0


Look = tuple[FileState, ...]
"""All watched files at one time; two that are equal load alike."""

Directory = tuple[str, int, int]
"""A directory with device and inode: one that was replaced is another one."""


class FileWatch:
    """Looks at some files, and reads those whose metadata may have changed."""

    def __init__(self, paths: Sequence[Path], clock: Callable[[], float] = time.time) -> None:
        """
        Keep which files are meant; links in their paths are followed anew at each look.

        Args:
            paths: the files, whether they are there or not.
            clock: tells epoch seconds.
        """
        self._paths = tuple(paths)
        self._clock = clock
        self._known: dict[Path, tuple[tuple[int, ...], FileState]] = {}

    def look(self) -> Look:
        """Return what lies there now. Does not wait for a FIFO; a dead network disk may hold it."""
        return tuple(self._look_at(path) for path in self._paths)

    def find_directories(self) -> frozenset[Directory]:
        """Return the directories where a change would show: by the paths and behind links."""
        found = set()
        for path in self._paths:
            # A directory, not the file: editors rename a new file over it, Kubernetes a link.
            for parent in (path.absolute().parent, Path(os.path.realpath(path)).parent):
                with contextlib.suppress(OSError):
                    status = parent.stat()
                    found.add((str(parent), status.st_dev, status.st_ino))
        return frozenset(found)

    def _look_at(self, path: Path) -> FileState:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return FileState("missing")
        except (OSError, ValueError):
            return FileState("unreadable")
        try:
            return self._read(path, descriptor)
        except OSError:
            return FileState("unreadable")
        finally:
            os.close(descriptor)

    def _read(self, path: Path, descriptor: int) -> FileState:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return FileState("no file")
        marks = (
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
        )  # fmt: skip
        known_marks, known = self._known.get(path, ((), None))
        is_young = self._clock() - max(status.st_mtime, status.st_ctime) < YOUNG_S
        if known is not None and marks == known_marks and not is_young:
            return known
        digest = _hash(descriptor)
        kind: Kind = "file" if digest else "too large"
        state = FileState(kind, digest, status.st_mode, status.st_uid)
        self._known[path] = marks, state
        return state


class Settler:
    """Decides when a change may be acted on: once it has stayed the same for a while. Pure."""

    def __init__(self, acted_on: Look, settle_s: float = SETTLE_S) -> None:
        self._acted_on = acted_on
        self._settle_s = settle_s
        self._newest: Look | None = None
        self._since_s = 0.0

    def decide(self, look: Look, now_s: float) -> float | None:
        """
        Return how many seconds `look` has to stay the same until it may be acted on.

        Args:
            look: what lies there now.
            now_s: the time of any clock that does not jump.

        Returns:
            None if there is nothing to do: it is what was acted on last. 0 if it is to be
            acted on now, which counts as done.
        """
        if look == self._acted_on:
            self._newest = None
            return None
        if look != self._newest:
            self._newest, self._since_s = look, now_s
        left_s = self._since_s + self._settle_s - now_s
        if left_s > 0:
            return left_s
        self._acted_on, self._newest = look, None
        return 0.0


async def watch_files(
    watch: FileWatch,
    since: Look,
    on_change: Callable[[], Awaitable[object]],
    *,
    poll_s: float = POLL_S,
    settle_s: float = SETTLE_S,
) -> None:
    """
    Call `on_change` after each change that has come to rest, until cancelled.

    Args:
        watch: the files.
        since: how they were when they were last read; look before that, so that no edit is
            missed.
        on_change: what to do; the next look waits for its end.
        poll_s: the longest time between two looks.
        settle_s: how long a change has to stay as it is.
    """
    settler = Settler(since, settle_s)
    async with _Waker() as waker:
        while True:
            waker.arm(await asyncio.to_thread(watch.find_directories))
            look = await asyncio.to_thread(watch.look)
            wait_s = settler.decide(look, time.monotonic())
            if wait_s == 0:
                await on_change()
            else:
                await waker.wait(poll_s if wait_s is None else wait_s)


class _Waker:
    """Ends a wait when inotify tells of a change in one of the directories."""

    def __init__(self) -> None:
        self._directories: frozenset[Directory] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._has_told = False

    async def __aenter__(self) -> "_Waker":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def arm(self, directories: frozenset[Directory]) -> None:
        """Listen in these directories from now on; the same again change nothing."""
        if directories == self._directories:
            return
        self._directories = directories
        if self._task is not None:
            self._task.cancel()
        names = {name for name, _, _ in directories}
        self._task = asyncio.create_task(self._listen(names)) if names else None

    async def wait(self, within_s: float) -> None:
        """Return when something has happened, at the latest after `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._woken.wait()
        self._woken.clear()

    async def _listen(self, directories: Iterable[str]) -> None:
        from watchfiles import awatch

        try:
            async for _ in awatch(
                *directories,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                force_polling=False,
                recursive=False,
            ):
                self._woken.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, the looks go on without it
            if not self._has_told:
                self._has_told = True
                reason = f"{type(error).__name__}: {error}"
                _log.warning("changes of files are found by polling only", reason=reason)


def _hash(descriptor: int) -> str:
    """Return the SHA-256 of an open file, "" if it is too large to be a configuration."""
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    return hashlib.sha256(data).hexdigest() if len(data) <= MAX_FILE_BYTES else ""
