"""The campaign of cancellations: what it counts, and that it would see an answer gone astray."""

import asyncio
from collections import deque

from campaigns.cancellations import ON_REDIS, ON_UPSTREAM, Part, build_request, build_result
from campaigns.ground.cancelling import Tally, cancel_at_random
from campaigns.programs.echo_upstream import PIECES, build_body
from tests.faults.oracle import read_tag


class CarelessLink:
    """A connection whose replies go to who reads next: a cancelled ask leaves its own behind."""

    def __init__(self) -> None:
        self._replies: deque[str] = deque()

    async def ask(self, tag: str) -> str | None:
        """Return what is wrong with the reply."""
        self._replies.append(tag)
        await asyncio.sleep(0)
        reply = self._replies.popleft()
        return None if reply == tag else f"{reply} for {tag}"


async def ask_well(tag: str) -> str | None:
    """Be cancelled without a trace."""
    await asyncio.sleep(0)
    return None


async def fail(tag: str) -> str | None:
    """End with an error where there is time enough."""
    await asyncio.sleep(0)
    raise ConnectionResetError


async def test_an_answer_that_went_astray_is_seen() -> None:
    """A connection that keeps the reply of a cancelled ask is found out."""
    tally = await cancel_at_random(CarelessLink().ask, 20, 3, (), seed=1)
    assert tally.cancelled >= 20
    assert tally.complaints


async def test_good_answers_are_counted() -> None:
    """As many are cancelled as are wanted, the others are answered, and nothing is wrong."""
    tally = await cancel_at_random(ask_well, 20, 3, (), seed=1)
    assert 20 <= tally.cancelled < 20 + 3
    assert tally.answered
    assert tally.complaints == []


async def test_expected_errors_are_counted_by_name() -> None:
    """An ask may end with one of the errors that were named."""
    tally = await cancel_at_random(fail, 5, 2, (ConnectionResetError,), seed=1)
    assert tally.failed["ConnectionResetError"]
    assert tally.answered == 0


def test_a_request_tells_its_tag_and_its_answer_repeats_it() -> None:
    """The upstream finds the tag in what is asked, and an answer in pieces is cut evenly."""
    tag = b"tag-00000012"
    assert read_tag(build_request(4000, tag.decode()).body) == tag
    body = build_body(tag)
    assert set(body.split()) == {tag}
    assert len(body) // PIECES >= len(tag)


def test_a_good_run_passes() -> None:
    """With all cancellations, answers in between and nothing left, every check holds."""
    parts = [Part(Tally(wanted, wanted), 1.0) for wanted in (ON_REDIS, ON_UPSTREAM)]
    result = build_result(*parts)
    assert result.failures == []
    assert "1,000,000 requests were cancelled" in result.notes[0]


def test_each_fault_fails_its_row() -> None:
    """A crossed answer, too few cancellations, too few answers and a leak are each told."""
    good = Part(Tally(ON_REDIS, ON_REDIS), 1.0)
    bad = Part(Tally(1, 0, ["tag-00000001 for tag-00000002"]), 1.0, ["1 slots of the cap"])
    result = build_result(good, bad)
    assert len(result.failures) == 4
    assert all(cells[0] == "ok" for cells in result.rows.values())
