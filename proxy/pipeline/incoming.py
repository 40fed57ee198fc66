"""
An answer whose head has arrived: what it is, and what has to be done to have it.

`call.py` makes one for each attempt. What a provider says in its head decides how the body
is read, and nothing else: no header of it goes any further.
"""

import time

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.settings import Clocks
from proxy.pipeline.body_start import BodyStart
from proxy.pipeline.context import Attempt, Exchange
from proxy.pipeline.error_answer import Inlet, read_error
from proxy.pipeline.inflate import Inflater, check_encoding
from proxy.pipeline.stream_answer import StreamAnswer
from proxy.pipeline.whole_answer import BodyCollector, WholeAnswer
from proxy.providers.base import ProviderType
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.dialects import dress_answer, find_dialect


class Incoming:
    """
    The answer to one attempt; `opened` is still paused, and closed by who made this.

    With `is_buffered` nothing of a stream may be shown before it is complete.
    """

    __slots__ = (
        "_ask",
        "_attempt",
        "_exchange",
        "_inlet",
        "_is_buffered",
        "_opened",
        "_provider_type",
    )

    def __init__(
        self,
        exchange: Exchange,
        ask: Ask,
        provider_type: ProviderType,
        attempt: Attempt,
        opened: OpenedResponse,
        inlet: Inlet,
        *,
        is_buffered: bool,
    ) -> None:
        self._exchange = exchange
        self._ask = ask
        self._provider_type = provider_type
        self._attempt = attempt
        self._opened = opened
        self._inlet: Inlet | Inflater = inlet
        self._is_buffered = is_buffered

    async def read(self) -> StreamAnswer | WholeAnswer:
        """
        Return what may be shown to the client: a stream at its commit point, or all of it.

        Raises:
            ProxyError: it is no success, not the format that was asked for, or broken.
        """
        head = self._opened.head
        encoding = head.headers.get("content-encoding")
        if not 200 <= head.status < 300:
            raise await read_error(self._opened, self._inlet)
        if encoding:
            self._inflate(check_encoding(encoding))
        media_type = head.media_type
        if not self._ask.streams:
            if media_type in ("text/html", "text/event-stream", "application/x-ndjson"):
                raise UpstreamProtocolError("The provider did not answer with JSON.")
            answer = await self._read_json()
            return WholeAnswer(dress_answer(self._exchange.request.operation, self._ask, answer))
        if media_type == self._provider_type.stream_type:
            return await self._read_stream()
        if media_type == "text/html":
            raise _no_stream()
        return await self._read_unnamed()

    @property
    def _clocks(self) -> Clocks:
        return self._attempt.deployment.provider.clocks

    def _measure_spent_s(self) -> float:
        return time.monotonic() - self._attempt.started_monotonic_s

    def _inflate(self, encoding: str) -> None:
        """Put an inflater, which is both, in the place of the response and of its inlet."""
        if encoding:
            self._opened = self._inlet.target = inflater = Inflater(self._opened, encoding)
            self._inlet = inflater

    def _flow_into(self, sink: BodySink, start: BodyStart | None) -> None:
        """Have the body go to `sink`: first what `start`, if there was one, has of it."""
        self._inlet.target = sink
        if start is not None:
            start.hand_over(sink)

    async def _read_stream(self, start: BodyStart | None = None) -> StreamAnswer | WholeAnswer:
        exchange, settings = self._exchange, self._exchange.snapshot.settings
        reader = self._provider_type.open_stream(self._ask, settings.max_event_bytes)
        stream = StreamAnswer(
            reader,
            self._opened,
            self._attempt,
            settings,
            is_buffered=self._is_buffered,
            keep_alive=find_dialect(self._ask.operation).keep_alive,
            holds_end=self._ask.operation == "responses",
        )
        try:
            self._flow_into(stream, start)
            self._opened.resume()
            if self._is_buffered:
                return await self._hold(stream)
            await stream.wait_for_content()
        except BaseException:  # also a cancelled request lets go of its provider
            if exchange.reply.is_client_gone:
                # It had the provider work. Who is still there has got nothing, and may yet get
                # the answer of another attempt, which is what will count.
                exchange.usage, exchange.anomalies = stream.usage, stream.anomalies
            stream.close()
            raise
        exchange.first_content_monotonic_s = self._attempt.content_monotonic_s
        return stream

    async def _hold(self, stream: StreamAnswer) -> WholeAnswer:
        """Return a stream as a whole answer, and let go of its provider."""
        body = await stream.wait_for_end()
        stream.close()
        exchange = self._exchange
        exchange.first_content_monotonic_s = self._attempt.content_monotonic_s
        exchange.usage, exchange.anomalies = stream.usage, stream.anomalies
        return WholeAnswer(body, is_stream=True)

    async def _read_json(self, start: BodyStart | None = None) -> CheckedAnswer:
        exchange, attempt = self._exchange, self._attempt
        collector = BodyCollector(self._opened, exchange.snapshot.settings.max_answer_bytes)
        self._flow_into(collector, start)
        raw = await collector.collect(self._clocks.answer_s - self._measure_spent_s())
        came_monotonic_s = time.monotonic()
        provider_type = self._provider_type
        read = provider_type.stream_answer if self._ask.streams else provider_type.read_answer
        answer = read(self._ask, raw)
        attempt.content_monotonic_s = exchange.first_content_monotonic_s = came_monotonic_s
        exchange.usage, exchange.anomalies = answer.usage, answer.anomalies
        return answer

    async def _read_unnamed(self) -> StreamAnswer | WholeAnswer:
        """
        Read what was to be a stream and does not say that it is one: its first bytes tell.

        JSON is made the stream that was asked for; a stream under another name, or none, is
        what some gateways in front of a good server send.
        """
        start = BodyStart(self._opened)
        self._inlet.target = start
        if await start.wait(self._clocks.first_token_s - self._measure_spent_s()):
            return await self._read_stream(start)
        if not start.is_object:
            raise _no_stream()
        answer = await self._read_json(start)
        return WholeAnswer(answer.body, is_stream=True)


def _no_stream() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider did not answer with an event stream.")
