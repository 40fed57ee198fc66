"""
`GET /admin/events`: what happens in the service, as server-sent events, while it happens.

Which events there are, and who waits for them, is in `telemetry/event_hub.py`.
"""

import asyncio
from typing import cast

from aiohttp import hdrs, web

from proxy.domain.errors import ServerOverloaded
from proxy.server.connection import ClientConnection
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState
from proxy.server.written_answer import SERVER_NAME
from proxy.telemetry.event_hub import MAX_SUBSCRIBERS, EventHub, Subscription

PING_EACH_S = 15.0
SEND_WITHIN_S = 30.0
"""How long a client may take nothing of an event."""
RETRY_AFTER_S = 5
RECONNECT_MS = 2000
"""When a browser comes back after a stream has ended."""


class EventEndpoint:
    """Streams events to each client that listens, until it leaves or the server does."""

    def __init__(self, state: ServerState) -> None:
        self._events: EventHub = state.events

    def add(self, registrar: Registrar) -> None:
        """Add the path."""
        registrar.add("admin", ("GET",), "/admin/events", self.stream)

    async def stream(self, visit: Visit) -> web.StreamResponse:
        """Answer with events, beginning after the one that `Last-Event-ID` names."""
        headers = {
            "Server": SERVER_NAME,
            "Cache-Control": "no-store",
            "x-request-id": visit.request_id,
        }
        if visit.request.method == hdrs.METH_HEAD:
            return web.Response(headers={**headers, "Content-Type": "text/event-stream"})
        subscription = self._events.subscribe(visit.request.headers.get("Last-Event-ID"))
        if subscription is None:
            raise ServerOverloaded(
                f"{MAX_SUBSCRIBERS} clients listen to the events of this process already.",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            return await self._send_all(visit.request, subscription, headers)
        finally:
            self._events.unsubscribe(subscription)

    async def _send_all(
        self, request: web.Request, subscription: Subscription, headers: dict[str, str]
    ) -> web.StreamResponse:
        # Loaded by the first who listens: few servers ever have one.
        from aiohttp_sse import EventSourceResponse

        response = EventSourceResponse(
            sep="\n", ping_interval=PING_EACH_S, send_timeout=SEND_WITHIN_S
        )
        response.headers.update(headers)
        del response.headers["Connection"]  # aiohttp knows whether it may stay
        try:
            await response.prepare(request)
            await response.write(f": listening\nretry: {RECONNECT_MS}\n\n".encode())
            while (numbered := await subscription.read()) is not None:
                event = numbered.event
                await response.send(event.data.decode(), id=numbered.id or None, event=event.name)
            response.force_close()
        except asyncio.CancelledError:
            # A client that leaves is how a stream of events ends: its record is of a success.
            if not cast(ClientConnection, request.protocol).is_lost and not self._events.is_ended:
                raise
        except (ConnectionError, TimeoutError):
            response.force_close()
        finally:
            if response.is_connected():
                response.stop_streaming()
        return response
