"""The headers of our replies: built here, none of a provider's is passed on."""

from collections.abc import Iterable, Mapping
from itertools import islice
from math import ceil, isinf
from random import uniform

from proxy.domain.errors import (
    NoHealthyProvider,
    ProxyError,
    UpstreamAuthError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
)
from proxy.domain.model_name import is_plain_name
from proxy.pipeline.context import Exchange
from proxy.wire.dialects import find_dialect
from proxy.wire.openai_rate_headers import build_rate_headers

STREAM_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}
_STAYS = (UpstreamAuthError, UpstreamModelNotFound, UpstreamQuotaExhausted)
"""What only an operator can mend, also where it was known without asking."""
MAX_DROPPED_NAMES = 32
"""So many fields that were left out are named; one that is no plain name is `?`."""
RETRY_WITHIN_S = (1.0, 5.0)
"""When to come back where nobody has said it."""


def build_head(exchange: Exchange, kind: Mapping[str, str]) -> dict[str, str]:
    """
    Return the headers of a reply: those of its kind, and those that every reply carries.

    These are ids, limits, and how the request was routed.
    """
    headers = {
        **kind,
        "x-request-id": exchange.request_id,
        "x-litellm-call-id": exchange.request_id,
    }
    for name in find_dialect(exchange.request.operation).id_headers:
        headers[name] = exchange.request_id
    rate = exchange.rate
    if rate is not None:
        headers |= build_rate_headers(rate.limit_requests, rate.remaining_requests, rate.reset_s)
    if exchange.alias is not None:
        _add_way(headers, exchange, exchange.alias)
    return headers


def _add_way(headers: dict[str, str], exchange: Exchange, alias: str) -> None:
    """Add how a request was routed; names of LiteLLM's where they mean the same."""
    headers["x-llm-proxy-model"] = headers["x-litellm-model-group"] = alias
    headers["x-llm-proxy-attempts"] = str(len(exchange.attempts) + (exchange.attempt is not None))
    headers["x-litellm-attempted-retries"] = str(exchange.repeats)
    headers["x-litellm-attempted-fallbacks"] = str(exchange.furthest_leg)
    if exchange.route_reason is not None:
        headers["x-llm-proxy-reason"] = exchange.route_reason
    if exchange.attempt is not None:
        deployment = exchange.attempt.deployment
        headers["x-llm-proxy-provider"] = deployment.provider.name
        headers["x-litellm-model-id"] = deployment.id
    elif exchange.attempts:
        last = exchange.attempts[-1]
        headers["x-llm-proxy-provider"] = last.provider
        headers["x-litellm-model-id"] = f"{last.provider}/{last.model}"
    order = exchange.route_order
    if order:
        headers["x-llm-proxy-order"] = ",".join(order)
    fallback = exchange.fallback
    if fallback is not None:
        headers["x-llm-proxy-fallback"] = fallback
    if exchange.ask is not None and exchange.ask.dropped:
        headers["x-llm-proxy-dropped-params"] = _write_names(exchange.ask.dropped)
    if exchange.lacks_reasoning:
        headers["x-llm-proxy-reasoning"] = "missing"


def _write_names(names: Iterable[str]) -> str:
    """Return names of fields for a header; what a client has made up may be anything."""
    # There may be half a million of them: the first few are looked at.
    few = islice(names, MAX_DROPPED_NAMES)
    return ",".join(
        dict.fromkeys(name if is_plain_name(name) and "," not in name else "?" for name in few)
    )


def build_stream_head(exchange: Exchange) -> dict[str, str]:
    """Return the headers of a streamed reply."""
    kind = {"Content-Type": find_dialect(exchange.request.operation).stream_type, **STREAM_HEADERS}
    return build_head(exchange, kind)


def build_json_head(exchange: Exchange) -> dict[str, str]:
    """Return the headers of a JSON reply."""
    return build_head(exchange, JSON_HEADERS)


def build_error_head(exchange: Exchange, error: ProxyError) -> dict[str, str]:
    """
    Return the headers of an error reply: how long to wait, and whether to come back by oneself.

    Clients of the SDKs repeat failed requests. Once we have tried, more of the same helps nobody,
    and only multiplies what a provider in trouble gets.
    """
    headers = build_json_head(exchange)
    wait_s = error.retry_after_s
    is_repeated = bool(exchange.attempts) and not exchange.clients_repeat
    may_help = not is_repeated and not isinstance(error, _STAYS)
    if wait_s is not None and isinf(wait_s):
        may_help, wait_s = False, None
    elif isinstance(error, NoHealthyProvider) and wait_s is not None:
        # Many clients get this at the same moment: they are not all to come back at one.
        wait_s *= uniform(1.0, 1.1)
    elif isinstance(error, NoHealthyProvider | UpstreamOverloaded) and wait_s is None:
        wait_s = uniform(*RETRY_WITHIN_S)
    if wait_s is not None:
        # Whole seconds, rounded up: earlier would be refused again.
        headers["Retry-After"] = str(max(1, ceil(wait_s)))
    if not may_help:
        headers["x-should-retry"] = "false"
    return headers
