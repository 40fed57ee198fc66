"""The caller of campaigns: what it takes for an answer, and its percentiles."""

import asyncio

import pytest

from campaigns.ground.caller import Caller, find_percentile
from campaigns.programs.flood_upstream import HEAD, SMALL
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream


def test_percentiles_are_times_that_were_measured() -> None:
    """So many percent of all are not above it, in whatever order they came."""
    times = [float(n) for n in range(100, 0, -1)]
    assert find_percentile(times, 50) == 51.0
    assert find_percentile(times, 99) == 100.0
    assert find_percentile([7.0], 99) == 7.0


@pytest.mark.parametrize(
    ("answer", "is_good"),
    [
        (SMALL, True),
        (SMALL.replace(b"200 OK", b"503 No"), False),
        (HEAD + b"0\r\n\r\n", False),
        (SMALL[:-9], False),
    ],
    ids=["whole", "refused", "empty", "cut"],
)
async def test_only_whole_streams_count(answer: bytes, is_good: bool) -> None:
    """A caller that is refused or cut off stops the campaign instead of being measured."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(answer)
        connection.close()

    async with open_raw_upstream(script) as upstream:
        caller = Caller(upstream.port)
        try:
            asking = asyncio.to_thread(caller.ask)
            if is_good:
                assert await asking > 0
            else:
                with pytest.raises(AssertionError, match="the caller was"):
                    await asking
        finally:
            caller.close()
