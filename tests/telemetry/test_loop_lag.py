"""A loop that stands still is noticed from outside, once, and told where."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.telemetry import loop_lag
from proxy.telemetry.loop_lag import LagMeter, LoopLag
from tests.promises.tree import ROOT

pytestmark = pytest.mark.both_loops

AFTER_S = 0.05
SECRET = "sk-never-in-a-log-8f3a"


OURS: dict[str, Any] = {}
"""A function that lies in this project as far as its file's name tells."""
_TEXT = "def work(next, *arguments):\n    next(*arguments)\n"
exec(compile(_TEXT, "/x/proxy/made_up.py", "exec"), OURS)


class Incidents:
    """Counts what is told, and lets a blocked loop wait for that."""

    def __init__(self) -> None:
        self.count = 0
        self.told = threading.Event()

    def take(self) -> None:
        """Count one."""
        self.count += 1
        self.told.set()


def hold_up(told: threading.Event, prompt: str) -> None:
    """Keep the loop from turning until that has been told."""
    assert prompt
    assert told.wait(20.0)


async def wait_for_both(lines: list[Any]) -> None:
    """Turn until the other thread has told the begin and the end."""
    async with asyncio.timeout(20.0):
        while len(lines) < 2:  # noqa: ASYNC110  the other thread has no event
            await asyncio.sleep(0)


async def block(incidents: Incidents) -> list[Any]:
    """Hold the loop up once, and return the lines of the log about it and about its end."""
    with capture_logs() as lines:
        OURS["work"](hold_up, incidents.told, SECRET)
        await wait_for_both(lines)
        return list(lines)


async def test_it_is_told_where_the_loop_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the functions, innermost first, and nothing that they work on."""
    monkeypatch.setattr(loop_lag, "WORKED_SHARE", 1e6)  # a loop that waits does not work
    incidents = Incidents()
    lag = LoopLag(incidents.take, AFTER_S)
    begun, ended = await block(incidents)
    lag.close()
    places = begun["where"].split(" < ")
    assert begun["log_level"] == "error"
    assert any(":hold_up" in place and "test_loop_lag.py:" in place for place in places)
    assert begun["called_from"] == "proxy/made_up.py:2:work"
    assert SECRET not in str(begun)
    assert ended["stood_s"] >= AFTER_S
    assert incidents.count == 1


async def test_each_incident_is_told_once() -> None:
    """However long the loop stands it is one; when it has turned again, the next is another."""
    incidents = Incidents()
    lag = LoopLag(incidents.take, AFTER_S)
    for count in (1, 2):
        await block(incidents)
        assert incidents.count == count
        incidents.told.clear()
    lag.close()


def find_long_range() -> range:
    """Return what takes C code longer to add up than an incident takes."""
    numbers, worked_s = 100_000, 0.0
    while worked_s < 4 * AFTER_S:
        numbers *= 2
        begun_s = time.process_time()
        sum(range(numbers))
        worked_s = time.process_time() - begun_s
    return range(numbers)


async def test_a_call_that_keeps_the_interpreter_is_told() -> None:
    """While C code holds the interpreter nobody can look; it is told when that is over."""
    incidents, numbers = Incidents(), find_long_range()
    lag = LoopLag(incidents.take, AFTER_S)
    with capture_logs() as lines:
        OURS["work"](sum, numbers)
        await wait_for_both(lines)
    lag.close()
    assert [line["log_level"] for line in lines] == ["error", "info"]
    assert lines[1]["stood_s"] >= AFTER_S
    assert incidents.count == 1


async def test_a_loop_that_turned_before_anybody_looked_is_told() -> None:
    """An incident counts even if the loop turns again before the watch can see where it stood."""
    incidents, numbers = Incidents(), find_long_range()
    lag = LoopLag(incidents.take, AFTER_S)
    usual_s = sys.getswitchinterval()
    with capture_logs() as lines:
        sys.setswitchinterval(60.0)  # nobody is let in before the beat
        try:
            sum(numbers)
            lag._timer.cancel()
            lag._beat()
        finally:
            sys.setswitchinterval(usual_s)
        await wait_for_both(lines)
    lag.close()
    assert [line["log_level"] for line in lines] == ["error", "info"]
    assert lines[0]["where"] == ""
    assert incidents.count == 1


_STAND_STILL = """
import asyncio, signal, sys
from proxy.telemetry.loop_lag import LoopLag

async def stand_still():
    told = []
    lag = LoopLag(lambda: told.append(1), 0.2)
    loop, told_to_end, looked = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    loop.add_reader(0, told_to_end.set)
    def turn():
        if not looked.is_set():
            loop.call_soon(turn)
    if sys.argv[1] == "busy":
        turn()
    print("begun", flush=True)
    await told_to_end.wait()
    loop.remove_reader(0)
    loop.call_later(0.2, looked.set)
    await looked.wait()
    lag.close()
    print(len(told))

asyncio.run(stand_still())
"""


@pytest.mark.parametrize("load", ["idle", "busy"])
def test_a_process_that_was_stopped_is_no_incident(load: str) -> None:
    """Where the whole process stood still, no place in it is to blame."""
    with subprocess.Popen(
        [sys.executable, "-c", _STAND_STILL, load],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGSTOP)
        threading.Event().wait(0.5)  # more than twice of what is an incident
        child.send_signal(signal.SIGCONT)
        said, _ = child.communicate("\n", timeout=20)
    assert said == "0\n"


async def test_a_loop_that_turns_is_left_alone() -> None:
    """While it turns, nothing is told; after the end nobody looks any more."""
    incidents = Incidents()
    lag = LoopLag(incidents.take, AFTER_S)
    end_s = asyncio.get_running_loop().time() + 3 * AFTER_S
    while asyncio.get_running_loop().time() < end_s:  # noqa: ASYNC110  turning is what it is about
        await asyncio.sleep(0)
    lag.close()
    assert incidents.count == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "loop-lag"]


async def test_each_beat_tells_how_late_it_is() -> None:
    """A loop that is held up tells by how much at its next beat, and goes on from there."""
    beats: asyncio.Queue[tuple[float, float, float]] = asyncio.Queue()
    meter = LagMeter(lambda *beat: beats.put_nowait(beat), AFTER_S)
    async with asyncio.timeout(20.0):
        _, _, before_s = await beats.get()
        threading.Event().wait(3 * AFTER_S)
        late_s, own_s, late_at_s = await beats.get()
        _, _, after_s = await beats.get()
    meter.close()
    assert own_s == 0.0  # it has waited
    assert AFTER_S < late_s < late_at_s - before_s
    assert before_s + AFTER_S <= late_at_s < after_s
    assert after_s - late_at_s >= AFTER_S * 0.9


async def test_a_beat_tells_what_of_its_lag_is_its_own_work() -> None:
    """Who computes for longer than a beat is late by that; what it was away is taken off."""
    beats: asyncio.Queue[tuple[float, float, float]] = asyncio.Queue()
    meter = LagMeter(lambda *beat: beats.put_nowait(beat), AFTER_S)
    async with asyncio.timeout(20.0):
        _, _, before_s = await beats.get()
        begun_s = time.thread_time()
        while time.thread_time() < begun_s + 3 * AFTER_S:
            pass
        worked_s = time.thread_time() - begun_s
        late_s, own_s, late_at_s = await beats.get()
    meter.close()
    away_s = (late_at_s - before_s) - worked_s
    assert late_s - away_s <= own_s <= late_s
    assert own_s > AFTER_S


async def test_a_closed_meter_is_silent() -> None:
    """After the end nothing is told."""
    beats: list[float] = []
    meter = LagMeter(lambda lag_s, own_lag_s, now_s: beats.append(lag_s), AFTER_S)
    meter.close()
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(2 * AFTER_S, over.set)
    await over.wait()
    assert beats == []
