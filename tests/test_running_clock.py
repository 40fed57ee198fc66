"""Promises about time are not broken by a machine that stands still, and by all else they are."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.promises.tree import ROOT
from tests.running_clock import TICK_S, RunningLoop

STOPPED_S = 0.3
_TELL_TIMES = """
import sys, time
from tests.running_clock import RunningClock
clock = RunningClock()
began_s, running_s = time.monotonic(), clock.now_s()
print("begun", flush=True)
sys.stdin.readline()
print(time.monotonic() - began_s, clock.now_s() - running_s)
"""
_WORK_BESIDE_OTHERS = """
import os, subprocess, sys, time
from tests.running_clock import RunningClock
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
clock = RunningClock()
began_s, running_s, used_s = time.monotonic(), clock.now_s(), time.process_time()
while time.process_time() - used_s < 0.2:
    clock.now_s()
print(time.monotonic() - began_s, clock.now_s() - running_s, time.process_time() - used_s)
for other in others:
    other.kill()
    other.wait()
"""


def test_it_stands_while_the_process_is_stopped() -> None:
    """Of a process that was stopped it tells what it ran, where others tell all of it."""
    with subprocess.Popen(
        [sys.executable, "-c", _TELL_TIMES],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            os.sched_yield()
        threading.Event().wait(STOPPED_S)  # nothing announces that time has passed
        child.send_signal(signal.SIGCONT)
        said, _ = child.communicate("\n", timeout=20)
    all_s, ran_s = map(float, said.split())
    assert all_s >= STOPPED_S
    assert ran_s <= all_s - STOPPED_S + 3 * TICK_S


def test_a_turn_of_others_is_not_counted() -> None:
    """Where three share one CPU each tells the third of the time that it had."""
    said = subprocess.check_output(
        [sys.executable, "-c", _WORK_BESIDE_OTHERS], cwd=ROOT, text=True, timeout=60
    )
    all_s, ran_s, used_s = map(float, said.split())
    assert all_s >= 1.5 * used_s
    assert ran_s <= 1.2 * used_s + 3 * TICK_S


async def test_a_loop_that_is_held_up_is_no_machine_that_stands_still() -> None:
    """The loops of tests count work, also if it lets no other thread run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, RunningLoop)
    began_s, used_s = loop.time(), time.process_time()
    sum(range(5_000_000))
    used_s = time.process_time() - used_s
    assert loop.time() - began_s >= 0.9 * used_s  # two clocks of the kernel, read one by one


async def test_timers_go_by_it() -> None:
    """A timer calls when its time is over by this clock, and not before."""
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    began_s = loop.time()
    loop.call_later(0.02, called.set)
    await called.wait()
    assert loop.time() - began_s >= 0.02
