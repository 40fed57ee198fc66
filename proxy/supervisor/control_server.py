"""The socket that commands on this machine reach the supervisor by."""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from proxy.control.frames import FrameBroken, build_server_end
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import NAME, listen_on

_CREDENTIALS = struct.Struct("3i")

_log = structlog.get_logger("llm_proxy.supervisor")


class ControlServer:
    """Answers each `Ask` on each connection of the service's own user, and of root."""

    def __init__(self, directory: Path, answer: Callable[[Ask], Awaitable[Answer]]) -> None:
        self._directory = directory
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._inode = 0

    async def open(self) -> None:
        """
        Begin to listen.

        Raises:
            OSError: the directory cannot be written.
        """
        listening = listen_on(self._directory)
        self._inode = (self._directory / NAME).lstat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    async def close(self) -> None:
        """Stop listening and let go of who is still connected."""
        self._is_closed = True
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        path = self._directory / NAME
        with suppress(FileNotFoundError):
            if path.lstat().st_ino == self._inode:  # else it is a successor's by now
                path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        link = build_server_end(reader, writer)
        try:
            # The mode of the socket says the same; it may have been changed by somebody.
            is_ours = read_peer_uid(writer.get_extra_info("socket")) in (0, os.geteuid())
            if self._is_closed or not is_ours:
                return
            async for message in link.receive():
                if isinstance(message, Ask):
                    link.send(await self._answer(message))
        except FrameBroken as error:
            _log.warning("what came over the control socket is no message", reason=str(error))
        finally:
            await link.close()


def read_peer_uid(sock: socket.socket) -> int:
    """Return the user at the other end of a unix socket, as the kernel knows it."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)
