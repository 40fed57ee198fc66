"""What a client of a stream gets while no provider has anything to show yet."""

import asyncio

from proxy.pipeline.context import Exchange
from proxy.pipeline.reply_head import build_stream_head
from proxy.wire.dialects import find_dialect


class SignsOfLife:
    """
    From dispatch until there is something to show: after a while of silence headers, then
    comments, or what the client's dialect has for them. Of a buffered stream that is its end.

    Clients and whatever stands between hang up on a connection that stays silent. The price
    is the status: once the headers are out, a failure can only be told in the stream.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        delay_s = exchange.snapshot.settings.commit_delay_s
        self._timer = self._loop.call_later(delay_s, self._begin)

    def stop(self) -> None:
        """Stop: there is something to show, or nothing will come."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._show())

    async def _show(self) -> None:
        exchange = self._exchange
        await exchange.start_reply(build_stream_head(exchange))
        keep_alive = find_dialect(exchange.request.operation).keep_alive
        while True:
            exchange.reply.data(keep_alive)
            await asyncio.sleep(exchange.snapshot.settings.keep_alive_s)
