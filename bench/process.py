"""
One started program with all its children: how it is started, watched and stopped.

Everything is read from /proc. What the figures mean is the business of `rows.py`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.cores import pinned_to

KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
)
"""The rest stays away: a key, proxy or log level of the operator's would change the figures."""

STOP_GRACE_S = 10.0
KILL_GRACE_S = 5.0
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
HAS_SCHEDSTAT = Path("/proc/self/schedstat").exists()
"""Else the ticks of /proc/PID/stat must do, which are 10 ms long."""


class StartedProcess:
    """A program in a session of its own, so that its whole process tree can be found again."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_file: Path,
        cores: Sequence[int],
        cwd: Path,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start `argv` on `cores`; its output goes to `log_file`."""
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environment.update(variables or {})
        self._log_file = log_file
        with log_file.open("wb") as log, pinned_to(cores):
            self.started_monotonic_s = time.monotonic()
            self._popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, within_s: float) -> int:
        """Wait for the program's own end and return its exit status."""
        return self._popen.wait(within_s)

    @property
    def pid(self) -> int:
        """The id of the program itself."""
        return self._popen.pid

    def find_children(self, word: str = "") -> list[int]:
        """Return the ids of the processes that it has started with that word, or of all of them."""
        pids = [pid for pid in self.find_pids() if pid != self.pid]
        return [pid for pid in pids if not word or word in _read_words(pid)]

    def find_pids(self) -> list[int]:
        """Return the ids of the program and of every process that it has started."""
        pids = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and _read_session(int(entry)) == self._popen.pid:
                pids.append(int(entry))
        return sorted(pids)

    def read_log_tail(self, lines: int = 12) -> str:
        """Return the last lines that the program has printed."""
        text = self._log_file.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Ask the program to end, wait, and kill what is left of its processes."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait()
        deadline_s = time.monotonic() + KILL_GRACE_S
        while (pids := self.find_pids()) and time.monotonic() < deadline_s:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            # They are not our children and cannot be waited for.
            time.sleep(0.002)


def _read_stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat behind the name, or None if it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in brackets and may itself hold blanks and brackets.
    return stat.rpartition(")")[2].split()


def _read_words(pid: int) -> list[str]:
    """Return the command line of a process, [] if it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def _read_session(pid: int) -> int | None:
    fields = _read_stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[3])


def read_cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time that all threads of `pids` have used, user and kernel."""
    return sum(_read_schedstat_ns(pid) if HAS_SCHEDSTAT else _read_ticks_ns(pid) for pid in pids)


def _read_schedstat_ns(pid: int) -> int:
    total_ns = 0
    # /proc/PID/schedstat would speak for the first thread only.
    for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total_ns += int(schedstat.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total_ns


def _read_ticks_ns(pid: int) -> int:
    return sum(read_cpu_ticks([pid])) * TICK_NS


def read_cpu_ticks(pids: Sequence[int]) -> tuple[int, int]:
    """Return the CPU time of all threads of `pids`, in ticks: in their own code, in the kernel."""
    stats = [fields for pid in pids if (fields := _read_stat_fields(pid)) is not None]
    return sum(int(fields[11]) for fields in stats), sum(int(fields[12]) for fields in stats)


def read_rss_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of `pids`; what they share is counted for each."""
    total_pages = 0
    for pid in pids:
        try:
            total_pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total_pages * os.sysconf("SC_PAGE_SIZE")


def read_core_busy_ns(core: int) -> int:
    """Return the time `core` has been busy with processes, or kept away by the host."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, steal = (int(ticks[i]) for i in (0, 1, 2, 7))
            return (user + nice + system + steal) * TICK_NS
    return 0
