"""
The one owner of this process's connection to Redis.

Requests never touch a connection: they leave a job in a queue, and one task sends all that
waits as one pipeline and hands out the replies. A request that is cancelled can so never leave
its reply behind for another, and what is asked for at the same time travels together.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from proxy.stores.redis_errors import RedisUnavailable
from proxy.stores.redis_script import Script

KEY_PREFIX = "llm-proxy:v1:"
"""Begins every key and channel; the number changes when older processes could misread them."""

Argument: TypeAlias = str | bytes | int | float
Reply: TypeAlias = "bytes | int | None | list[Reply]"
"""As RESP2 has it: text comes as bytes, true as 1, false as None."""
LinkState = Literal["starting", "joined", "away", "ended"]


class RedisLink:
    """
    A connection to Redis that is there or is not, and never keeps anybody waiting for long.

    The link's own breaker opens after 3 hard errors in a row or 250 ms of timeouts in a row.
    While it is open every job fails at once with RedisAway, and the link alone tries to come
    back, at most 0.5 s between two attempts. Nothing that was sent is ever sent again, except
    a script that Redis answers it does not know.
    """

    ops: int
    """Replies that were handed out."""
    errors: int
    """Hard errors: refused, reset, READONLY and the like."""
    timeouts: int
    """Round trips that were given up."""
    busy: int
    """Jobs that waited too long for their turn."""

    def __init__(self, url: str, *, operation_s: float = 0.05) -> None:
        """
        Prepare a link; nothing is opened before `start()`.

        Args:
            url: `redis://`, `rediss://` or `unix://`, a secret; never in a log or an error.
            operation_s: seconds for one round trip.

        Raises:
            ValueError: not such a URL; the message does not quote it.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begin to connect, in the running loop; returns at once, also with Redis away."""

    async def wait_joined(self, within_s: float) -> bool:
        """Wait until the link is joined, at most `within_s`; return whether it is."""
        raise NotImplementedError

    @property
    def is_joined(self) -> bool:
        """Jobs are sent now; False while starting, away or ended."""
        raise NotImplementedError

    @property
    def state(self) -> LinkState:
        """How the link stands."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        `on_reply` raises is logged and told to `on_fail` as RedisRefused.
        """

    async def command(self, *words: Argument, wait_s: float | None = None) -> Reply:
        """Have any other command run, as `run` does: `await link.command("PING")`."""
        raise NotImplementedError

    def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """
        Hear what is published on a channel, from now until the link is closed.

        A second connection hears, and comes back by itself; what is published while it is
        away is lost, hence `watch`.
        """

    def watch(
        self, on_joined: Callable[[], None], on_left: Callable[[], None] | None = None
    ) -> None:
        """
        Be told of every change: `on_joined` once jobs are sent (again) and channels are heard
        (again), so that state can be read anew; `on_left` once they are not. `on_joined` is
        called at once if that is so already.
        """

    async def close(self, *, within_s: float = 0.25) -> None:
        """Send what was posted, at most `within_s`; then leave no task and no descriptor."""
