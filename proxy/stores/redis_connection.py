"""
One connection to Redis: bytes out, replies in. The only module that knows the client library.

It is imported where a link begins to connect, and nowhere else, so that a worker without Redis
does not load the library. What the library raises ends here, as a LinkBroken.
"""

import asyncio
import math
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import connection as redis_py

from proxy.stores.redis_address import RedisAddress
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_health import (
    CONNECTION_LOST,
    NO_SOCKET,
    NOTHING_LISTENS,
    LinkBroken,
    LinkFault,
)
from proxy.stores.redis_job import Answer, Words


class RedisConnection:
    """
    A connection that can be opened, dropped, and opened again.

    After anything that has gone wrong in the middle of an exchange it has to be dropped, so that
    no late reply meets a later command. One exchange at a time; clocks are the caller's.
    """

    def __init__(self, address: RedisAddress) -> None:
        """Prepare a connection; nothing is opened."""
        self._address = address
        # Untyped. It also keeps what verifies certificates, which takes 20 ms to build.
        self._inner: Any = _build(address)
        self._transport: asyncio.WriteTransport | None = None

    @property
    def is_open(self) -> bool:
        """It was opened and not dropped since; Redis may have closed it meanwhile."""
        return self._transport is not None

    async def open(self) -> None:
        """
        Connect, resolving the name anew, and log in.

        Raises:
            LinkBroken: it did not work out; nothing is left open.
        """
        try:
            await self._inner.connect()
        except exceptions.RedisError as error:
            raise LinkBroken(_explain(error, self._address)) from None
        self._transport = self._inner._writer.transport
        if greeting := self._build_greeting():
            replies: list[Answer] = []
            await self.exchange(greeting, replies)
            for reply in replies:
                if isinstance(reply, ReplyError):
                    await self.drop()
                    raise LinkBroken(
                        reply.fault or LinkFault("refused", "it does not have that database")
                    )

    async def exchange(self, commands: Sequence[bytes], replies: list[Answer]) -> None:
        """
        Send packed commands as one pipeline, and append their replies to `replies` as they come.

        Raises:
            LinkBroken: the connection was lost or what came is no reply; `replies` holds those
                that came before. It is dropped already.
        """
        await self.send(*commands)
        for _ in commands:
            replies.append(await self.read())

    async def send(self, *commands: bytes) -> None:
        """
        Send packed commands, of which each has a reply to be read.

        Raises:
            LinkBroken: the connection was lost; it is dropped already.
        """
        if self._transport is None:
            # The library would connect anew, as nobody.
            raise LinkBroken(LinkFault("lost", CONNECTION_LOST))
        try:
            await self._inner.send_packed_command((b"".join(commands),), check_health=False)
        except exceptions.RedisError as error:
            await self.drop()
            raise LinkBroken(_explain(error, self._address)) from None

    async def read(self) -> Answer:
        """
        Wait for the next reply, or for what Redis sends by itself, however long.

        Raises:
            LinkBroken: the connection was lost, or what came is no reply; it is dropped already.
        """
        try:
            reply: Any = await self._inner.read_response(timeout=math.inf)
        except exceptions.ResponseError as error:
            return _read_error(error)
        except exceptions.RedisError as error:
            await self.drop()
            raise LinkBroken(_explain(error, self._address)) from None
        if reply.__class__ is list:
            error_inside = _find_error(reply)
            return reply if error_inside is None else _read_error(error_inside)
        return reply  # type: ignore[no-any-return]

    async def is_stale(self) -> bool:
        """Whether Redis has closed it meanwhile, or has sent what nobody asked for."""
        try:
            return bool(await self._inner.can_read())
        except exceptions.RedisError:
            return True

    def abort(self) -> None:
        """Cut it off, also while somebody else reads: that one meets LinkBroken, and drops it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # close() would first wait for a peer that may be frozen to take what is unsent.
            transport.abort()

    async def drop(self) -> None:
        """Close it at once, whatever was under way."""
        self.abort()
        await self._inner.disconnect(nowait=True)

    def _build_greeting(self) -> list[bytes]:
        address = self._address
        password = address.password.reveal()
        greeting: list[bytes] = []
        if address.username:
            greeting.append(pack(("AUTH", address.username, password)))
        elif password:
            greeting.append(pack(("AUTH", password)))
        if address.database:
            greeting.append(pack(("SELECT", address.database)))
        return greeting


def pack(words: Words) -> bytes:
    """
    Return a command as it travels.

    Raises:
        ValueError: one of its words is of another type, or no text.
    """
    try:
        # The stub says "one word"; it takes any number.
        packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ValueError(f"a command that cannot be sent: {type(error).__name__}") from None
    return packed


def _build(address: RedisAddress) -> Any:
    """
    Build what the library calls a connection; it is told no user, password or database.

    It would ask and wait for each of them by itself, out of reach of `drop`. Its version it
    would tell with a command that access lists rarely allow, hence `driver_info=None`.
    """
    same: dict[str, Any] = {"protocol": 2, "driver_info": None, "socket_timeout": None}
    if address.scheme == "unix":
        build: Any = redis_py.UnixDomainSocketConnection
        return build(path=address.path, socket_connect_timeout=None, **same)
    where: dict[str, Any] = {"host": address.host, "port": address.port}
    if address.scheme == "redis":
        build = redis_py.Connection
        return build(socket_connect_timeout=None, **where, **same)
    build = redis_py.SSLConnection
    return build(
        socket_connect_timeout=None,
        ssl_ca_certs=address.ca_file or None,
        ssl_certfile=address.certificate_file or None,
        ssl_keyfile=address.key_file or None,
        **where,
        **same,
    )


def _find_error(reply: list[Any]) -> Exception | None:
    """Find an error inside of an array, where the parser leaves it lying."""
    waiting = [reply]
    while waiting:
        for part in waiting.pop():
            if isinstance(part, Exception):
                return part
            if part.__class__ is list:
                waiting.append(part)
    return None


def _read_error(error: Exception) -> ReplyError:
    """Put an error together again as Redis sent it: the library takes its code off."""
    code = getattr(error, "status_code", None)
    return ReplyError(f"{code} {error}" if code else str(error))


def _explain(error: exceptions.RedisError, address: RedisAddress) -> LinkFault:
    """Say what a connection failed of; the library's own texts quote what they please."""
    if (known := _read_error(error).fault) is not None:
        return known
    if isinstance(error, exceptions.InvalidResponse):
        return LinkFault("lost", "what it sends is not its protocol")
    match error.__cause__ or error.__context__:
        case ConnectionRefusedError():
            reason = NOTHING_LISTENS
        case socket.gaierror():
            reason = "its name cannot be resolved"
        case ssl.SSLCertVerificationError():
            reason = "its certificate is not trusted"
        case ssl.SSLError():
            reason = "TLS failed"
        case FileNotFoundError():
            option = _find_option(address, os.F_OK)
            reason = f"the file of {option} does not exist" if option else NO_SOCKET
        case PermissionError():
            option = _find_option(address, os.R_OK)
            what = f"the file of {option}" if option else "its socket"
            reason = f"{what} may not be opened"
        case _:
            reason = CONNECTION_LOST
    return LinkFault("lost", reason)


def _find_option(address: RedisAddress, mode: int) -> str:
    """Name the option whose file is in the way, if one is: the error itself names no file."""
    for option, path in address.files:
        if not os.access(path, mode):
            return option
    return ""
