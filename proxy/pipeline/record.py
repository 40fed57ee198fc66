"""Stage: write down how a request ended; runs on every ending, exactly once."""

import time

from proxy.domain.catalog import is_name
from proxy.domain.exchange import RequestRecord
from proxy.domain.model_name import MAX_NAME_CHARACTERS
from proxy.pipeline.context import Exchange, name_error

CLIENT_CLOSED_STATUS = 499


def record(exchange: Exchange) -> None:
    """Close the attempt that is still open and tell the observers of the finished request."""
    error = exchange.error
    if exchange.ending == "completed":
        exchange.end_attempt("ok")
    elif exchange.ending == "failed" and error is not None:
        exchange.fail_attempt(error)
    else:
        exchange.end_attempt(exchange.ending)
    exchange.runtime.observer.request_ended(_build_record(exchange))


def _build_record(exchange: Exchange) -> RequestRecord:
    last = exchange.attempts[-1] if exchange.attempts else None
    caller, error = exchange.caller, exchange.error
    content_s = exchange.first_content_monotonic_s
    streams = exchange.ask is not None and exchange.ask.streams
    return RequestRecord(
        request_id=exchange.request_id,
        started_at=exchange.started_at,
        duration_s=time.monotonic() - exchange.started_monotonic_s,
        endpoint=exchange.request.endpoint,
        status=exchange.status or _unseen_status(exchange),
        ending=exchange.ending,
        streams=streams,
        alias=exchange.alias or _asked_name(exchange),
        provider=None if last is None else last.provider,
        model=None if last is None else last.model,
        key_id=None if caller is None else caller.key_id,
        organization_id=None if caller is None else caller.organization_id,
        error_code=None if error is None else name_error(error),
        error_detail=None if error is None else error.detail,
        ttft_s=None
        if content_s is None or not streams
        else content_s - exchange.started_monotonic_s,
        usage=exchange.usage,
        anomalies=exchange.anomalies,
        attempts=tuple(exchange.attempts),
        route_reason=exchange.route_reason,
        route_order=exchange.route_order,
        fallback=exchange.fallback,
        trace_id=None if exchange.trace is None else exchange.trace.trace_id,
    )


def _unseen_status(exchange: Exchange) -> int:
    """Return the status of a request whose client saw none."""
    if exchange.ending == "interrupted" and exchange.error is not None:
        return exchange.error.status
    return CLIENT_CLOSED_STATUS


def _asked_name(exchange: Exchange) -> str | None:
    """
    Return the start of the name that the client asked for, where it led nowhere.

    What no model could be called is left out: it may be a prompt that stands in the wrong place.
    """
    name = "" if exchange.ask is None else exchange.ask.model[:MAX_NAME_CHARACTERS]
    return name if is_name(name) else None
