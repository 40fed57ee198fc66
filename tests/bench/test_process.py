"""Tests of starting, watching and stopping a process tree."""

import os
import socket
import sys
from pathlib import Path

import pytest

from bench.process import (
    StartedProcess,
    read_core_busy_ns,
    read_cpu_ns,
    read_cpu_ticks,
    read_rss_bytes,
)

PARENT_AND_CHILD = """
import os, socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
names = ",".join(sorted(os.environ))
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as up:
    up.sendall(names.encode() + b"\\n")
    up.recv(1)
"""


def start_tree(
    tmp_path: Path, cores: tuple[int, ...] = ()
) -> tuple[StartedProcess, socket.socket, str]:
    """Start a program with one child and return it once both are up, with its variables."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = str(listener.getsockname()[1])
        process = StartedProcess(
            [sys.executable, "-c", PARENT_AND_CHILD, port],
            log_file=tmp_path / "log",
            cores=cores,
            cwd=tmp_path,
            variables={"ADDED": "1"},
        )
        connection, _ = listener.accept()
    return process, connection, connection.makefile().readline().strip()


def test_a_child_belongs_to_the_tree_and_ends_with_it(tmp_path: Path) -> None:
    """Parent and child are both found, have memory, and are both gone after stop()."""
    process, connection, _ = start_tree(tmp_path)
    with connection, process:
        pids = process.find_pids()
        assert len(pids) == 2
        assert read_rss_bytes(pids) > read_rss_bytes(pids[:1]) > 0
    assert process.find_pids() == []
    assert process.exit_status is not None


def test_children_are_told_apart_by_a_word(tmp_path: Path) -> None:
    """Of what a program has started only those count that were started with the word."""
    process, up, _ = start_tree(tmp_path)
    with process, up:
        assert len(process.find_children()) == 1
        assert process.find_children("-c") == process.find_children()
        assert process.find_children("proxy.worker") == []


def test_the_whole_tree_stays_on_its_core(tmp_path: Path) -> None:
    """Parent and child may run on the given core only."""
    core = max(os.sched_getaffinity(0))
    process, connection, _ = start_tree(tmp_path, (core,))
    with connection, process:
        assert [{core}, {core}] == [os.sched_getaffinity(pid) for pid in process.find_pids()]


def test_the_operators_variables_stay_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A started program sees the kept and the added variables, never a key of the operator's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    process, connection, names = start_tree(tmp_path)
    with connection, process:
        assert "ADDED" in names.split(",")
        assert "OPENAI_API_KEY" not in names.split(",")


def test_the_end_of_the_log_is_kept(tmp_path: Path) -> None:
    """What a program prints last can be read after its end."""
    code = "import sys; print('first'); print('last', file=sys.stderr); sys.exit(3)"
    process = StartedProcess(
        [sys.executable, "-u", "-c", code], log_file=tmp_path / "log", cores=(), cwd=tmp_path
    )
    process.wait(10)
    assert process.exit_status == 3
    assert process.read_log_tail(lines=1) == "last"


def test_cpu_time_grows_with_work() -> None:
    """Work of this process shows in its CPU time and in the time its core was busy."""
    core = min(os.sched_getaffinity(0))
    before_ns, busy_ns = read_cpu_ns([os.getpid()]), read_core_busy_ns(core)
    while read_cpu_ns([os.getpid()]) - before_ns < 20_000_000:
        sum(range(10_000))
    assert read_core_busy_ns(core) >= busy_ns > 0


TICKS = 25
"""Enough of them that it does not matter where each falls: the kernel only looks now and then."""


def test_time_in_the_kernel_is_told_from_a_programs_own() -> None:
    """What only computes adds to the first figure, what only calls the kernel to the second."""
    begun = read_cpu_ticks([os.getpid()])
    while read_cpu_ticks([os.getpid()])[0] < begun[0] + TICKS:
        sum(range(10_000))
    computed = read_cpu_ticks([os.getpid()])
    with Path("/dev/zero").open("rb", buffering=0) as zeros:
        buffer = bytearray(16_000_000)
        while read_cpu_ticks([os.getpid()])[1] < computed[1] + TICKS:
            zeros.readinto(buffer)
    called = read_cpu_ticks([os.getpid()])
    assert computed[0] - begun[0] > computed[1] - begun[1]
    assert called[1] - computed[1] > called[0] - computed[0]


def test_a_process_that_has_gone_counts_nothing() -> None:
    """An id that no process has any more has no CPU time and no memory."""
    assert (read_cpu_ns([2**30]), read_rss_bytes([2**30])) == (0, 0)
    assert read_cpu_ticks([2**30]) == (0, 0)
