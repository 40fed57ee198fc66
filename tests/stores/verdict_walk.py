"""
A store of verdicts and the real scripts, in any order of events, one step at a time.

The link is made up: what it is told to post is run by Redis at once, and answered when the walk
says so. Each verdict's reason is the version that it was told with.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import redis

from proxy.domain.health import HealthNews
from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_job import Argument, Reply
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_script import Script
from proxy.stores.redis_verdicts import RedisVerdicts
from proxy.stores.verdict_messages import (
    FENCE_KEY,
    LEASE_KEY,
    LEASE_SCRIPT,
    PUBLISH_SCRIPT,
    VERDICTS_KEY,
    build_publish_args,
    read_news,
)
from tests.stores.verdict_contract import ADDRESS, Clock, build_verdict

STEPS = (
    *("tell",) * 4,
    *("hear",) * 4,
    *("lose",) * 2,
    *("poll",) * 2,
    *("answer",) * 3,
    *("hear again", "clear", "replace", "flush"),
)
NAMES = ("a", "b", "c")


class MadeUpLink:
    """Has scripts run at once, and keeps the replies until they are handed out."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._replies: deque[tuple[Callable[[Reply], None], Reply]] = deque()

    def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """Hear nothing: the walk hands messages out."""

    def watch(self, on_joined: Callable[[], None], on_left: Callable[[], None]) -> None:
        """Never come or go."""

    def post(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        on_reply: Callable[[Reply], None],
        on_fail: Callable[[RedisUnavailable], None],
    ) -> None:
        """Run it now; its reply comes with `answer`."""
        self._replies.append((on_reply, self.run(script, keys, args)))

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Reply:
        """Run it and return its reply."""
        return cast("Reply", self._client.eval(script.source, len(keys), *keys, *args))

    def answer(self) -> bool:
        """Hand out the oldest reply, if there is one."""
        if not self._replies:
            return False
        on_reply, reply = self._replies.popleft()
        on_reply(reply)
        return True


class Walk:
    """The store, what is on its way to it, and what Redis should hold."""

    def __init__(self, client: redis.Redis, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self.link = MadeUpLink(client)
        self.store = RedisVerdicts(cast("RedisLink", self.link), Clock().read_s)
        self.on_its_way: deque[bytes] = deque()
        self.heard: list[bytes] = []
        self.cleared = (0, 0)
        """The last clearing that was heard in time."""
        self.told: dict[str, tuple[int, int]] = {}
        self.holder, self.fence, self.number = 0, 0, 0

    def step(self, step: str) -> None:
        """Have one thing happen."""
        match step:
            case "tell" | "clear":
                self._tell(is_cleared=step == "clear")
            case "hear" if self.on_its_way:
                self._hear(self.on_its_way.popleft())
            case "hear again" if self.heard:
                self._hear(self._chance.choice(self.heard))
            case "lose" if self.on_its_way:
                self.on_its_way.popleft()
            case "poll":
                self.store._poll()
            case "answer":
                self.link.answer()
            case "replace":
                self._client.delete(LEASE_KEY)
                self.holder += 1
            case "flush":
                self._client.flushdb()
                self.told.clear()

    def read_beliefs(self) -> dict[str, tuple[int, int]]:
        """Return the version of what is believed of each provider."""
        found = {name: self.store._held.get(name) for name in NAMES}
        beliefs = {}
        for name, held in found.items():
            if held is not None:
                assert held.verdict.address == ADDRESS
                assert held.verdict.reason == str(held.version)
                beliefs[name] = held.version
        return beliefs

    def _hear(self, message: bytes) -> None:
        self.heard.append(message)
        news = read_news(message)
        assert news is not None
        version = (news.fence, news.number)
        if news.is_cleared and version > self.store._newest:
            self.cleared = version
        self.store._hear(message)

    def _tell(self, *, is_cleared: bool) -> None:
        fence, _ = cast(
            "list[int]",
            self.link.run(
                LEASE_SCRIPT, (LEASE_KEY, FENCE_KEY), ("lead", f"worker-{self.holder}", 60_000)
            ),
        )
        if fence != self.fence:
            assert fence > self.fence
            self.fence, self.number = fence, 0
        self.number += 1
        version = (self.fence, self.number)
        names = [name for name in NAMES if self._chance.random() < 0.5]
        verdicts = tuple(build_verdict(name, reason=str(version)) for name in names)
        news = HealthNews(*version, verdicts, 30.0, is_cleared=is_cleared)
        args = build_publish_args(news, f"worker-{self.holder}", 60_000)
        assert self.link.run(PUBLISH_SCRIPT, (LEASE_KEY, FENCE_KEY, VERDICTS_KEY), args) == 1
        if is_cleared:
            self.told.clear()
        self.told.update((name, version) for name in names)
        self.on_its_way.append(cast("bytes", args[4]))


async def walk(client: redis.Redis, steps: Sequence[str], chance: random.Random) -> None:
    """Go through the steps; beliefs never go back, and a poll at the end leaves what was told."""
    walk = Walk(client, chance)
    before: dict[str, tuple[int, int]] = {}
    for step in steps:
        walk.step(step)
        beliefs = walk.read_beliefs()
        for name, version in beliefs.items():
            assert version >= before.get(name, version), step
            assert version >= walk.cleared
        before |= beliefs
    while walk.link.answer():
        pass
    walk.store._poll()
    while walk.link.answer():
        pass
    beliefs = walk.read_beliefs()
    assert walk.told.items() <= beliefs.items()
    if "flush" not in steps:
        assert beliefs == walk.told
    await walk.store.close()
