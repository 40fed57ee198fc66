"""
Stage: ask a provider, and come back with an answer that may be shown to the client.

For a stream that is the commit point: the first event with content has been read. Until
then nothing of the attempt has reached the client, whatever went wrong.
"""

import time
from collections.abc import Sequence

from msgspec import Struct

from proxy.domain.catalog import Deployment
from proxy.domain.errors import (
    DeadlineExceeded,
    ProxyError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRejected,
)
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.context import Attempt, Exchange
from proxy.pipeline.signs_of_life import SignsOfLife
from proxy.pipeline.stream_answer import StreamAnswer
from proxy.pipeline.trace_headers import build_trace_headers
from proxy.pipeline.whole_answer import BodyCollector
from proxy.providers.base import ProviderType
from proxy.providers.registry import find_type
from proxy.upstream.base import BodySink, OpenedResponse
from proxy.upstream.deadline import Deadline
from proxy.wire.base import Ask
from proxy.wire.openai_answer import read_openai_answer
from proxy.wire.openai_error import read_error_answer

MAX_ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_S = 5.0


class WholeAnswer(Struct):
    """A complete answer, checked, in the client's dialect."""

    body: bytes


async def call(
    exchange: Exchange, ask: Ask, candidates: Sequence[Deployment]
) -> StreamAnswer | WholeAnswer:
    """
    Ask the first of the candidates and return its answer.

    Raises:
        ProxyError: it failed, or `request_timeout` ran out; nothing of its answer has been sent.
    """
    signs_of_life = SignsOfLife(exchange) if ask.streams else None
    try:
        with Deadline(exchange.snapshot.settings.request_timeout_s):
            return await _attempt(exchange, ask, candidates[0])
    except TimeoutError:
        error = DeadlineExceeded()
        exchange.fail_attempt(error)
        raise error from None
    finally:
        if signs_of_life is not None:
            signs_of_life.stop()


async def _attempt(
    exchange: Exchange, ask: Ask, deployment: Deployment
) -> StreamAnswer | WholeAnswer:
    provider_type = find_type(deployment.provider.type)
    trace_headers = build_trace_headers(exchange.trace, exchange.request.headers)
    outbound = provider_type.build_request(ask, deployment, trace_headers)
    transport = exchange.runtime.transports[deployment.provider.name]
    attempt = exchange.begin_attempt(deployment)
    inlet = _Inlet()
    try:
        opened = await transport.open(outbound, inlet)
        attempt.note_head()
        try:
            await _check_head(ask, opened, inlet)
            if ask.streams:
                return await _await_content(exchange, ask, provider_type, opened, inlet, attempt)
            return await _collect(exchange, ask, provider_type, opened, inlet, attempt)
        except BaseException:
            # A cancelled request, too, lets go of its provider at once.
            opened.close()
            raise
    except ProxyError as error:
        _hide_key(error, deployment)
        exchange.fail_attempt(error)
        raise


def _hide_key(error: ProxyError, deployment: Deployment) -> None:
    """Take our key out of a provider's words, whatever it looks like: some repeat it."""
    key = deployment.provider.api_key
    if key is not None and isinstance(error, UpstreamRejected):
        text = key.reveal()
        error.message = error.message.replace(text, "***")
        error.param = error.param and error.param.replace(text, "***")
        error.code = error.code and error.code.replace(text, "***")


async def _await_content(
    exchange: Exchange,
    ask: Ask,
    provider_type: ProviderType,
    opened: OpenedResponse,
    inlet: "_Inlet",
    attempt: Attempt,
) -> StreamAnswer:
    settings = exchange.snapshot.settings
    clocks = attempt.deployment.provider.clocks
    reader = provider_type.open_stream(ask, settings.max_event_bytes)
    spent_s = time.monotonic() - attempt.started_monotonic_s
    answer = StreamAnswer(reader, opened, clocks, spent_s, settings)
    inlet.target = answer
    try:
        opened.resume()
        await answer.wait_for_content()
    except BaseException:
        exchange.usage = answer.usage
        answer.close()
        raise
    exchange.first_content_monotonic_s = time.monotonic()
    return answer


async def _collect(
    exchange: Exchange,
    ask: Ask,
    provider_type: ProviderType,
    opened: OpenedResponse,
    inlet: "_Inlet",
    attempt: Attempt,
) -> WholeAnswer:
    spent_s = time.monotonic() - attempt.started_monotonic_s
    collector = BodyCollector(opened, exchange.snapshot.settings.max_answer_bytes)
    inlet.target = collector
    raw = await collector.collect(attempt.deployment.provider.clocks.answer_s - spent_s)
    exchange.first_content_monotonic_s = time.monotonic()
    body, exchange.usage = provider_type.read_answer(ask, raw)
    return WholeAnswer(body)


async def _check_head(ask: Ask, opened: OpenedResponse, inlet: "_Inlet") -> None:
    """Raise what a head says that is no success in the format that was asked for."""
    head = opened.head
    if head.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UpstreamProtocolError(
            "The provider compressed its answer though it was asked not to.",
            code="unsupported_encoding",
        )
    if not 200 <= head.status < 300:
        raise await _read_error(head, opened, inlet)
    media_type = head.media_type
    if ask.streams and media_type not in ("text/event-stream", ""):
        if media_type == "application/json":
            await _raise_error_inside(ask, opened, inlet)
        raise UpstreamProtocolError("The provider did not answer with an event stream.")
    if not ask.streams and media_type in ("text/html", "text/event-stream"):
        raise UpstreamProtocolError("The provider did not answer with JSON.")


async def _read_error(head: ResponseHead, opened: OpenedResponse, inlet: "_Inlet") -> UpstreamError:
    body = await _read_start(opened, inlet)
    return read_error_answer(head.status, head.headers, body, time.time())


async def _raise_error_inside(ask: Ask, opened: OpenedResponse, inlet: "_Inlet") -> None:
    """Raise the error object of a JSON body that came with status 200 instead of a stream."""
    body = await _read_start(opened, inlet)
    read_openai_answer(ask, body, None)


async def _read_start(opened: OpenedResponse, inlet: "_Inlet") -> bytes:
    collector = BodyCollector(opened, MAX_ERROR_BODY_BYTES, keeps_start=True)
    inlet.target = collector
    try:
        return await collector.collect(ERROR_BODY_S)
    except ProxyError:
        # The status has said enough; its body would only have had the words.
        return b""


class _Inlet:
    """The BodySink that a request is opened with; its target is chosen when the head is known."""

    __slots__ = ("target",)

    target: BodySink

    def data(self, chunk: bytes) -> None:
        self.target.data(chunk)

    def end(self) -> None:
        self.target.end()

    def fail(self, error: ProxyError) -> None:
        self.target.fail(error)
