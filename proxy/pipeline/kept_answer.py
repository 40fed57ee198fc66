"""
A response that its provider keeps, asked for again: one question to that provider alone.

It is no attempt to have an answer made: nothing of it is billed, no breaker is asked or told, and
nobody else could answer in its place. It counts as a request of its key all the same, and takes a
place while it is under way. `server/response_endpoints.py` calls it.
"""

import time

import msgspec
from msgspec import Raw, Struct

from proxy.domain.catalog import Deployment, Provider, Snapshot
from proxy.domain.errors import NoHealthyProvider, ProxyError, UpstreamProtocolError
from proxy.domain.exchange import AttemptRecord, OutboundRequest, ResponseHead
from proxy.domain.identity import Caller
from proxy.domain.service_errors import ResponseNotFound
from proxy.pipeline.attempt import hide_key
from proxy.pipeline.context import Runtime, name_error
from proxy.pipeline.error_answer import Inlet, read_error
from proxy.pipeline.limit import limit, release
from proxy.pipeline.whole_answer import BodyCollector
from proxy.policy.limits import RateDecision
from proxy.providers.registry import find_keeper
from proxy.upstream.base import Transport

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class KeptQuestion(Struct, frozen=True):
    """What is asked about a response, and of whom."""

    provider: str
    """Who keeps it."""
    method: str
    """GET or DELETE."""
    path: str
    """Behind that of all responses: an id, quoted, and what is asked of it."""
    query: str = ""
    """Without its `?`; "" is none."""


class _Counted(Struct):
    """What `limit` counts (see `limit.py`)."""

    runtime: Runtime
    snapshot: Snapshot
    place_of: str | None = None
    rate: RateDecision | None = None


async def fetch_kept(runtime: Runtime, caller: Caller, question: KeptQuestion) -> bytes:
    """
    Return what a provider answers about a response that it keeps: a JSON object.

    Args:
        runtime: its snapshot has the provider.
        caller: who asks; that the response is theirs has been found out before.
        question: about one response.

    Raises:
        ServerOverloaded: there is no place for one more request.
        LimitExceeded: the caller's key has used its rate.
        ResponseNotFound: the provider does not know it any more.
        NoHealthyProvider: the provider is not in use any more, or keeps no responses.
        UpstreamError: it could not be asked, or its answer is none.
    """
    # Both of one moment: a provider of an older snapshot may have no transport.
    snapshot, transports = runtime.snapshot, runtime.transports
    provider = snapshot.providers.get(question.provider)
    keeper = None if provider is None or not provider.enabled else find_keeper(provider.type)
    if provider is None or keeper is None:
        raise NoHealthyProvider("The provider that keeps this response is not in use any more.")
    outbound = keeper.build_kept_request(provider, question.method, question.path, question.query)
    counted = _Counted(runtime, snapshot)
    try:
        await limit(counted, caller)
        return await _fetch(runtime, provider, transports[provider.name], outbound, snapshot)
    finally:
        release(counted)


async def _fetch(
    runtime: Runtime,
    provider: Provider,
    transport: Transport,
    outbound: OutboundRequest,
    snapshot: Snapshot,
) -> bytes:
    started_s = time.monotonic()
    runtime.observer.attempt_started(provider.name)
    outcome = "client_closed"
    try:
        body = await _ask(transport, outbound, snapshot.settings.max_answer_bytes)
        outcome = "ok"
    except ProxyError as error:
        hide_key(error, Deployment(provider, ""))
        outcome = name_error(error)
        raise
    finally:
        spent_s = time.monotonic() - started_s
        runtime.observer.attempt_ended(AttemptRecord(provider.name, "", outcome, spent_s))
    return body


async def _ask(transport: Transport, outbound: OutboundRequest, most_bytes: int) -> bytes:
    started_s = time.monotonic()
    inlet = Inlet()
    opened = await transport.open(outbound, inlet)
    try:
        _check_head(opened.head)
        if not 200 <= opened.head.status < 300:
            raise await read_error(opened, inlet)
        inlet.target = collector = BodyCollector(opened, most_bytes)
        body = await collector.collect(outbound.clocks.answer_s - (time.monotonic() - started_s))
    finally:
        opened.close()
    return _check_body(body)


def _check_head(head: ResponseHead) -> None:
    if head.status == 404:
        raise ResponseNotFound()
    if head.headers.get("content-encoding") and head.status < 300:
        # It was asked for as it is, and nothing of this size needs to be compressed.
        raise UpstreamProtocolError("The provider compressed an answer unasked.")


def _check_body(body: bytes) -> bytes:
    try:
        if not body.isascii():
            body.decode()
        _decode_object(body)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    return body
