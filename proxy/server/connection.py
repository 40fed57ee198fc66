"""
One client connection: aiohttp's protocol under our clocks, our caps and our last answers.

`lean_connection.py` hands its socket over to one with the first request that is not plain. What
is answered on it is decided in `dispatch.py`; what may be accepted in `connection_counts.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestPayloadError

from proxy.domain.errors import HeadTooLarge, ProxyError
from proxy.domain.exchange import ConnectionFault
from proxy.pipeline.context import Runtime, build_request_id
from proxy.server.absence import AbsenceWatch
from proxy.server.accept import FAREWELL_S, accept, end_late_head
from proxy.server.client_dialect import find_client_dialect
from proxy.server.connection_counts import Admission, ConnectionCounts
from proxy.server.refusal import (
    INVALID_HTTP,
    build_parser_error,
    build_refusal,
    build_refusal_record,
)
from proxy.server.request_loop import RequestLoop
from proxy.server.request_rules import read_path
from proxy.server.tcp_state import has_unread, reset
from proxy.server.write_stall import WriteStall
from proxy.server.written_answer import LAST

if TYPE_CHECKING:
    from aiohttp.web_protocol import _ErrInfo

SEARCHED_BYTES = 4096
"""Where in a read a header that asks for another protocol is looked for."""
MAX_HEAD_LINES = 256
"""Twice what the parser takes, with the empty lines that may come before a head."""

_HEAD_END = b"\r\n\r\n"


class ClientConnection(RequestLoop):
    """
    A loop of requests, with two callbacks for the reply that is being written.

    A client that is slow with a head, or takes nothing at all for a while, is cut off.
    """

    __slots__ = (
        "_absence",
        "_admission",
        "_counts",
        "_head_timer",
        "_is_head_begun",
        "_last_body",
        "_runtime",
        "_stall",
        "_wire",
        "is_lost",
        "on_pause",
        "on_resume",
        "whole_upgrade",
    )

    def __init__(
        self, *args: Any, runtime: Runtime, counts: ConnectionCounts, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._runtime = runtime
        self._counts = counts
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None
        self.is_lost = False
        self.whole_upgrade: RawRequestMessage | None = None
        """The request for another protocol behind which nothing was lost."""
        self._is_head_begun = False
        self._last_body: StreamReader | None = None
        self._wire: asyncio.Transport | None = None
        self._admission: Admission | None = None
        self._stall: WriteStall | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._absence: AbsenceWatch | None = None

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What reads and answers this connection's requests."""
        return self._task_handler

    @property
    def is_idle(self) -> bool:
        """Nothing has been asked that is not answered, nor has a request begun to come."""
        return self._is_waiting and not self._is_head_begun

    def end_with_answer(self) -> None:
        """Have the answer under way say that it is the last one, if its head is not out yet."""
        request = self._current_request
        if request is not None:
            request._message = request._message._replace(should_close=True)
            request._cache.pop("keep_alive", None)

    def close_idle(self) -> None:
        """Close an idle connection; one on which something has just come is not idle."""
        if self.transport is not None and not has_unread(self.transport):
            self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop with a new connection, which is reset if there are too many."""
        wire = cast(asyncio.Transport, transport)
        admission = accept(wire, self._runtime, self._counts)
        if admission is not None:
            head_s = self._runtime.snapshot.settings.client_clocks.head_s
            self.take_over(wire, admission, self._loop.time() + head_s)

    def take_over(
        self, transport: asyncio.Transport, admission: Admission, head_end_s: float | None
    ) -> None:
        """Begin with a connection that was accepted (see `lean_connection.Successor`)."""
        self._admission = admission
        super().connection_made(transport)
        # aiohttp forgets its transport as it closes; what is left in it still has to go out.
        self._wire = transport
        self._stall = WriteStall(self._loop, transport, self._end_stalled)
        self._absence = AbsenceWatch(self._loop, transport)
        if head_end_s is not None:
            self._head_timer = self._loop.call_at(head_end_s, self._end_late_head)
        if self._task_handler is not None:
            self._task_handler.add_done_callback(self._watch_leftovers)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the loop when the connection is gone; aiohttp cancels its request's task."""
        self.is_lost = True
        if self._stall is not None:
            self._stall.stop()
        # Rings with these would keep an answer's buffers until the collector comes by.
        self._stall = self.on_pause = self.on_resume = None
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._absence is not None:
            self._absence.stop()
        if self._admission is not None:
            self._admission.release()
        # The last body knows its connection, and so does the socket's transport.
        self._head_timer = self._absence = self._admission = self._last_body = self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by the loop with what the client has sent, and by aiohttp with b"" to go on."""
        count = self._request_count
        is_waiting = self._is_waiting
        # Whether the request before is answered yet is not asked, only whether it is all here.
        is_between = is_waiting or self._last_body is None or self._last_body.is_eof()
        if is_waiting and data.find(b"pgrade:", 0, SEARCHED_BYTES) >= 0:
            self._feed_upgrade(data)
        else:
            super().data_received(data)
        if self._request_count == count:
            # Nothing came of these bytes. Behind a whole request they are the beginning of a
            # head, or empty lines before one; else they belong to a body.
            if is_between and data.strip(b"\r\n"):
                self._is_head_begun = True
                if self._head_timer is None:
                    self._start_head_timer()
            return
        self._is_head_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._messages:
            message, payload = self._messages[-1]
            self._last_body = payload
            if not isinstance(message, RawRequestMessage):
                self._break_off()
            elif (
                payload.is_eof()
                and data
                and not _ends_with(data, payload.total_bytes)
                and not self._upgraded
            ):
                self._is_head_begun = True
                self._start_head_timer()

    def pause_writing(self) -> None:
        """Called by the loop when the client reads more slowly than we write."""
        super().pause_writing()
        self._watch_stall()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Called by the loop when the client has caught up."""
        super().resume_writing()
        # Of an answer before a close the last bytes must be watched out of the door.
        if self._stall is not None and self._wire is not None and not self._wire.is_closing():
            self._stall.stop()
        if self.on_resume is not None:
            self.on_resume()

    async def drain(self) -> None:
        """
        Wait until the client has taken most of what was written.

        A client that leaves meanwhile cancels the waiting task, like any other of its request.
        """
        try:
            await self._drain_helper()
        except ConnectionError:
            return

    async def refuse(
        self, request: web.BaseRequest, error: ProxyError, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Answer what is no request of ours with an error, and let the connection end."""
        request_id = build_request_id()
        self._runtime.observer.request_ended(build_refusal_record(error, request_id))
        if error.code == INVALID_HTTP or error.status == HeadTooLarge.status:
            self._tell("invalid_http")
        transport = self.transport
        if transport is not None and not transport.is_closing():
            dialect = find_client_dialect(read_path(request.raw_path), request.headers)
            answer = build_refusal(error, request_id, headers, dialect)
            if request.method == hdrs.METH_HEAD:
                answer = answer[: answer.index(_HEAD_END) + len(_HEAD_END)]
            transport.write(answer)
            self.close()
            with suppress(OSError):  # the client has reset the connection meanwhile
                transport.write_eof()
            # Ends sooner where the client closes: that cancels this task.
            await asyncio.sleep(FAREWELL_S)
        request.content.feed_eof()  # aiohttp would wait for the rest of a body
        return LAST

    def _make_error_handler(
        self, err_info: "_ErrInfo"
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """Return what answers bytes that aiohttp's parser has refused; called by aiohttp."""
        error = build_parser_error(err_info.exc)
        # Its frames hold the list that it is in: such a ring would wait for the collector.
        err_info.exc.__traceback__ = None

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            return await self.refuse(request, error)

        return refuse

    @property
    def _is_waiting(self) -> bool:
        """No request is under way, and none has come."""
        waiter = self._waiter
        # Its task has not had a turn yet where it was only just taken over.
        return not self._request_count if waiter is None else not waiter.done()

    def _feed_upgrade(self, data: bytes) -> None:
        """
        Have a head parsed that seems to ask for another protocol, which none here speaks.

        The parser drops what follows such a request in one piece with it. So it is given the
        head line by line, the body by its length, and then the rest.
        """
        count = self._request_count
        begin = 0
        for _ in range(MAX_HEAD_LINES):
            end = data.find(b"\n", begin) + 1 or len(data)
            super().data_received(data[begin:end])
            begin = end
            if begin == len(data) or self._request_count != count:
                break
        data = data[begin:]
        if self._messages and isinstance(message := self._messages[-1][0], RawRequestMessage):
            size = message.headers.get(hdrs.CONTENT_LENGTH, "0")
            size_bytes = int(size) if message.upgrade and not message.chunked else 0
            if size_bytes <= len(data) and not message.chunked:
                self.whole_upgrade = message
            super().data_received(data[:size_bytes])
            data = data[size_bytes:]
        if data:
            super().data_received(data)

    def _break_off(self) -> None:
        """See to it that a request whose body the parser has refused does not wait for more."""
        messages = self._messages
        if len(messages) > 1:
            if not messages[-2][1].is_eof():
                del messages[-2]  # not begun yet: it is refused instead of answered
            return
        request = self._current_request
        if messages and request is not None and not request.content.is_eof():
            # Its own answer is the last one. A second, for the same request, would be taken
            # for that to the next.
            messages.clear()
            self._tell("invalid_http")
            self.close()
            request.content.set_exception(RequestPayloadError("the body's framing is broken"))

    def _start_head_timer(self) -> None:
        head_s = self._runtime.snapshot.settings.client_clocks.head_s
        self._head_timer = self._loop.call_later(head_s, self._end_late_head)

    def _end_late_head(self) -> None:
        self._head_timer = None
        transport = self.transport
        if transport is None:
            return
        if not self._is_waiting:
            # A request is under way: what has come of the next one is looked at when it is over.
            self._start_head_timer()
            return
        end_late_head(transport, self._runtime)
        self.force_close()

    def _watch_stall(self) -> None:
        if self._stall is not None:
            self._stall.watch(self._runtime.snapshot.settings.client_clocks.write_stall_s)

    def _watch_leftovers(self, task: asyncio.Task[None]) -> None:
        wire = self._wire
        if not self.is_lost and wire is not None and wire.get_write_buffer_size():
            self._watch_stall()

    def _end_stalled(self) -> None:
        self._tell("write_stall")
        if self._wire is not None:
            # A close would leave what is unread with the kernel for minutes: nobody takes it.
            # connection_lost follows, and with it everything that a client's leaving brings.
            reset(self._wire)

    def _pause_transport_reading(self) -> None:
        super()._pause_transport_reading()
        if self._absence is not None:
            self._absence.begin()

    def _resume_transport_reading(self) -> None:
        # aiohttp resumes after each body, paused or not.
        if self._absence is not None and self._absence.is_on:
            super()._resume_transport_reading()
            self._absence.pause()

    def _tell(self, fault: ConnectionFault) -> None:
        self._runtime.observer.connection_failed(fault)


def _ends_with(data: bytes, body_bytes: int) -> bool:
    """Return whether these bytes end with a request whose body has that many."""
    end = len(data) - body_bytes
    # A head may end with less than its four last bytes in one read: nothing is behind it then.
    if end < len(_HEAD_END) or data[end - 4 : end] == _HEAD_END:
        return True
    # The end of a chunked body, and the empty line that some clients send behind any.
    return data.endswith(_HEAD_END) or data[end - 6 : end - 2] == _HEAD_END
