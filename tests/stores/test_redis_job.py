"""Jobs: each ends once, whatever comes, and nobody is told twice."""

import asyncio
from typing import Any

import pytest

from proxy.stores.redis_errors import RedisAway, RedisRefused, RedisUnavailable
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_job import AskedJob, PostedJob, Reply, build_words
from proxy.stores.redis_script import build_script

SCRIPT = build_script("s", "return 1")
WORDS = build_words(SCRIPT, ["k"], [1, 2.5, b"x"])


class Posted:
    """A posted job, and what its two functions were called with."""

    def __init__(self, stumble: Exception | None = None) -> None:
        self.calls: list[Any] = []
        self._stumble = stumble
        self.job = PostedJob(WORDS, SCRIPT.source, 0.0, self._take, self.calls.append)

    def _take(self, reply: Reply) -> None:
        if self._stumble is not None:
            raise self._stumble
        self.calls.append(reply)


def test_a_script_is_asked_for_by_its_digest_and_once_by_its_source() -> None:
    """Keys are counted before the arguments, in both forms."""
    assert ("EVALSHA", SCRIPT.sha1, 1, "k", 1, 2.5, b"x") == WORDS
    assert Posted().job.with_source() == ("EVAL", "return 1", 1, "k", 1, 2.5, b"x")


def test_a_posted_job_ends_once() -> None:
    """After a reply, neither a second one nor a failure is told."""
    posted = Posted()
    posted.job.settle([b"a", 1, None])
    posted.job.settle(2)
    posted.job.fail(RedisAway())
    assert posted.calls == [[b"a", 1, None]]
    assert posted.job.is_over


def test_an_error_is_told_as_a_refusal_of_one_line() -> None:
    """What Redis answers with an error fails the job, its text cut to a line of 200."""
    posted = Posted()
    posted.job.settle(ReplyError("ERR no\nsecond line"))
    posted.job.settle(1)
    assert [str(call) for call in posted.calls] == ["ERR no"]
    assert isinstance(posted.calls[0], RedisRefused)


@pytest.mark.parametrize("stumble", [TypeError("canary"), RuntimeError("canary")])
def test_a_reply_that_cannot_be_read_fails_its_job(stumble: Exception) -> None:
    """What `on_reply` raises is told to `on_fail` once, by its class alone."""
    posted = Posted(stumble)
    posted.job.finish(b"odd")
    assert [type(call) for call in posted.calls] == [RedisRefused]
    assert "canary" not in str(posted.calls[0])


async def test_an_asked_job_wakes_who_awaits_it_once() -> None:
    """The first outcome is the one; an error is handed over as a result."""
    loop = asyncio.get_running_loop()
    first, second = (AskedJob(WORDS, "", 0.0, loop) for _ in range(2))
    first.finish(1)
    first.fail(RedisAway())
    second.fail(RedisAway())
    second.finish(1)
    assert first.is_over
    assert await first.future == 1
    assert isinstance(await second.future, RedisUnavailable)


async def test_a_reply_for_somebody_who_left_is_let_go() -> None:
    """A job whose future was cancelled is over, and takes a reply without complaint."""
    job = AskedJob(WORDS, "", 0.0, asyncio.get_running_loop())
    job.future.cancel()
    assert job.is_over
    job.finish(1)
    job.fail(RedisAway())
