"""One round trip for many jobs: send them together, and settle each by its own reply."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from proxy.stores.redis_connection import RedisConnection, pack
from proxy.stores.redis_errors import RedisAway, RedisRefused, RedisTimeout, RedisUnavailable
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_health import LinkBroken, LinkFault
from proxy.stores.redis_job import Answer, Job

OWN_LAG_S = 0.01
"""A clock that goes off so much too late says that this process was busy, not Redis."""
MAX_ROUNDS = 3
"""How often a script that Redis was just told may be unknown again."""


class Sent(Struct):
    """What a round trip says about Redis; all its jobs are settled."""

    replies: int = 0
    fault: LinkFault | None = None
    """What went wrong with the connection, or with Redis as a whole; it is dropped then."""
    times: int = 1
    """How many replies say so."""


async def send_jobs(connection: RedisConnection, jobs: Sequence[Job], operation_s: float) -> Sent:
    """
    Send jobs as one pipeline, and settle them all.

    A script that Redis does not know was not run: it is sent again at once, with its source.
    Nothing else is sent twice.

    Args:
        connection: an open one; whoever else might read from it must not.
        jobs: marked as sent.
        operation_s: seconds for a round trip; after that the connection is dropped.

    Returns:
        What it says about Redis. Cancelled, the jobs have failed and the connection is dropped.
    """
    sent = Sent()
    commands: list[bytes] = []
    jobs = [job for job in jobs if _pack(job, commands)]
    for _ in range(MAX_ROUNDS):
        if not jobs:
            break
        jobs = await _send_once(connection, jobs, commands, operation_s, sent)
        commands = _teach(jobs)
    for job in jobs:
        job.fail(RedisRefused("NOSCRIPT Redis does not keep the script"))
    if sent.fault is not None:
        await connection.drop()
    return sent


async def _send_once(
    connection: RedisConnection,
    jobs: Sequence[Job],
    commands: Sequence[bytes],
    operation_s: float,
    sent: Sent,
) -> list[Job]:
    """Send and settle; return the jobs whose script is unknown, if they can be sent again."""
    replies: list[Answer] = []
    error: type[RedisUnavailable] = RedisAway
    broken: LinkFault | None = LinkFault("lost", "the link was closed")
    loop = asyncio.get_running_loop()
    for job in jobs:
        job.is_sent = True
    try:
        async with asyncio.timeout(None) as clock:
            end_s = loop.time() + operation_s
            timer = loop.call_at(end_s, _end, loop, clock, end_s)
            try:
                await connection.exchange(commands, replies)
            finally:
                timer.cancel()
        broken = None
    except TimeoutError:
        error, broken = RedisTimeout, LinkFault("timeout", "it does not answer", operation_s)
    except LinkBroken as caught:
        broken = caught.fault
    finally:
        unknown = _settle(jobs, replies, sent)
        if broken is not None:
            sent.fault, sent.times = broken, 1
            for job in (*unknown, *jobs[len(replies) :]):
                job.fail(error(f"it may have been done: {broken.reason}"))
            unknown = []
            await connection.drop()
    return unknown


def _settle(jobs: Sequence[Job], replies: Sequence[Answer], sent: Sent) -> list[Job]:
    """Give each job its reply; return those whose script is unknown."""
    unknown: list[Job] = []
    for job, reply in zip(jobs, replies, strict=False):
        if isinstance(reply, ReplyError):
            if job.source and reply.code == "NOSCRIPT":
                if not job.is_over:
                    unknown.append(job)
                continue
            if (fault := reply.fault) is not None:
                sent.times = sent.times + 1 if sent.fault is not None else 1
                sent.fault = fault
        sent.replies += 1
        job.settle(reply)
    return unknown


def _pack(job: Job, commands: list[bytes]) -> bool:
    """Append a job's command; one that cannot be written down fails alone."""
    try:
        commands.append(pack(job.words))
    except ValueError as error:
        job.fail(RedisRefused(str(error)))
        return False
    return True


def _teach(jobs: Sequence[Job]) -> list[bytes]:
    """Build the commands of jobs anew: of each script the first one brings the source along."""
    taught: set[str] = set()
    commands: list[bytes] = []
    for job in jobs:
        commands.append(pack(job.words if job.source in taught else job.with_source()))
        taught.add(job.source)
    return commands


def _end(loop: asyncio.AbstractEventLoop, clock: asyncio.Timeout, end_s: float) -> None:
    """Give up; if it is this process that is late, first read what may have come meanwhile."""
    now_s = loop.time()
    clock.reschedule(now_s + OWN_LAG_S if now_s - end_s > OWN_LAG_S else now_s)
