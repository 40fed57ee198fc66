"""
The one owner of this process's connection to Redis.

Requests never touch a connection: they leave a job in a queue, and one task sends all that
waits as one pipeline and hands out the replies. A request that is cancelled can so never leave
its reply behind for another, and what is asked for at the same time travels together.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import structlog

from proxy.stores.redis_address import parse_address
from proxy.stores.redis_channels import RedisChannels
from proxy.stores.redis_errors import RedisAway, RedisBusy, RedisTimeout, RedisUnavailable
from proxy.stores.redis_health import LinkBreaker, LinkBroken, LinkFault, ReasonNews
from proxy.stores.redis_job import Argument, AskedJob, Job, PostedJob, Reply, Words, build_words
from proxy.stores.redis_script import Script

if TYPE_CHECKING:
    from proxy.stores.redis_connection import RedisConnection

KEY_PREFIX = "llm-proxy:v1:"
"""Begins every key and channel; the number changes when older processes could misread them."""

LinkState = Literal["starting", "joined", "away", "ended"]

JOIN_S = 1.0
"""For one attempt to come back: name, connection, TLS, login and a first write."""
MAX_QUEUED = 4096
MAX_PIPELINE = 256
"""Jobs sent at once: about 5 ms of Redis's time, so that no pipeline takes long by its length."""
POST_WAIT_S = 0.25
"""How old a posted job may be when it is sent; nobody waits for it."""

_log = structlog.get_logger("llm_proxy.redis")


class RedisLink:
    """
    A connection to Redis that is there or is not, and never keeps anybody waiting for long.

    The link's own breaker opens after 3 hard errors in a row or 250 ms of timeouts in a row.
    While it is open every job fails at once with RedisAway, and the link alone tries to come
    back, at most 0.5 s between two attempts. Nothing that was sent is ever sent again, except
    a script that Redis answers it does not know.
    """

    def __init__(self, url: str, *, operation_s: float = 0.05) -> None:
        """
        Prepare a link; nothing is opened before `start()`.

        Args:
            url: `redis://`, `rediss://` or `unix://`, a secret; never in a log or an error.
            operation_s: seconds for one round trip.

        Raises:
            ValueError: not such a URL; the message does not quote it.
        """
        self._address = parse_address(url)
        self._operation_s = operation_s
        self._breaker = LinkBreaker()
        self._news = ReasonNews()
        self._channels = RedisChannels()
        self._queue: deque[Job] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._state: LinkState = "starting"
        self._joined = asyncio.Event()
        self._watchers: list[tuple[Callable[[], None], Callable[[], None] | None]] = []
        self._asked_memory = False
        self.on_fault: Callable[[], None] = _do_nothing
        """Called for each operation that failed, also one to come back; must not raise."""
        self.ops = 0
        """Replies that were handed out."""
        self.errors = 0
        """Hard errors: refused, reset, READONLY and the like."""
        self.timeouts = 0
        """Round trips that were given up."""
        self.busy = 0
        """Jobs that waited too long for their turn."""

    def start(self) -> None:
        """Begin to connect, in the running loop; returns at once, also with Redis away."""
        # Here and not above: loads the client library, which a worker without Redis goes without.
        from proxy.stores.redis_connection import RedisConnection

        self._owner = asyncio.create_task(self._own(RedisConnection(self._address)))
        self._channels.start(RedisConnection(self._address))

    async def wait_joined(self, within_s: float) -> bool:
        """Wait until the link is joined, at most `within_s`; return whether it is."""
        try:
            async with asyncio.timeout(within_s):
                await self._joined.wait()
        except TimeoutError:
            pass
        return self.is_joined

    @property
    def is_joined(self) -> bool:
        """Jobs are sent now; False while starting, away or ended."""
        return self._state == "joined"

    @property
    def state(self) -> LinkState:
        """How the link stands."""
        return self._state

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument] = (),
        *,
        wait_s: float | None = None,
    ) -> Reply:
        """
        Run a script and return its reply.

        Args:
            script: sent by its digest, with its source if Redis does not know it.
            keys: whole names, `KEY_PREFIX` included.
            args: ARGV; numbers are sent as text.
            wait_s: seconds until RedisTimeout; None stands for `operation_s`. After half
                of `operation_s` in the queue it is RedisBusy instead.

        Raises:
            RedisUnavailable: one of its four; nothing else.
        """
        return await self._ask(build_words(script, keys, args), script.source, wait_s)

    async def command(self, *words: Argument, wait_s: float | None = None) -> Reply:
        """Have any other command run, as `run` does: `await link.command("PING")`."""
        return await self._ask(words, "", wait_s)

    def post(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        on_reply: Callable[[Reply], None],
        on_fail: Callable[[RedisUnavailable], None],
    ) -> None:
        """
        Have a script run behind the caller's back; returns at once.

        Exactly one of the two is called, once, in a later turn of the loop; in this one, before
        `post` returns, only `on_fail`: the link is not joined, or its queue is full. What
        `on_reply` raises is told to `on_fail` as RedisRefused; `on_fail` must not raise.
        """
        now_s = asyncio.get_running_loop().time()
        job = PostedJob(build_words(script, keys, args), script.source, now_s, on_reply, on_fail)
        try:
            self._put(job)
        except RedisUnavailable as error:
            job.fail(error)

    def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """
        Hear what is published on a channel; to be called before `start()`.

        A second connection hears, and comes back by itself. What is published while it is away
        is lost, and there is no notice of that: who must know asks again now and then.
        """
        self._channels.add(channel, on_message)

    def watch(
        self, on_joined: Callable[[], None], on_left: Callable[[], None] | None = None
    ) -> None:
        """
        Be told of every change: `on_joined` once jobs are sent (again), so that state can be
        read anew; `on_left` once they are not. To be called before `start()`; must not raise.
        """
        self._watchers.append((on_joined, on_left))

    async def close(self, *, within_s: float = 0.25) -> None:
        """Send what was posted, at most `within_s`; then leave no task and no descriptor."""
        was_joined = self.is_joined
        self._state = "ended"
        if self._owner is not None:
            self._wake()
            if was_joined:
                await asyncio.wait([self._owner], timeout=within_s)
            self._owner.cancel()
            await asyncio.wait([self._owner])
        await self._channels.close()

    async def _ask(self, words: Words, source: str, wait_s: float | None) -> Reply:
        loop = asyncio.get_running_loop()
        wait_s = self._operation_s if wait_s is None else wait_s
        job = AskedJob(words, source, loop.time(), loop)
        self._put(job)
        job.timer = loop.call_later(min(wait_s, self._operation_s / 2), self._hurry, job, wait_s)
        try:
            outcome = await job.future
        finally:
            job.timer.cancel()
        if isinstance(outcome, RedisUnavailable):
            raise outcome
        return outcome

    def _put(self, job: Job) -> None:
        if self._state != "joined":
            raise RedisAway(f"the link to Redis is {self._state}")
        if len(self._queue) >= MAX_QUEUED:
            self.busy += 1
            raise RedisBusy("too many jobs wait for Redis")
        self._queue.append(job)
        self._wake()

    def _hurry(self, job: AskedJob, wait_s: float) -> None:
        """Look at a job that somebody has awaited for a while."""
        loop = asyncio.get_running_loop()
        end_s = job.queued_s + wait_s
        if not job.is_sent:
            self.busy += 1
            job.fail(RedisBusy("it waited too long for its turn"))
        elif loop.time() < end_s:
            job.timer = loop.call_at(end_s, self._hurry, job, wait_s)
        else:
            job.fail(RedisTimeout("no reply in time"))

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    async def _own(self, connection: "RedisConnection") -> None:
        """Be the only one that touches the connection, until the link is closed."""
        try:
            while self._state != "ended":
                try:
                    await self._come_back(connection)
                    await self._serve(connection)
                except Exception:  # noqa: BLE001
                    # A mistake of ours must not leave requests without the link for ever: what
                    # was under way has failed, and it begins anew.
                    _log.exception("the link to redis stumbled")
                    fault = LinkFault("lost", "a mistake of our own")
                    self._count(fault)
                    self._leave(fault)
                    await asyncio.sleep(self._decide_wait_s())
                finally:
                    await connection.drop()
        finally:
            self._state = "ended"
            self._fail_queued("the link to Redis has ended")

    async def _come_back(self, connection: "RedisConnection") -> None:
        """Try until the connection is there and does what is needed."""
        from proxy.stores.redis_join import join

        while True:
            try:
                async with asyncio.timeout(JOIN_S):
                    await join(connection, KEY_PREFIX, ask_memory=not self._asked_memory)
            except TimeoutError:
                fault = LinkFault("timeout", "it does not answer", JOIN_S)
                await connection.drop()
            except LinkBroken as broken:
                fault = broken.fault
            else:
                self._enter()
                return
            self._count(fault)
            self._leave(fault)
            await asyncio.sleep(self._decide_wait_s())

    async def _serve(self, connection: "RedisConnection") -> None:
        """Send what is queued, pipeline by pipeline, until the breaker opens or all has ended."""
        from proxy.stores.redis_pipeline import send_jobs

        while not self._breaker.is_open:
            await self._wait_for_work()
            if self._state == "ended" and not self._queue:
                return
            try:
                if not connection.is_open or await connection.is_stale():
                    await self._reopen(connection)
                jobs = self._take()
                sent = await send_jobs(connection, jobs, self._operation_s) if jobs else None
            except LinkBroken as broken:
                self._note(broken.fault)
                continue
            if sent is not None:
                self.ops += sent.replies
                if sent.fault is None:
                    self._breaker.note_success()
                else:
                    self._note(sent.fault, sent.times)

    async def _wait_for_work(self) -> None:
        if not self._queue and self._state != "ended":
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker

    async def _reopen(self, connection: "RedisConnection") -> None:
        """Connect again while the link counts as joined: it may take what patience is left."""
        await connection.drop()
        patience_s = self._breaker.patience_s
        try:
            async with asyncio.timeout(patience_s):
                await connection.open()
        except TimeoutError:
            await connection.drop()
            raise LinkBroken(LinkFault("timeout", "it does not answer", patience_s)) from None

    def _take(self) -> list[Job]:
        """Take the next pipeline's jobs out of the queue, without those that are over."""
        oldest_s = asyncio.get_running_loop().time() - POST_WAIT_S
        jobs: list[Job] = []
        while self._queue and len(jobs) < MAX_PIPELINE:
            job = self._queue.popleft()
            if job.queued_s < oldest_s and not job.is_over:
                self.busy += 1
                job.fail(RedisBusy("it waited too long for its turn"))
            if not job.is_over:
                jobs.append(job)
        return jobs

    def _note(self, fault: LinkFault, times: int = 1) -> None:
        self._count(fault)
        if self._breaker.note_fault(fault, times):
            self._leave(fault)

    def _count(self, fault: LinkFault) -> None:
        self.on_fault()
        if fault.kind == "timeout":
            self.timeouts += 1
        else:
            self.errors += 1

    def _leave(self, fault: LinkFault) -> None:
        """Have everybody go on without Redis; say so once, and why again if that changes."""
        is_news = self._state in ("starting", "joined")
        was_joined = self.is_joined
        now_s = asyncio.get_running_loop().time()
        self._breaker.open(fault)
        if self._state != "ended":
            self._state = "away"
        self._joined.clear()
        if is_news:
            self._news.open(fault)
            _log.warning("redis OPEN", reason=fault.reason, redis=self._address.shown)
        elif self._state == "away" and self._news.take(fault, now_s):
            _log.warning("redis is still away", reason=fault.reason, redis=self._address.shown)
        self._fail_queued(f"the link to Redis has opened: {fault.reason}")
        if was_joined:
            self._channels.pause()
            for _, on_left in self._watchers:
                if on_left is not None:
                    on_left()

    def _enter(self) -> None:
        """Have everybody use Redis (again); say so once."""
        self._asked_memory = True
        self._breaker.close(asyncio.get_running_loop().time())
        if self._state == "ended":
            return
        message = "redis is joined" if self._state == "starting" else "redis CLOSED"
        self._state = "joined"
        self._joined.set()
        _log.info(message, redis=self._address.shown)
        self._channels.resume()
        for on_joined, _ in self._watchers:
            on_joined()

    def _fail_queued(self, text: str) -> None:
        while self._queue:
            self._queue.popleft().fail(RedisAway(text))

    def _decide_wait_s(self) -> float:
        return self._breaker.decide_wait_s(asyncio.get_running_loop().time(), random.random)


def _do_nothing() -> None:
    """Stand in for whoever wants to know of faults."""
