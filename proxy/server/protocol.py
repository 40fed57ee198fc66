"""One client connection: aiohttp's protocol, which also tells its reply when to pause."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler


class ClientConnection(RequestHandler):
    """aiohttp's connection, with two callbacks for the reply that is being written."""

    __slots__ = ("is_lost", "on_pause", "on_resume")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.is_lost = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop when the connection is gone; aiohttp cancels its request's task."""
        self.is_lost = True
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by the loop when the client reads more slowly than we write."""
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Called by the loop when the client has caught up."""
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()


class ConnectionServer(web.Server):
    """Makes a ClientConnection for each accepted socket."""

    def __call__(self) -> RequestHandler:
        """Return the protocol of one new connection."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)


class ServerRunner(web.AppRunner):
    """Runs an application on ConnectionServer; its keyword arguments go to each connection."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = ConnectionServer
        return server
