"""The buffered way of log lines to a pipe, a socket or a file."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy.telemetry.log_writer import (
    MOST_RESTS,
    PORTION_LINES,
    UNMADE_LINE_BYTES,
    LogWriter,
    open_log_writer,
)

NEVER_S = 3600.0


@pytest.fixture
def messages() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket pair (written, read) on which each write arrives as one message."""
    written, read = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read.settimeout(10)
    with written, read:
        yield written, read


def _fill(fd: int) -> int:
    """Write to a pipe until it blocks; return how many bytes it took."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    filled = 0
    try:
        while True:
            filled += os.write(fd, b"x" * 4096)
    except BlockingIOError:
        return filled
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def _read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(fd, count - len(data))
    return data


def _read_to_end(fd: int) -> bytes:
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return data


def test_a_thousand_lines_are_one_write(messages: tuple[socket.socket, socket.socket]) -> None:
    """All lines that gathered go out with one write, in order."""
    written, read = messages
    writer = LogWriter(written.fileno(), interval_s=NEVER_S)
    lines = [b'{"n":%d}\n' % n for n in range(1000)]
    for line in lines:
        writer.write(line)

    assert writer.flush()
    assert b"".join(lines) == read.recv(1 << 20)
    read.setblocking(False)
    with pytest.raises(BlockingIOError):
        read.recv(1)
    writer.close()


def test_lines_that_are_made_later_keep_their_place(
    messages: tuple[socket.socket, socket.socket],
) -> None:
    """A line made by the writing thread stands between those before and behind it."""
    written, read = messages
    makers: list[int] = []

    def make_line() -> bytes:
        makers.append(threading.get_ident())
        return b"two\n"

    writer = LogWriter(written.fileno(), interval_s=NEVER_S)
    writer.write(b"one\n")
    writer.write_later(make_line)
    writer.write(b"three\n")
    writer.close()

    assert read.recv(100) == b"one\ntwo\nthree\n"
    assert len(makers) == 1
    assert makers[0] != threading.get_ident()


def test_a_line_that_cannot_be_made_is_counted_and_told_once(
    messages: tuple[socket.socket, socket.socket],
) -> None:
    """A line whose making fails is told as lost; one error names the place, and no value."""
    written, read = messages
    told: list[int] = []
    ours: dict[str, Callable[[], bytes]] = {}
    text = "def make_line():\n    raise ValueError('sk-never-in-a-log')\n"
    exec(compile(text, "/x/proxy/made_up.py", "exec"), ours)

    writer = LogWriter(written.fileno(), interval_s=NEVER_S, on_dropped=told.append)
    with capture_logs() as events:
        for line in (b"one\n", b"three\n"):
            writer.write_later(ours["make_line"])
            writer.write(line)
        writer.close()

    assert read.recv(100) == b"one\nthree\n"
    assert told == [2]
    (event,) = events
    assert event["error_type"] == "ValueError"
    assert event["error_at"] == "proxy/made_up.py:2:make_line"
    assert "sk-never" not in str(event)


@pytest.mark.parametrize(
    ("lines", "portion"),
    [(10 * PORTION_LINES, PORTION_LINES), (10 * MOST_RESTS * PORTION_LINES, 10 * PORTION_LINES)],
)
def test_lines_are_made_a_few_at_a_time(
    lines: int, portion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread rests after each few lines, and no more than sixteen times in one batch."""
    made: list[int] = []
    made_before_rests: list[int] = []

    def make_line() -> bytes:
        made.append(1)
        return b"line\n"

    monkeypatch.setattr(
        "proxy.telemetry.log_writer.time.sleep", lambda _: made_before_rests.append(len(made))
    )
    writer = open_log_writer(str(tmp_path / "log"))
    writer._interval_s = NEVER_S
    for _ in range(lines):
        writer.write_later(make_line)
    writer.close()

    assert made_before_rests == list(range(portion, lines + 1, portion))
    assert len(made_before_rests) <= MOST_RESTS


def test_lines_not_made_yet_are_dropped_as_well() -> None:
    """While nobody reads, lines that are still to be made fill the buffer up to its cap."""
    read_fd, write_fd = os.pipe()
    _fill(write_fd)
    writer = LogWriter(write_fd, interval_s=0.0, max_bytes=4 * UNMADE_LINE_BYTES)
    for _ in range(100):
        writer.write_later(lambda: b"line\n")

    # Four are waiting, and up to four more are stuck in the write.
    assert 92 <= writer.dropped <= 96
    os.close(read_fd)
    writer.close()
    os.close(write_fd)


def test_writes_are_an_interval_apart(messages: tuple[socket.socket, socket.socket]) -> None:
    """Under load there is at most one write each 50 ms, and no line waits for a flush."""
    written, read = messages
    writer = LogWriter(written.fileno())
    started = time.monotonic()
    lines = 0
    while (now := time.monotonic() - started) < 0.3:
        # 10,000 lines a second; other threads run in between.
        if now < lines / 10_000:
            os.sched_yield()
            continue
        writer.write(b"line\n")
        lines += 1
    writer.flush()
    elapsed = time.monotonic() - started

    received, writes = 0, 0
    while received < lines:
        received += read.recv(1 << 20).count(b"\n")
        writes += 1
    assert received == lines
    assert writes <= elapsed / 0.05 + 1
    writer.close()


def test_nothing_runs_while_no_line_comes(messages: tuple[socket.socket, socket.socket]) -> None:
    """A writer without lines has no thread, and closing it writes nothing."""
    written, read = messages
    writer = LogWriter(written.fileno())

    assert writer.flush()
    writer.close()
    written.close()
    assert read.recv(1) == b""


def test_blocked_pipe_drops_the_oldest_and_delays_nobody() -> None:
    """While nobody reads, lines cost nothing, the oldest are counted as lost, the newest stay."""
    read_fd, write_fd = os.pipe()
    filled = _fill(write_fd)
    told: list[int] = []
    writer = LogWriter(write_fd, interval_s=0.0, max_bytes=10_000, on_dropped=told.append)
    total = 20_000
    slowest_s = 0.0
    started = time.thread_time()
    for n in range(total):
        before = time.thread_time()
        writer.write(b"%08d\n" % n)
        slowest_s = max(slowest_s, time.thread_time() - before)
    assert time.thread_time() - started < 2.0
    assert slowest_s < 0.1
    assert not writer.flush(timeout_s=0.0)

    assert b"x" * filled == _read_exactly(read_fd, filled)
    expected = total - writer.dropped
    data = _read_exactly(read_fd, expected * 9)
    assert writer.flush(10.0)
    writer.close()
    os.close(write_fd)
    assert os.read(read_fd, 1) == b""
    os.close(read_fd)

    numbers = [int(line) for line in data.splitlines()]
    assert numbers == sorted(numbers)
    assert total - 1 == numbers[-1]
    assert writer.dropped > 0
    assert writer.dropped == sum(told)


async def test_blocked_pipe_does_not_hold_the_event_loop() -> None:
    """Coroutines go on while the log's target takes nothing, and so does closing in the end."""
    read_fd, write_fd = os.pipe()
    _fill(write_fd)
    writer = LogWriter(write_fd, interval_s=0.0)
    started = time.monotonic()
    for _ in range(1000):
        writer.write(b"line\n")
    writer.close(timeout_s=0.05)

    assert time.monotonic() - started < 2.0
    os.close(read_fd)
    assert writer.flush(10.0)
    os.close(write_fd)


def test_nonblocking_target_gets_everything() -> None:
    """A pipe that somebody made non-blocking still gets each byte once it is read."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    writer = LogWriter(write_fd, interval_s=0.0)
    data = b"".join(b"%06d\n" % n for n in range(50_000))
    for line in data.splitlines(keepends=True):
        writer.write(line)

    assert data == _read_exactly(read_fd, len(data))
    writer.close()
    os.close(read_fd)
    os.close(write_fd)


def test_reader_gone_is_counted(messages: tuple[socket.socket, socket.socket]) -> None:
    """Lines for a reader that has gone are lost and counted; nothing is raised."""
    written, read = messages
    read.close()
    writer = LogWriter(written.fileno(), interval_s=NEVER_S)
    writer.write(b"one\n")
    writer.write(b"two\n")

    assert writer.flush()
    assert writer.dropped == 2
    writer.close()


def test_full_disk_tears_no_later_line(tmp_path: Path) -> None:
    """After a write that was cut short by a full disk, the next line begins on its own line."""
    script = """
import resource, signal, sys
from pathlib import Path
from proxy.telemetry.log_writer import open_log_writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = open_log_writer(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
writer.write(b"aaaaaa\\n")
writer.write(b"bbbbbb\\n")
writer.flush()
lost = writer.dropped
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write(b"cccccc\\n")
writer.close()
sys.exit(lost)
"""
    path = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)

    assert done.returncode == 1
    assert path.read_bytes() == b"aaaaaa\nbbb\ncccccc\n"


def test_file_is_made_private_and_appended(tmp_path: Path) -> None:
    """The log file gets mode 0640 and its directory is made; what is in it stays."""
    path = tmp_path / "logs" / "proxy.log"
    for line in (b"first\n", b"second\n"):
        writer = open_log_writer(str(path))
        writer.write(line)
        writer.close()

    assert path.read_bytes() == b"first\nsecond\n"
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


def test_unusable_file_is_named(tmp_path: Path) -> None:
    """A log file that cannot be opened is an error which names it."""
    with pytest.raises(OSError, match=str(tmp_path)):
        open_log_writer(str(tmp_path))


def test_reopen_follows_logrotate(tmp_path: Path) -> None:
    """After a rename and `reopen()`, lines go to a new file under the old name."""
    path, rotated = tmp_path / "proxy.log", tmp_path / "proxy.log.1"
    writer = open_log_writer(str(path))
    writer.write(b"before\n")
    writer.flush()
    path.rename(rotated)
    writer.reopen()
    writer.reopen()
    writer.write(b"after\n")
    writer.close()

    assert rotated.read_bytes() == b"before\n"
    assert path.read_bytes() == b"after\n"


def test_reopen_before_the_first_line(tmp_path: Path) -> None:
    """`reopen()` also works while nothing was written yet, and does nothing on stdout."""
    path = tmp_path / "proxy.log"
    writer = open_log_writer(str(path))
    path.rename(tmp_path / "old")
    writer.reopen()
    writer.write(b"line\n")
    writer.close()
    open_log_writer(None).reopen()

    assert path.read_bytes() == b"line\n"


def test_lines_after_close_are_counted(tmp_path: Path) -> None:
    """A line that comes after `close()` is lost and counted; closing twice changes nothing."""
    writer = open_log_writer(str(tmp_path / "proxy.log"))
    writer.close()
    writer.close()
    writer.write(b"late\n")

    assert writer.dropped == 1


def test_end_of_process_writes_what_is_left() -> None:
    """Lines that were written just before the process ends without `close()` still come out."""
    script = (
        "from proxy.telemetry.log_writer import open_log_writer\n"
        "open_log_writer(None).write(b'last words\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=60
    )

    assert done.stdout == b"last words\n"


def test_workers_on_one_pipe_do_not_mix_lines() -> None:
    """Two processes that share a pipe write batches far above PIPE_BUF and no line is torn."""
    script = (
        "import sys\n"
        "from proxy.telemetry.log_writer import open_log_writer\n"
        "writer = open_log_writer(None)\n"
        "for _ in range(3000): writer.write(sys.argv[1].encode() * 200 + b'\\n')\n"
        "writer.close(30)\n"
    )
    read_fd, write_fd = os.pipe()
    workers = [
        subprocess.Popen([sys.executable, "-c", script, name], stdout=write_fd)
        for name in ("a", "b")
    ]
    os.close(write_fd)
    lines = _read_to_end(read_fd).splitlines()
    os.close(read_fd)

    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert {b"a" * 200, b"b" * 200} == set(lines)
    assert len(lines) == 6000
