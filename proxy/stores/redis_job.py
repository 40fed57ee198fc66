"""One command on its way to Redis and back: what is asked, who waits, and how it ends."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

from proxy.stores.redis_errors import RedisRefused, RedisUnavailable
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_script import Script

Argument: TypeAlias = str | bytes | int | float
Reply: TypeAlias = "bytes | int | list[Reply] | None"
"""As RESP2 has it: text comes as bytes, true as 1, false as None."""
Answer: TypeAlias = "Reply | ReplyError"
Words: TypeAlias = tuple[Argument, ...]
"""A command and its arguments."""


class Job(ABC):
    """
    What is common to jobs; each ends once, by `finish` or by `fail`.

    `source` is that of the script which `words` run by its digest; empty, they run none.
    """

    __slots__ = ("is_sent", "queued_s", "source", "words")

    def __init__(self, words: Words, source: str, queued_s: float) -> None:
        self.words = words
        self.source = source
        self.queued_s = queued_s
        self.is_sent = False

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Nobody waits for it any more."""

    @abstractmethod
    def finish(self, reply: Reply) -> None:
        """Give its reply to who asked."""

    @abstractmethod
    def fail(self, error: RedisUnavailable) -> None:
        """Tell who asked that there is no reply."""

    def settle(self, reply: Answer) -> None:
        """End by what Redis has answered."""
        if isinstance(reply, ReplyError):
            self.fail(RedisRefused(reply.text.partition("\n")[0][:200]))
        else:
            self.finish(reply)

    def with_source(self) -> Words:
        """Return its words with its script's source in place of the digest."""
        return ("EVAL", self.source, *self.words[2:])


class AskedJob(Job):
    """Somebody awaits `future`, and raises what it holds if that is an error."""

    __slots__ = ("future", "timer")

    def __init__(
        self, words: Words, source: str, queued_s: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(words, source, queued_s)
        self.future: asyncio.Future[Reply | RedisUnavailable] = loop.create_future()
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        """It has its outcome, or who asked was cancelled."""
        return self.future.done()

    def finish(self, reply: Reply) -> None:
        """Wake who awaits it, unless that one has left."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: RedisUnavailable) -> None:
        """
        Wake who awaits it.

        The error is a result: as an exception of the future it would be complained about when
        who awaits it is cancelled in the same turn.
        """
        if not self.future.done():
            self.future.set_result(error)


class PostedJob(Job):
    """Nobody waits: one of two functions is called."""

    __slots__ = ("is_ended", "on_fail", "on_reply")

    def __init__(
        self,
        words: Words,
        source: str,
        queued_s: float,
        on_reply: Callable[[Reply], None],
        on_fail: Callable[[RedisUnavailable], None],
    ) -> None:
        super().__init__(words, source, queued_s)
        self.on_reply = on_reply
        self.on_fail = on_fail
        self.is_ended = False

    @property
    def is_over(self) -> bool:
        """One of the two has been called."""
        return self.is_ended

    def finish(self, reply: Reply) -> None:
        """Call `on_reply`; what it cannot read has failed."""
        if self.is_ended:
            return
        try:
            self.on_reply(reply)
        except Exception as error:  # noqa: BLE001
            # Whatever it stumbles over, most likely a reply of another type than its script
            # gives, is the failure of this one job: others of the pipeline wait for theirs.
            self.fail(RedisRefused(f"a reply that cannot be read: {type(error).__name__}"))
        self.is_ended = True

    def fail(self, error: RedisUnavailable) -> None:
        """Call `on_fail`."""
        if not self.is_ended:
            self.is_ended = True
            self.on_fail(error)


def build_words(script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Words:
    """Build the command that runs a script by its digest."""
    return ("EVALSHA", script.sha1, len(keys), *keys, *args)
