"""
The way of log lines to standard output or a file, off the event loop.

Lines are buffered and written by one thread: the first line wakes it, it lets more lines
gather for `interval_s`, and writes them all with one call. Nothing runs while no line comes.
A line that is handed over as what makes it is made by that thread as well: hundreds in a row
cost half of what each costs between two steps of a request. It makes a few at a time and rests
in between, or the loop would wait for the interpreter until all of them are made.
A target that blocks (a full pipe, a stopped journal, a hung disk) blocks that thread alone:
the buffer fills up to `max_bytes`, then the oldest lines are dropped and counted.
What a line looks like is the business of `request_log.py` and `logs.py`.
"""

import atexit
import contextlib
import fcntl
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from proxy.telemetry.error_place import read_error_place, read_error_type

INTERVAL_S = 0.05
MAX_BUFFER_BYTES = 8 * 1024 * 1024
UNMADE_LINE_BYTES = 1024
"""What a line counts in the buffer that is not made yet."""
PORTION_LINES = 32
"""How many lines are made between two rests: about 0.3 ms of holding the interpreter."""
MOST_RESTS = 16
"""How often one batch rests: a busy loop may make each last 5 ms, and lines must not pile up."""
REST_S = 0.0002
"""Not 0: a thread that only yields has the interpreter back before another has woken up."""
STDOUT_FD = 1

_log = structlog.get_logger("llm_proxy.telemetry.log")


def open_log_writer(
    log_file: str | None, *, on_dropped: Callable[[int], None] | None = None
) -> "LogWriter":
    """
    Return a writer to `log_file`, or to standard output where that is None.

    Args:
        log_file: path of a file that is appended to, made with mode 0640 if it is missing,
            its directory too.
        on_dropped: told how many lines were just lost; it must neither fail nor log.

    Raises:
        OSError: the file cannot be opened; its text names the file.
    """
    if log_file is None:
        return LogWriter(STDOUT_FD, on_dropped=on_dropped)
    path = Path(log_file)
    return LogWriter(_open_file(path), path=path, on_dropped=on_dropped)


def open_service_log(log_file: str | None) -> "LogWriter":
    """Return a writer as `open_log_writer` does, for who tells its error to an operator."""
    try:
        return open_log_writer(log_file)
    except OSError as error:
        raise OSError(f"the log file cannot be opened: {error}") from error


def _open_file(path: Path) -> int:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


class LogWriter:
    """Take lines from any thread at once; write them in batches from a thread of its own."""

    def __init__(
        self,
        fd: int,
        *,
        path: Path | None = None,
        interval_s: float = INTERVAL_S,
        max_bytes: int = MAX_BUFFER_BYTES,
        on_dropped: Callable[[int], None] | None = None,
    ) -> None:
        """
        Take over `fd`.

        Args:
            fd: where to write; closed by `close()` only if `path` is given.
            path: the file behind `fd`, needed for `reopen()`.
            interval_s: how long lines gather before they are written.
            max_bytes: most bytes that wait in the buffer; the batch that is being written
                comes on top.
            on_dropped: told how many lines were just lost, from any thread; it must neither fail
                nor log. May be set later, by the attribute of this name.
        """
        self._fd = fd
        self._path = path
        self._interval_s = interval_s
        self._max_bytes = max_bytes
        self.on_dropped = on_dropped
        self._lock = threading.Lock()
        self._state = threading.Condition(self._lock)
        self._lines: deque[bytes | Callable[[], bytes]] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._is_awake = False
        self._is_writing = False
        self._is_hurried = False
        self._is_closed = False
        self._is_torn = False
        self._told_faults: set[tuple[str, str | None]] = set()
        self._next_fd: int | None = None
        self._is_shared = _is_stream(fd)
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """How many lines were lost so far."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Queue one line, which ends in a newline; returns at once, whatever the target does."""
        self._queue(line, len(line))

    def write_later(self, make_line: Callable[[], bytes]) -> None:
        """Queue one line that the writing thread makes; it is counted as lost if that fails."""
        self._queue(make_line, UNMADE_LINE_BYTES)

    def _queue(self, line: bytes | Callable[[], bytes], size_bytes: int) -> None:
        with self._lock:
            if self._is_closed:
                self._count_dropped(1)
                return
            self._lines.append(line)
            self._waiting_bytes += size_bytes
            if self._waiting_bytes > self._max_bytes:
                self._drop_oldest()
            if not self._is_awake:
                self._wake()

    def flush(self, timeout_s: float = 1.0) -> bool:
        """Have everything written now; return False if that took longer than `timeout_s`."""
        with self._state:
            if self._lines:
                self._is_hurried = True
                self._state.notify_all()
            return self._state.wait_for(self._is_idle, timeout_s)

    def reopen(self) -> None:
        """
        Open the log file anew under its name, for logrotate; nothing happens on stdout.

        Raises:
            OSError: the file cannot be opened; the old one stays in use.
        """
        if self._path is None:
            return
        fd = _open_file(self._path)
        with self._state:
            # The writing thread swaps: the old descriptor may be in the middle of a write.
            superseded, self._next_fd = self._next_fd, fd
            if superseded is not None:
                os.close(superseded)
            if self._thread is None:
                self._swap_fd()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is left, for at most `timeout_s`, and stop; what is left then is counted."""
        atexit.unregister(self.close)
        with self._state:
            if self._is_closed:
                return
            self._is_closed = True
            self._state.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        with self._state:
            if self._lines:
                self._count_dropped(len(self._lines))
                self._lines.clear()
            if thread is not None and thread.is_alive():
                return  # It hangs in a write and keeps its descriptor; it dies with the process.
            self._swap_fd()
            if self._path is not None:
                os.close(self._fd)

    def _wake(self) -> None:
        self._is_awake = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        else:
            self._state.notify_all()

    def _is_idle(self) -> bool:
        return not self._lines and not self._is_writing

    def _drop_oldest(self) -> None:
        count = 0
        while self._waiting_bytes > self._max_bytes:
            line = self._lines.popleft()
            self._waiting_bytes -= len(line) if isinstance(line, bytes) else UNMADE_LINE_BYTES
            count += 1
        self._count_dropped(count)

    def _count_dropped(self, count: int) -> None:
        self._dropped += count
        if self.on_dropped is not None:
            self.on_dropped(count)

    def _swap_fd(self) -> None:
        if self._next_fd is not None:
            os.close(self._fd)
            self._fd, self._next_fd = self._next_fd, None
            self._is_torn = False

    def _run(self) -> None:
        while True:
            with self._state:
                while not self._lines:
                    self._is_awake = False
                    if self._is_closed:
                        return
                    self._state.wait()
                self._state.wait_for(lambda: self._is_hurried or self._is_closed, self._interval_s)
                lines, self._lines = self._lines, deque()
                self._waiting_bytes = 0
                self._is_hurried = False
                self._is_writing = True
                self._swap_fd()
            made = self._make_lines(lines)
            lost = made.count(b"") + self._write_batch(b"".join(made))
            with self._state:
                self._is_writing = False
                if lost:
                    self._count_dropped(lost)
                self._state.notify_all()

    def _make_lines(self, lines: deque[bytes | Callable[[], bytes]]) -> list[bytes]:
        """Empty `lines`; return them made, b"" for one that could not be."""
        made: list[bytes] = []
        portion = max(PORTION_LINES, len(lines) // MOST_RESTS)
        count = 0
        while lines:
            # Taken out one by one: freeing hundreds of records at once would be a portion too.
            line = lines.popleft()
            if isinstance(line, bytes):
                made.append(line)
                continue
            made.append(self._make(line))
            count += 1
            if count % portion == 0:
                time.sleep(REST_S)
        return made

    def _make(self, make_line: Callable[[], bytes]) -> bytes:
        try:
            return make_line()
        except Exception as error:  # noqa: BLE001
            # One line that is our fault must not end the log.
            fault = read_error_type(error), read_error_place(error)
        if fault not in self._told_faults:
            self._told_faults.add(fault)
            _log.error(
                "a log line cannot be made: this is a fault of ours",
                error_type=fault[0],
                error_at=fault[1],
            )
        return b""

    def _write_batch(self, batch: bytes) -> int:
        """Write `batch`; return how many of its lines were lost."""
        # A half line that an error left behind must not swallow the next one.
        is_mending = self._is_torn
        data = b"\n" + batch if is_mending else batch
        written = 0
        with self._hold_stream():
            while written < len(data):
                try:
                    written += os.write(self._fd, memoryview(data)[written:])
                except BlockingIOError:
                    # Somebody who shares this pipe made it non-blocking.
                    if not self._wait_until_writable():
                        break
                except OSError:
                    # Disk full, reader gone: these lines are lost, the next ones may not be.
                    break
        lost = data.count(b"\n", written)
        if written == 0:
            return lost - is_mending
        self._is_torn = not data.endswith(b"\n", 0, written)
        return lost

    @contextlib.contextmanager
    def _hold_stream(self) -> Iterator[None]:
        # Workers share one pipe or journal socket, where only writes up to PIPE_BUF are whole:
        # a batch is longer, and without this lock lines of two workers would mix.
        if not self._is_shared:
            yield
            return
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
        except OSError:
            self._is_shared = False
            yield
            return
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _wait_until_writable(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while not self._is_closed:
            if poll.poll(1000):
                return True
        return False


def _is_stream(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
