"""The clocks of a stream run out when they should, one at a time, and say which."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.domain.errors import ProxyError
from proxy.domain.settings import Clocks
from proxy.pipeline.stream_clock import StreamClock
from proxy.upstream.deadline import GRACE_TURNS

FOREVER = 3600.0


class Watched:
    """A clock, and what it has called."""

    def __init__(
        self, keep_alive_s: float = FOREVER, spent_s: float = 0.0, **clocks: float
    ) -> None:
        given = {"first_token_s": FOREVER, "idle_s": FOREVER, "total_s": FOREVER, **clocks}
        self.timed_out = asyncio.Event()
        self.codes: list[str | None] = []
        self.silences = 0
        self.on_silence: Callable[[], None] = lambda: None
        self.clock = StreamClock(
            Clocks(**given), keep_alive_s, spent_s, self._timeout, self._silence
        )

    def _timeout(self, error: ProxyError) -> None:
        self.codes.append(error.code)
        self.timed_out.set()

    def _silence(self) -> None:
        self.silences += 1
        self.on_silence()


@pytest.mark.parametrize(
    ("clocks", "has_content", "code"),
    [
        ({"first_token_s": 0.01}, False, "upstream_first_token_timeout"),
        ({"idle_s": 0.01}, True, "upstream_stalled"),
        ({"total_s": 0.01}, True, "upstream_total_timeout"),
        ({"total_s": 0.01}, False, "upstream_total_timeout"),
        ({"first_token_s": 0.0, "idle_s": 0.01}, True, "upstream_stalled"),
    ],
)
async def test_each_clock_runs_out_with_its_own_code(
    clocks: dict[str, float], has_content: bool, code: str
) -> None:
    """Before content the first-token clock holds, after it the idle clock, the total always."""
    watched = Watched(**clocks)
    if has_content:
        watched.clock.note_content()
    await watched.timed_out.wait()
    assert watched.codes == [code]


async def test_events_keep_the_idle_clock_from_running_out() -> None:
    """A stream whose events come in time outlives its idle clock many times over."""
    loop = asyncio.get_running_loop()
    watched = Watched(idle_s=0.05)
    watched.clock.note_content()
    end_s = loop.time() + 0.3
    while loop.time() < end_s:
        watched.clock.note_event()
        await asyncio.sleep(0)
    assert watched.codes == []
    await watched.timed_out.wait()
    assert loop.time() >= end_s + 0.04


async def test_a_client_that_holds_the_stream_up_is_not_the_providers_fault() -> None:
    """While paused the idle clock stands still; after it, silence counts anew."""
    loop = asyncio.get_running_loop()
    watched = Watched(idle_s=0.02)
    watched.clock.note_content()
    watched.clock.note_pause(True)
    later = asyncio.Event()
    loop.call_later(0.1, later.set)
    await later.wait()
    assert watched.codes == []
    watched.clock.note_pause(False)
    await watched.timed_out.wait()
    assert watched.codes == ["upstream_stalled"]


async def test_silence_towards_the_client_is_told_again_and_again() -> None:
    """Once something was written, each `keep_alive_s` without a write calls `on_silence`."""
    watched = Watched(keep_alive_s=0.01)
    thrice = asyncio.Event()
    watched.on_silence = lambda: thrice.set() if watched.silences == 3 else None
    watched.clock.note_write()
    await thrice.wait()
    assert watched.codes == []
    watched.clock.stop()


async def test_writes_keep_the_silence_away() -> None:
    """A client that is written to often gets no comment in between."""
    loop = asyncio.get_running_loop()
    watched = Watched(keep_alive_s=0.05)
    end_s = loop.time() + 0.2
    while loop.time() < end_s:
        watched.clock.note_write()
        await asyncio.sleep(0)
    assert watched.silences == 0
    watched.clock.stop()


async def test_a_stopped_clock_never_calls() -> None:
    """After `stop` nothing is called, whatever runs out and whatever is still noted."""
    watched = Watched(first_token_s=0.01, idle_s=0.01, keep_alive_s=0.01)
    watched.clock.stop()
    watched.clock.note_content()
    watched.clock.note_write()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await watched.timed_out.wait()
    assert watched.silences == 0


async def test_the_first_token_counts_from_dispatch() -> None:
    """Time that the attempt had spent before its head came is part of the wait for content."""
    watched = Watched(first_token_s=100.0, spent_s=99.99)
    await watched.timed_out.wait()
    assert watched.codes == ["upstream_first_token_timeout"]


async def test_a_client_that_does_not_read_is_not_written_to() -> None:
    """While the client holds the stream up, its silence is its own: no comment is added."""
    watched = Watched(keep_alive_s=0.01)
    watched.clock.note_content()
    watched.clock.note_write()
    watched.clock.note_pause(True)
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, later.set)
    await later.wait()
    assert watched.silences == 0
    watched.clock.stop()


async def test_content_in_the_turns_before_the_strike_counts() -> None:
    """The first token's time is up, and it is there a moment later: nothing has run out."""
    watched = Watched(first_token_s=0.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watched.clock.note_content()
    for _ in range(2 * GRACE_TURNS):
        await asyncio.sleep(0)
    assert watched.codes == []
    watched.clock.stop()
