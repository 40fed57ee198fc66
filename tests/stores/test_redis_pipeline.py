"""A round trip for many jobs: every job is settled once, by its own reply."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.stores.redis_address import parse_address
from proxy.stores.redis_connection import RedisConnection
from proxy.stores.redis_errors import RedisAway, RedisRefused, RedisTimeout
from proxy.stores.redis_job import PostedJob, build_words
from proxy.stores.redis_pipeline import Sent, send_jobs
from proxy.stores.redis_script import Script, build_script
from tests.fakes.redis_server import RedisServer
from tests.fakes.scripted_redis import Words, answering, scripted_redis
from tests.stores.links import ECHO, PATIENT_S, WRITE

pytestmark = pytest.mark.both_loops
OTHER = build_script("other", "return ARGV[1] .. ARGV[1]")


class Batch:
    """Jobs of a pipeline, and how each of them ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, Any]] = []
        self.jobs: list[PostedJob] = []

    def add(self, script: Script, *args: str) -> None:
        """Add a job that runs a script."""
        words, number = build_words(script, ["k"], args), len(self.jobs)
        self.jobs.append(PostedJob(words, script.source, 0.0, self._end(number), self._end(number)))

    def in_order(self) -> list[Any]:
        """Return the outcomes by the order of the jobs, each of which has exactly one."""
        assert sorted(number for number, _ in self.ends) == list(range(len(self.jobs)))
        return [outcome for _, outcome in sorted(self.ends, key=lambda end: end[0])]

    def _end(self, number: int) -> Callable[[Any], None]:
        return lambda outcome: self.ends.append((number, outcome))


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisConnection]:
    """Return an open connection to the real server."""
    connection = RedisConnection(parse_address(redis_server.url))
    await connection.open()
    yield connection
    await connection.drop()


async def send_to(answer: Callable[[Words], bytes | None], batch: Batch) -> Sent:
    """Send a batch to a server that answers so."""
    async with scripted_redis(answer) as url:
        connection = RedisConnection(parse_address(url))
        await connection.open()
        sent = await send_jobs(connection, batch.jobs, PATIENT_S)
        assert connection.is_open == (sent.fault is None)
        await connection.drop()
    return sent


async def test_scripts_that_redis_does_not_know_are_taught_at_once(
    redis_server: RedisServer, connection: RedisConnection
) -> None:
    """Of two unknown scripts with several jobs each, every job has its own reply at first go."""
    batch = Batch()
    for number in range(6):
        batch.add((ECHO, OTHER)[number % 2], str(number))
    sent = await send_jobs(connection, batch.jobs, PATIENT_S)
    assert batch.in_order() == [[b"k", b"0"], b"11", [b"k", b"2"], b"33", [b"k", b"4"], b"55"]
    assert (sent.replies, sent.fault) == (6, None)
    known = redis_server.command("SCRIPT", "EXISTS", ECHO.sha1, OTHER.sha1)
    assert known == [1, 1]


async def test_a_script_that_is_never_kept_is_refused() -> None:
    """NOSCRIPT again and again ends after three rounds, and says nothing against Redis."""
    batch = Batch()
    batch.add(ECHO, "1")
    unknown = b"-NOSCRIPT No matching script.\r\n"
    sent = await send_to(answering(EVALSHA=unknown, EVAL=unknown), batch)
    assert [type(end) for end in batch.in_order()] == [RedisRefused]
    assert sent.fault is None


async def test_a_job_of_which_the_reply_is_an_error_fails_alone(
    connection: RedisConnection,
) -> None:
    """A script that breaks down is refused; those before and after it have their replies."""
    batch = Batch()
    batch.add(OTHER, "a")
    batch.add(build_script("broken", "return nothing.at_all"), "b")
    batch.add(OTHER, "c")
    sent = await send_jobs(connection, batch.jobs, PATIENT_S)
    first, error, last = batch.in_order()
    assert (first, last) == (b"aa", b"cc")
    assert isinstance(error, RedisRefused)
    assert sent.fault is None


async def test_a_job_that_cannot_be_written_down_fails_alone(
    connection: RedisConnection,
) -> None:
    """A word that is no text is refused before anything is sent; the others are done."""
    batch = Batch()
    batch.add(ECHO, "a")
    batch.add(ECHO, "\ud800")
    batch.add(ECHO, "c")
    sent = await send_jobs(connection, batch.jobs, PATIENT_S)
    first, error, last = batch.in_order()
    assert (first, last) == ([b"k", b"a"], [b"k", b"c"])
    assert isinstance(error, RedisRefused)
    assert (sent.replies, sent.fault) == (2, None)


async def test_a_replica_is_no_place_to_write(own_redis_server: RedisServer) -> None:
    """READONLY fails the jobs that write, counts each, and has the connection dropped."""
    connection = RedisConnection(parse_address(own_redis_server.url))
    await connection.open()
    own_redis_server.command("REPLICAOF", "127.0.0.1", 1)
    batch = Batch()
    batch.add(WRITE, "1")
    batch.add(ECHO, "2")
    batch.add(WRITE, "3")
    sent = await send_jobs(connection, batch.jobs, PATIENT_S)
    first, echo, last = batch.in_order()
    assert isinstance(first, RedisRefused) and isinstance(last, RedisRefused)
    assert echo == [b"k", b"2"]
    assert sent.fault is not None
    assert (sent.fault.kind, sent.times) == ("refused", 2)
    assert not connection.is_open


async def test_a_connection_lost_on_the_way_fails_what_has_no_reply() -> None:
    """Replies that came are given out; the rest may have been done, and is not sent again."""
    asked: list[Words] = []

    def answer(words: Words) -> bytes | None:
        asked.append(words)
        return b":1\r\n" if len(asked) < 3 else None

    batch = Batch()
    for number in range(4):
        batch.add(ECHO, str(number))
    sent = await send_to(answer, batch)
    assert [type(end) for end in batch.in_order()] == [int, int, RedisAway, RedisAway]
    assert len(asked) == 3
    assert sent.fault is not None and sent.fault.kind == "lost"


async def test_silence_fails_all_and_is_a_timeout(own_redis_server: RedisServer) -> None:
    """A frozen Redis costs one clock for the whole pipeline, and the connection."""
    connection = RedisConnection(parse_address(own_redis_server.url))
    await connection.open()
    own_redis_server.freeze()
    batch = Batch()
    batch.add(ECHO, "1")
    batch.add(ECHO, "2")
    sent = await send_jobs(connection, batch.jobs, 0.05)
    assert [type(end) for end in batch.in_order()] == [RedisTimeout, RedisTimeout]
    assert sent.fault is not None
    assert (sent.fault.kind, sent.fault.waited_s) == ("timeout", 0.05)
    assert not connection.is_open


async def test_a_loop_that_stood_still_is_not_held_against_redis(
    connection: RedisConnection,
) -> None:
    """Where the clock goes off late because this process was busy, the reply is read first."""
    batch = Batch()
    batch.add(ECHO, "1")
    sending = asyncio.create_task(send_jobs(connection, batch.jobs, 0.1))
    while not batch.jobs[0].is_sent:  # noqa: ASYNC110  one turn of the loop away
        await asyncio.sleep(0)
    threading.Event().wait(0.3)
    sent = await sending
    assert batch.in_order() == [[b"k", b"1"]]
    assert sent.fault is None


async def test_cancelled_it_has_settled_all_and_dropped_the_connection(
    own_redis_server: RedisServer,
) -> None:
    """Who closes the link in the middle of a round trip leaves no job without its end."""
    connection = RedisConnection(parse_address(own_redis_server.url))
    await connection.open()
    own_redis_server.freeze()
    batch = Batch()
    batch.add(ECHO, "1")
    sending = asyncio.create_task(send_jobs(connection, batch.jobs, PATIENT_S))
    while not batch.jobs[0].is_sent:  # noqa: ASYNC110  one turn of the loop away
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [type(end) for end in batch.in_order()] == [RedisAway]
    assert not connection.is_open
