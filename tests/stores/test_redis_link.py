"""The link as a whole, against a real Redis that is killed, frozen, flushed and turned about."""

import asyncio
import random
import subprocess
import sys
from typing import Any

import pytest

from proxy.stores import redis_link
from proxy.stores.redis_errors import (
    RedisAway,
    RedisBusy,
    RedisRefused,
    RedisTimeout,
    RedisUnavailable,
)
from proxy.stores.redis_link import MAX_QUEUED, POST_WAIT_S, RedisLink
from tests.fakes.redis_server import RedisServer
from tests.fakes.scripted_redis import Words, answering, scripted_redis
from tests.fakes.tls_relay import AUTHORITY, relaying_tls
from tests.stores.links import ECHO, SOON_S, WRITE, Watched, linked

pytestmark = pytest.mark.both_loops
OPEN = ("warning", "redis OPEN")
CLOSED = ("info", "redis CLOSED")
JOINED = ("info", "redis is joined")
STILL_AWAY = ("warning", "redis is still away")
CANARY = "canary-7c2f"


class SetClock:
    """A loop's clock that a test sets."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


async def echo(link: RedisLink, tag: str) -> bool:
    """Whether a tagged job came back with its own tag; one that is not done is right too."""
    try:
        return await link.run(ECHO, [tag], [tag]) == [tag.encode(), tag.encode()]
    except RedisUnavailable:
        return True


async def press(watched: Watched, *, until: asyncio.Event) -> int:
    """Have jobs run all the time until something has happened; return how many were done."""
    done = 0
    async with asyncio.timeout(SOON_S):
        while not until.is_set():
            assert await echo(watched.link, str(done))
            done += 1
            await asyncio.sleep(0)
    return done


async def wait_for_errors(link: RedisLink, count: int) -> None:
    """Return once so many attempts to come back have failed."""
    async with asyncio.timeout(SOON_S):
        while link.errors < count:  # noqa: ASYNC110  each attempt is counted
            await asyncio.sleep(0)


def fail_at_once(link: RedisLink) -> None:
    """Check that a job fails before it has waited for anything."""
    asking = link.run(ECHO, ["k"], ["v"])
    with pytest.raises(RedisAway):
        asking.send(None)


async def test_jobs_run_and_come_back_each_with_its_own_reply(redis_server: RedisServer) -> None:
    """Scripts and commands asked for at the same time all have their replies."""
    async with linked(redis_server.url) as watched:
        replies = await asyncio.gather(*(watched.link.run(ECHO, [f"{n}"], [n]) for n in range(300)))
        assert replies == [[f"{n}".encode(), f"{n}".encode()] for n in range(300)]
        assert await watched.link.command("PING") == b"PONG"
        assert watched.link.state == "joined"
        assert (watched.link.ops, watched.link.errors, watched.link.timeouts) == (301, 0, 0)
    assert watched.told == [JOINED]


async def test_jobs_of_one_turn_travel_together() -> None:
    """What is asked for in one turn of the loop arrives as one piece, however many asked."""
    pieces: list[int] = []

    def answer(words: Words) -> bytes | None:
        pieces.append(1)
        return answering()(words) if words[0] != b"ECHO" else b":%d\r\n" % len(pieces)

    async with scripted_redis(answer) as url, linked(url) as watched:
        asked = [watched.link.command("ECHO", n) for n in range(50)]
        replies = await asyncio.gather(*asked)
        first = len(pieces) - 49
        assert replies == list(range(first, first + 50))
        assert watched.link.ops == 50


async def test_posted_jobs_call_one_of_their_functions(redis_server: RedisServer) -> None:
    """A reply is handed over, an unreadable one and an error are failures; nothing is awaited."""
    ends: asyncio.Queue[Any] = asyncio.Queue()

    def stumble(reply: object) -> None:
        raise TypeError(CANARY)

    async with linked(redis_server.url) as watched:
        watched.link.post(ECHO, ["a"], [1], ends.put_nowait, ends.put_nowait)
        watched.link.post(ECHO, ["b"], [2], stumble, ends.put_nowait)
        watched.link.post(WRITE, ["{a}"], [], ends.put_nowait, ends.put_nowait)
        assert ends.empty()
        async with asyncio.timeout(SOON_S):
            first, second, third = [await ends.get() for _ in range(3)]
    assert first == [b"a", b"1"]
    assert isinstance(second, RedisRefused) and CANARY not in str(second)
    assert isinstance(third, RedisRefused)
    assert watched.told == [JOINED]


@pytest.mark.parametrize(("age_s", "is_sent"), [(0.0, True), (0.249, True), (0.251, False)])
def test_a_posted_job_is_sent_within_a_quarter_second_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, age_s: float, is_sent: bool
) -> None:
    """What has waited longer in the queue tells stale news: it fails as busy, and is not sent."""
    # As it was imported: conftest.py has it be longer.
    monkeypatch.setattr(redis_link, "POST_WAIT_S", POST_WAIT_S)
    clock = SetClock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    ends: list[Any] = []
    link = RedisLink("redis://nowhere.test")
    link._state = "joined"
    link.post(ECHO, ["k"], [1], ends.append, ends.append)
    clock.now_s += age_s
    link.post(ECHO, ["k"], [2], ends.append, ends.append)
    taken = [job.words[-1] for job in link._take()]
    assert taken == ([1, 2] if is_sent else [2])
    assert [type(end) for end in ends] == ([] if is_sent else [RedisBusy])
    assert link.busy == len(ends)


async def test_a_flush_of_scripts_is_not_seen(redis_server: RedisServer) -> None:
    """After SCRIPT FLUSH and FLUSHALL every job has its reply at first go (row I6)."""
    async with linked(redis_server.url) as watched:
        for _ in range(3):
            redis_server.command("SCRIPT", "FLUSH")
            redis_server.command("FLUSHALL")
            replies = await asyncio.gather(*(watched.link.run(ECHO, ["k"], [n]) for n in range(9)))
            assert replies == [[b"k", str(n).encode()] for n in range(9)]
        assert watched.link.errors == 0


async def test_away_at_the_start_it_joins_when_redis_comes(own_redis_server: RedisServer) -> None:
    """Starting waits for nothing; one warning; jobs fail at once; then it joins (row I1)."""
    own_redis_server.kill()
    async with linked(own_redis_server.url, is_there=False) as watched:
        states = [watched.link.state]
        fail_at_once(watched.link)
        assert not await watched.link.wait_joined(0.2)
        states.append(watched.link.state)
        assert states == ["starting", "away"]
        fail_at_once(watched.link)
        own_redis_server.start()
        assert await watched.link.wait_joined(SOON_S)
        assert await watched.link.run(ECHO, ["k"], [1]) == [b"k", b"1"]
    assert watched.told == [OPEN, CLOSED]
    assert watched.changes == ["joined"]


async def test_killed_under_load_nothing_fails_in_another_way(
    own_redis_server: RedisServer,
) -> None:
    """
    Jobs under way when Redis is killed end by one of the four errors, later ones at once;
    after a restart it is joined again, with one line for each change (row I2).
    """
    async with linked(own_redis_server.url) as watched:
        for _ in range(2):
            pressing = [asyncio.create_task(press(watched, until=watched.left)) for _ in range(20)]
            await echo(watched.link, "first")
            own_redis_server.kill()
            assert sum(await asyncio.gather(*pressing)) > 0
            fail_at_once(watched.link)
            assert watched.link.state == "away"
            own_redis_server.start()
            await watched.wait_joined()
            assert await watched.link.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
    assert watched.told == [JOINED, OPEN, CLOSED, OPEN, CLOSED]
    assert watched.changes == ["joined", "left", "joined", "left", "joined"]


async def test_posts_are_told_when_redis_is_killed(own_redis_server: RedisServer) -> None:
    """Every posted job ends, also those that were queued or under way, and those posted later."""
    ends: list[Any] = []
    async with linked(own_redis_server.url) as watched:
        own_redis_server.kill()
        for n in range(1000):
            watched.link.post(ECHO, ["k"], [n], ends.append, ends.append)
        await watched.wait_left()
        watched.link.post(ECHO, ["k"], [1], ends.append, ends.append)
        assert len(ends) == 1001
        assert all(isinstance(end, RedisAway) for end in ends)


async def test_frozen_it_is_left_also_if_nobody_minds(own_redis_server: RedisServer) -> None:
    """
    Round trips that never end open the breaker after 250 ms of them, whether or not who asked
    swallows the error; thawed, it is joined again and no old reply meets a new job (row I3).
    """
    async with linked(own_redis_server.url, operation_s=0.05) as watched:
        own_redis_server.freeze()
        await press(watched, until=watched.left)
        assert watched.link.timeouts == 5
        fail_at_once(watched.link)
        own_redis_server.thaw()
        await watched.wait_joined()
        assert all(await asyncio.gather(*(echo(watched.link, f"new{n}") for n in range(50))))
    assert watched.told == [JOINED, OPEN, CLOSED]
    assert watched.lines[-1]["redis"] == f"127.0.0.1:{own_redis_server.port}"


async def test_paused_it_is_left_and_comes_back(own_redis_server: RedisServer) -> None:
    """CLIENT PAUSE for a second is silence like any other (row I3)."""
    async with linked(own_redis_server.url, operation_s=0.05) as watched:
        own_redis_server.command("CLIENT", "PAUSE", 1000, "ALL")
        await press(watched, until=watched.left)
        await watched.wait_joined()
    assert watched.told == [JOINED, OPEN, CLOSED]


async def test_a_caller_has_a_clock_of_its_own(own_redis_server: RedisServer) -> None:
    """Who waits less than a round trip may take has its timeout; the link is not left for it."""
    async with linked(own_redis_server.url) as watched:
        own_redis_server.freeze()
        with pytest.raises(RedisTimeout):
            await watched.link.run(ECHO, ["k"], ["early"], wait_s=0.02)
        own_redis_server.thaw()
        reply = await watched.link.run(ECHO, ["k"], ["late"])
        assert reply == [b"k", b"late"]
        assert watched.link.timeouts == 0
    assert watched.told == [JOINED]


async def test_made_a_replica_it_is_left_until_it_takes_writes(
    own_redis_server: RedisServer,
) -> None:
    """
    READONLY is a hard error, and a replica that answers PING is not joined; promoted, it is
    (row I5).
    """
    async with linked(own_redis_server.url) as watched:
        own_redis_server.command("REPLICAOF", "127.0.0.1", 1)
        for _ in range(3):
            with pytest.raises(RedisRefused, match="READONLY"):
                await watched.link.run(WRITE, ["k"], ["v"])
        await watched.wait_left()
        assert watched.told == [JOINED, OPEN]
        assert "replica" in watched.lines[-1]["reason"]
        own_redis_server.command("REPLICAOF", "NO", "ONE")
        await watched.wait_joined()
        assert await watched.link.run(WRITE, ["k"], ["v"]) == b"OK"
    assert watched.told == [JOINED, OPEN, CLOSED]


@pytest.mark.parametrize(
    "error", ["LOADING x", "MASTERDOWN x", "MOVED 1 a:1", "NOAUTH x", "NOPERM x", "CLUSTERDOWN x"]
)
async def test_hard_errors_leave_it(error: str) -> None:
    """Three answers of this kind in a row open the breaker; it joins as soon as they end."""
    is_well = False

    def answer(words: Words) -> bytes | None:
        if is_well or words[0] != b"EVALSHA":
            return answering(EVALSHA=b":1\r\n")(words)
        return f"-{error}\r\n".encode()

    async with scripted_redis(answer) as url, linked(url) as watched:
        for _ in range(3):
            with pytest.raises(RedisUnavailable):
                await watched.link.run(ECHO, ["k"], ["v"])
        await watched.wait_left()
        assert watched.link.errors == 3
        is_well = True
        await watched.wait_joined()
        assert await watched.link.run(ECHO, ["k"], ["v"]) == 1
    assert watched.told == [JOINED, OPEN, CLOSED]


async def test_a_burst_is_degraded_and_does_not_open_the_breaker(
    redis_server: RedisServer,
) -> None:
    """Of more jobs than the queue holds some are busy, none is crossed; it stays joined (I7)."""
    async with linked(redis_server.url) as watched:
        outcomes = await asyncio.gather(
            *(watched.link.run(ECHO, [f"{n}"], [n]) for n in range(5000)), return_exceptions=True
        )
        for n, outcome in enumerate(outcomes):
            tag = str(n).encode()
            assert outcome == [tag, tag] or isinstance(outcome, RedisBusy), outcome
        busy = sum(isinstance(outcome, RedisBusy) for outcome in outcomes)
        assert watched.link.busy == busy >= 5000 - MAX_QUEUED
        assert watched.link.is_joined
    assert watched.told == [JOINED]


async def test_who_waits_too_long_for_a_turn_is_degraded_alone(
    own_redis_server: RedisServer,
) -> None:
    """Behind a round trip that hangs a job is given up before it is sent, and not counted (I7)."""
    async with linked(own_redis_server.url, operation_s=1.0) as watched:
        own_redis_server.freeze()
        hanging = asyncio.create_task(watched.link.run(ECHO, ["k"], ["first"], wait_s=SOON_S))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RedisBusy):
            await watched.link.run(ECHO, ["k"], ["second"], wait_s=0.01)
        own_redis_server.thaw()
        assert await hanging == [b"k", b"first"]
        assert (watched.link.busy, watched.link.timeouts) == (1, 0)
    assert watched.told == [JOINED]


async def test_cancelled_jobs_leave_no_reply_for_another(redis_server: RedisServer) -> None:
    """
    Of thousands of tagged jobs that are cancelled at every point, no reply reaches another job
    (row I8).
    """
    draw = random.Random(8)
    async with linked(redis_server.url) as watched:
        for batch in range(40):
            asking = [asyncio.create_task(echo(watched.link, f"{batch}-{n}")) for n in range(100)]
            for task in draw.sample(asking, 60):
                for _ in range(draw.randrange(3)):
                    await asyncio.sleep(0)
                task.cancel()
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            assert all(o is True or isinstance(o, asyncio.CancelledError) for o in outcomes)
        assert watched.link.errors == 0
    assert watched.told == [JOINED]


async def test_a_connection_that_redis_closed_while_idle_is_not_missed(
    redis_server: RedisServer,
) -> None:
    """The next job finds it closed before it is sent, and travels over a new one."""
    async with linked(redis_server.url) as watched:
        for n in range(3):
            redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0)
            assert await echo(watched.link, str(n))
    assert watched.told == [JOINED]


@pytest.mark.parametrize("sent", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", None])
async def test_what_is_no_reply_costs_its_pipeline_and_no_more(sent: bytes | None) -> None:
    """Nonsense fails its jobs and drops the connection; the owner goes on with the next."""
    answers = [sent, b":1\r\n"]

    def answer(words: Words) -> bytes | None:
        return answers.pop(0) if words[0] == b"EVALSHA" else answering()(words)

    async with scripted_redis(answer) as url, linked(url) as watched:
        with pytest.raises(RedisAway):
            await watched.link.run(ECHO, ["k"], ["v"])
        assert await watched.link.run(ECHO, ["k"], ["v"]) == 1
    assert watched.told == [JOINED]


async def test_it_speaks_tls_and_over_a_socket(redis_server: RedisServer) -> None:
    """The same link works over TLS with an authority of one's own, and over a Unix socket."""
    async with relaying_tls(redis_server.port) as port:
        for url in (f"rediss://localhost:{port}?ssl_ca_certs={AUTHORITY}", redis_server.unix_url):
            async with linked(url) as watched:
                assert await watched.link.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]


async def test_a_wrong_password_is_told_without_it(own_redis_server: RedisServer) -> None:
    """One warning says that Redis knows no such user; no line holds the password or the URL."""
    own_redis_server.command("ACL", "SETUSER", "ann", "on", ">sesame", "+@all", "~*", "&*")
    url = own_redis_server.url_for("ann", CANARY)
    async with linked(url, is_there=False) as watched:
        await wait_for_errors(watched.link, 2)
        with pytest.raises(RedisAway) as away:
            await watched.link.run(ECHO, ["k"], ["v"])
        own_redis_server.command("ACL", "SETUSER", "ann", f">{CANARY}")
        await watched.wait_joined()
    assert watched.told == [OPEN, CLOSED]
    assert watched.lines[0]["reason"] == "it knows no such user with that password"
    assert CANARY not in f"{watched.lines}{away.value!r}"


async def test_attempts_to_come_back_are_counted_and_a_new_reason_is_told_once(
    own_redis_server: RedisServer,
) -> None:
    """While it is away each attempt counts; that it refuses the user now is one more warning."""
    own_redis_server.kill()
    faults: list[None] = []
    async with linked(own_redis_server.url_for("ann", CANARY), is_there=False) as watched:
        watched.link.on_fault = lambda: faults.append(None)
        await wait_for_errors(watched.link, 2)
        assert watched.told == [OPEN]
        own_redis_server.start()
        await wait_for_errors(watched.link, len(faults) + 4)
        assert len(faults) == watched.link.errors + watched.link.timeouts
    assert watched.told == [OPEN, STILL_AWAY]
    assert [line["reason"] for line in watched.lines if line["log_level"] == "warning"] == [
        "nothing listens there",
        "it knows no such user with that password",
    ]


async def test_reasons_that_alternate_do_not_flood_the_log() -> None:
    """Of attempts that fail for another reason each time two are told in a minute: one anew."""
    reasons = [b"-LOADING x\r\n", b"-MASTERDOWN x\r\n"]
    attempts = iter(range(99))

    def answer(words: Words) -> bytes | None:
        return answering(PING=reasons[next(attempts) % 2] if words[0] == b"PING" else b"")(words)

    async with scripted_redis(answer) as url, linked(url, is_there=False) as watched:
        await wait_for_errors(watched.link, 5)
    assert watched.told == [OPEN, STILL_AWAY]
    assert watched.lines[1]["reason"] == "it is a replica that has lost its master"


async def test_channels_are_heard_again_after_redis_was_away(
    own_redis_server: RedisServer,
) -> None:
    """What is published reaches the function of its channel, before and after a restart."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    link = RedisLink(own_redis_server.url)
    link.subscribe("news", heard.put_nowait)
    link.start()
    async with asyncio.timeout(SOON_S):
        for message in ("before", "after"):
            while own_redis_server.command("PUBLISH", "news", message) == 0:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert await heard.get() == message.encode()
            own_redis_server.kill()
            own_redis_server.start()
    await link.close()


async def test_closing_sends_what_was_posted(redis_server: RedisServer) -> None:
    """Posted jobs are done before the link ends; afterwards jobs fail at once."""
    ends: list[Any] = []
    async with linked(redis_server.url) as watched:
        for n in range(1000):
            watched.link.post(ECHO, ["k"], [n], ends.append, ends.append)
        await watched.link.close(within_s=SOON_S)
        assert ends == [[b"k", str(n).encode()] for n in range(1000)]
        assert watched.link.state == "ended"
        fail_at_once(watched.link)


async def test_closing_does_not_wait_for_a_frozen_redis(own_redis_server: RedisServer) -> None:
    """What is not done in time has failed, and nothing is left behind."""
    ends: list[Any] = []
    async with linked(own_redis_server.url) as watched:
        own_redis_server.freeze()
        for n in range(600):
            watched.link.post(ECHO, ["k"], [n], ends.append, ends.append)
        await watched.link.close(within_s=0.01)
        assert len(ends) == 600
        assert all(isinstance(end, RedisAway) for end in ends)


def test_the_client_library_is_loaded_by_a_link_that_starts() -> None:
    """Neither a worker's modules nor the link's own load it by being imported."""
    look = "import sys, proxy.worker.main, proxy.stores.redis_link as m; m.RedisLink('redis://h');"
    run = subprocess.run(
        [sys.executable, "-c", f"{look} print({{'redis', 'hiredis'}} & set(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "set()\n"
