"""
The requests of one client connection, answered one after the other.

aiohttp's own loop makes a task for each request and has each answer write itself. Here the
connection's task does the work, and what the pipeline has written needs nothing more. What a
connection is besides stands in `connection.py`.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import ERROR, RequestHandler, RequestPayloadError

from proxy.server.written_answer import WrittenResponse

if TYPE_CHECKING:
    from aiohttp.web_protocol import _ErrInfo

_log = logging.getLogger("llm_proxy.server")


class RequestLoop(RequestHandler):
    """
    aiohttp's connection with a loop of ours; its parser, its timers and its flags stay.

    All requests of a connection share the context of its one task: a context variable that one
    of them sets would be seen by the next.
    """

    __slots__ = ()

    async def start(self) -> None:
        """Answer requests until the connection ends; aiohttp runs it as the connection's task."""
        while not self._force_close:
            if not self._messages:
                self._waiter = waiter = self._loop.create_future()
                try:
                    await waiter
                finally:
                    self._waiter = None
            if not await self._answer_next():
                break
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _answer_next(self) -> bool:
        """Answer the oldest request that has come, and return whether another may follow."""
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        try:
            keeps_alive = await self._answer(message, payload)
            if keeps_alive is None:
                return False
            self._keepalive = keeps_alive
            if self._paused and not self._force_close:
                # Who asks on and reads nothing would have answers pile up here.
                await self._drain_helper()
            if not payload.is_eof() and not self._force_close:
                await self._drop_rest(payload)
        except BaseException:  # cancelled, or a fault of ours: it costs this one connection
            self.force_close()
            raise
        if not keeps_alive or self._close or self._force_close:
            return False
        task = asyncio.current_task()  # not before: its frames would hold it if it is cancelled
        if task is None or task.cancelling():
            # An endpoint may answer although it was cancelled; the connection was meant as well.
            return False
        self._next_keepalive_close_time = close_s = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_s, self._process_keepalive)
        return True

    async def _answer(
        self, message: "RawRequestMessage | _ErrInfo", payload: StreamReader
    ) -> bool | None:
        """
        Answer one request, and return whether the connection may carry another.

        None: it has no whole answer. Endpoints answer for their own failures; what fails all
        the same may be answered in part, and more would be taken for the next answer.
        """
        make_request, handler = self._request_factory, self._request_handler
        if make_request is None or handler is None:  # the client has left
            return None
        if not isinstance(message, RawRequestMessage):
            handler, message = self._make_error_handler(message), ERROR
        request = make_request(
            message,
            payload,
            self,
            StreamWriter(self, self._loop),
            self._task_handler,  # type: ignore[arg-type]  # None once the client has left
        )
        self._current_request = request
        self._request_in_progress = True
        try:
            try:
                response = await handler(request)
            finally:
                self._current_request = None
            # What came behind a request for another protocol is parsed after its answer, there.
            if type(response) is not WrittenResponse or self._upgraded:
                response, is_reset = await self.finish_response(request, response, None)
                if is_reset:
                    return None
        except ConnectionError:
            return None
        except Exception:  # noqa: BLE001
            # It costs this one client its connection, never the process; the log says where.
            _log.exception("a request failed outside of its endpoint")
            return None
        finally:
            self._request_in_progress = False
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)
            request._task = None  # type: ignore[assignment]  # no ring through the task's frames
        return bool(response.keep_alive)

    async def _drop_rest(self, payload: StreamReader) -> None:
        """Wait a while for the end of a body that nobody has read, or close without it."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        except (TimeoutError, ConnectionError, HttpProcessingError, RequestPayloadError):
            self.close()
