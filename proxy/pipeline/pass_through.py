"""
One request that nobody translates, from its head to its record: audio, pictures, files and the
like go to one provider as they come, and its answer comes back as it is.

The stages are those of `handle.py`; receive, call and relay are others, because no body is whole
here at any time.
"""

import asyncio
import logging
from urllib.parse import urlencode

from proxy.domain.catalog import Deployment
from proxy.domain.errors import (
    InternalError,
    InvalidRequest,
    NotOffered,
    ProxyError,
    RequestTimeout,
    UpstreamAddressRefused,
    UpstreamAuthError,
    UpstreamModelNotFound,
    UpstreamPoolFull,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.pipeline.admit import admit
from proxy.pipeline.attempt import hide_key
from proxy.pipeline.authenticate import authenticate
from proxy.pipeline.base import PassingReply, PassingRequest
from proxy.pipeline.board import Ticket
from proxy.pipeline.context import Exchange, PassedExchange, Runtime, name_error
from proxy.pipeline.error_answer import Inlet
from proxy.pipeline.limit import limit, release
from proxy.pipeline.passed_body import PassedBody, receive_passed
from proxy.pipeline.passed_relay import relay_passed
from proxy.pipeline.passed_target import OF_ACCOUNTS, find_targets
from proxy.pipeline.record import record
from proxy.pipeline.refuse import interrupt, refuse
from proxy.pipeline.trace_headers import build_trace_headers
from proxy.policy.admission import Admission, build_error
from proxy.providers.passed_request import PassedRequest, Passer, refuse_operation
from proxy.providers.registry import find_kind, find_type
from proxy.telemetry.tracing import read_traceparent
from proxy.upstream.deadline import Deadline

PASSED_QUERY = ("after", "limit", "order", "purpose")
"""What a list may be asked with; nothing else of a query goes on."""
MAX_QUERY_CHARACTERS = 256
"""Of one value of it."""

_NO_CONNECTION = (UpstreamUnreachable, UpstreamAddressRefused, UpstreamTlsError, UpstreamPoolFull)
_DIAL_CLOCKS = ("upstream_connect_timeout", "upstream_tls_timeout")
_log = logging.getLogger("llm_proxy.pipeline")


async def pass_through(request: PassingRequest, reply: PassingReply, runtime: Runtime) -> None:
    """Answer one request; whatever happens, the client gets one ending and we get one record."""
    exchange = PassedExchange(request, reply, runtime)
    snapshot = exchange.snapshot
    try:
        exchange.trace = read_traceparent(request.headers.get("traceparent"))
        exchange.caller = caller = authenticate(request.headers, snapshot, runtime.hasher)
        await limit(exchange, caller)
        body = await receive_passed(request, snapshot.settings)
        targets = find_targets(exchange, request, body.model, caller)
        await _call(exchange, request, reply, body, targets)
        exchange.ending = "completed"
    except ProxyError as error:
        await refuse(exchange, error)
    except asyncio.CancelledError:
        if reply.is_client_gone:
            exchange.ending = "client_closed"
        else:
            interrupt(exchange)
        raise
    except Exception:  # noqa: BLE001
        # As in `handle`: it costs this one client an error, and the log says where it happened.
        _log.exception("request failed", extra={"request_id": exchange.request_id})
        await refuse(exchange, InternalError())
    finally:
        release(exchange)
        record(exchange)
        if exchange.error is not None:
            exchange.error.forget_origin()


async def _call(
    exchange: Exchange,
    request: PassingRequest,
    reply: PassingReply,
    body: PassedBody,
    targets: tuple[Deployment, ...],
) -> None:
    """
    Have the first target answer that offers this and may be asked.

    Another is tried only where no connection came about: nothing was sent then.

    Raises:
        ProxyError: none could be asked, or one that was asked has failed.
    """
    refusals: list[Admission] = []
    failed: ProxyError | None = None
    for deployment in targets:
        try:
            outbound = _build(exchange, request, body, deployment)
        except NotOffered as error:
            failed = failed or error
            continue
        ticket = await admit(exchange, deployment, may_wait=True)
        if isinstance(ticket, Admission):
            refusals.append(ticket)
            continue
        try:
            await _attempt(exchange, request, reply, deployment, ticket, outbound)
        except ProxyError as error:
            if body.is_begun or not _was_unsent(error):
                raise
            error.forget_origin()
            failed = error
        else:
            return
    if failed is None or (refusals and isinstance(failed, NotOffered)):
        raise build_error(refusals)
    raise failed


def _build(
    exchange: Exchange, request: PassingRequest, body: PassedBody, deployment: Deployment
) -> OutboundRequest:
    provider, passed = deployment.provider, request.passed
    provider_type, kind = find_type(provider.type), find_kind(provider.type)
    if kind is None or passed not in kind.passes or not isinstance(provider_type, Passer):
        raise refuse_operation(provider.type if kind is None else kind.title, passed)
    opened = body.open(deployment.model)
    asked = PassedRequest(
        passed,
        request.method,
        request.rest,
        _build_query(request),
        "" if passed in OF_ACCOUNTS else deployment.model,
        opened.content_type,
        opened.body,
        opened.upload,
    )
    trace_headers = build_trace_headers(exchange.trace, request.headers)
    return provider_type.build_passed_request(asked, provider, trace_headers)


def _build_query(request: PassingRequest) -> str:
    """Return what a list is asked with; other operations have no query that would be theirs."""
    if request.passed not in OF_ACCOUNTS or request.method != "GET":
        return ""
    kept = {name: request.query[name] for name in PASSED_QUERY if name in request.query}
    for name, value in kept.items():
        if len(value) > MAX_QUERY_CHARACTERS:
            raise InvalidRequest(f"'{name}' is too long.", param=name)
    return urlencode(kept)


async def _attempt(
    exchange: Exchange,
    request: PassingRequest,
    reply: PassingReply,
    deployment: Deployment,
    ticket: Ticket,
    outbound: OutboundRequest,
) -> None:
    transport = exchange.transports[deployment.provider.name]
    attempt = exchange.begin_attempt(deployment, ticket)
    inlet = Inlet()
    try:
        try:
            with Deadline(outbound.clocks.total_s):
                opened = await transport.open(outbound, inlet)
        except TimeoutError:
            # All clocks of the provider's own are shorter: it was the client who took so long.
            raise RequestTimeout() from None
        attempt.note_head()
        try:
            await relay_passed(exchange, request, reply, attempt, opened, inlet)
        finally:
            opened.close()
    except ProxyError as error:
        hide_key(error, deployment)
        if isinstance(error, UpstreamAuthError | UpstreamModelNotFound):
            # It may be about this operation alone: who asks for what an account may not do must
            # not keep others from what it may.
            exchange.end_attempt(name_error(error))
        else:
            exchange.fail_attempt(error)
        raise


def _was_unsent(error: ProxyError) -> bool:
    """Return whether there was no connection at all."""
    is_dial = isinstance(error, UpstreamTimeout) and error.code in _DIAL_CLOCKS
    return is_dial or isinstance(error, _NO_CONNECTION)
