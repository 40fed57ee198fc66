"""Hearing what other processes publish: a connection of its own, which comes back by itself."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_health import LinkBroken, LinkFault

if TYPE_CHECKING:
    from proxy.stores.redis_connection import RedisConnection

OPEN_S = 1.0
"""For one attempt to connect and subscribe."""
_log = structlog.get_logger("llm_proxy.redis")


class RedisChannels:
    """
    Subscriptions of a link; it says when Redis is there, so nothing is tried or logged before.

    While the link is joined and this connection cannot be had, it is tried again after 0.1 s,
    then twice as long each time up to 2 s; that is logged at DEBUG only, since what is missed
    is advice, which others also ask for now and then.
    """

    def __init__(self) -> None:
        """Begin with no channel."""
        self._channels: dict[bytes, Callable[[bytes], None]] = {}
        self._may_hear = asyncio.Event()
        self._connection: RedisConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_warned = False

    def add(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """Have a channel heard, from the next start on."""
        self._channels[channel.encode()] = on_message

    def start(self, connection: "RedisConnection") -> None:
        """Begin to hear once `resume` is called; `connection` is not used for anything else."""
        if self._channels:
            self._connection = connection
            self._task = asyncio.create_task(self._hear(connection))

    def resume(self) -> None:
        """Redis is there."""
        self._may_hear.set()

    def pause(self) -> None:
        """Redis is away: let go of the connection."""
        self._may_hear.clear()
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """Leave no task and no descriptor."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _hear(self, connection: "RedisConnection") -> None:
        from proxy.stores.redis_connection import pack

        wait_s = 0.1
        while True:
            await self._may_hear.wait()
            try:
                async with asyncio.timeout(OPEN_S) as clock:
                    await connection.open()
                    await connection.send(pack(("SUBSCRIBE", *self._channels)))
                    while True:
                        self._take(await connection.read())
                        clock.reschedule(None)
                        wait_s = 0.1
            except TimeoutError:
                _log.debug("redis does not let itself be heard in time")
            except LinkBroken as broken:
                self._tell(broken.fault)
            finally:
                await connection.drop()
            await asyncio.sleep(wait_s * (0.5 + random.random()))
            wait_s = min(2.0, 2 * wait_s)

    def _take(self, message: object) -> None:
        """Hand out a message; what is none, such as the answer to SUBSCRIBE, is passed over."""
        if isinstance(message, ReplyError):
            unknown = LinkFault("refused", "it does not take a subscription")
            raise LinkBroken(message.fault or unknown)
        match message:
            case [b"message", bytes(channel), bytes(data)] if channel in self._channels:
                try:
                    self._channels[channel](data)
                except Exception as error:  # noqa: BLE001
                    # Anybody can publish anything: a message that cannot be read is no reason
                    # to be deaf for the next one.
                    _log.debug("a message was passed over", error_type=type(error).__name__)

    def _tell(self, fault: LinkFault) -> None:
        if fault.kind == "denied" and not self._has_warned:
            self._has_warned = True
            _log.warning("redis lets nobody hear its channels", reason=fault.reason)
        else:
            _log.debug("the channels of redis are not heard", reason=fault.reason)
