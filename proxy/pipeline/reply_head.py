"""The headers of our replies: built here, none of a provider's is passed on."""

from collections.abc import Mapping

from proxy.domain.errors import ProxyError
from proxy.pipeline.context import Exchange
from proxy.wire.openai_rate_headers import build_rate_headers

STREAM_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}


def build_head(exchange: Exchange) -> dict[str, str]:
    """Return the headers that every reply carries: ids, limits, and how the request was routed."""
    headers = {"x-request-id": exchange.request_id}
    rate = exchange.rate
    if rate is not None:
        headers |= build_rate_headers(rate.limit_requests, rate.remaining_requests, rate.reset_s)
    if exchange.alias is not None:
        headers["x-llm-proxy-model"] = exchange.alias
        headers["x-llm-proxy-attempts"] = str(
            len(exchange.attempts) + (exchange.attempt is not None)
        )
        if exchange.route_reason is not None:
            headers["x-llm-proxy-reason"] = exchange.route_reason
        provider = exchange.provider_name
        if provider is not None:
            headers["x-llm-proxy-provider"] = provider
        if exchange.ask is not None and exchange.ask.dropped:
            headers["x-llm-proxy-dropped-params"] = ",".join(exchange.ask.dropped)
    return headers


def build_stream_head(exchange: Exchange) -> dict[str, str]:
    """Return the headers of a streamed reply."""
    return {**STREAM_HEADERS, **build_head(exchange)}


def build_json_head(exchange: Exchange) -> dict[str, str]:
    """Return the headers of a JSON reply."""
    return {**JSON_HEADERS, **build_head(exchange)}


def build_error_head(exchange: Exchange, error: ProxyError) -> dict[str, str]:
    """Return the headers of an error reply, with how long to wait where that is known."""
    headers = build_json_head(exchange)
    if error.retry_after_s is not None:
        # Whole seconds, rounded up: earlier would be refused again.
        headers["Retry-After"] = str(max(1, -int(-error.retry_after_s // 1)))
    return headers
