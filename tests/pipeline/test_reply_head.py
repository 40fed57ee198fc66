"""Replies carry our headers, and how long to wait where that is known."""

from typing import ClassVar

import pytest

from proxy.domain.errors import LimitExceeded
from proxy.pipeline.context import Exchange
from proxy.pipeline.reply_head import build_error_head, build_head, build_stream_head
from proxy.policy.limits import RateDecision
from proxy.wire.base import Ask
from tests.fakes.proxy_server import build_runtime


class NoRequest:
    """An InboundRequest that nobody reads."""

    operation = "chat"
    endpoint = "/chat/completions"
    headers: ClassVar[dict[str, str]] = {}


@pytest.fixture
async def exchange() -> Exchange:
    """An exchange at its very beginning."""
    runtime = build_runtime()
    return Exchange(NoRequest(), None, runtime)  # type: ignore[arg-type]


async def test_a_request_that_was_not_routed_shows_its_id_only(exchange: Exchange) -> None:
    """Before a route is found the only header of ours is the request id."""
    assert build_head(exchange) == {"x-request-id": exchange.request_id}


async def test_a_limited_key_is_told_what_is_left(exchange: Exchange) -> None:
    """Replies of every kind carry the limit, once it has been counted against."""
    exchange.rate = RateDecision(True, 60, 59, 1.0, 0.0)
    told = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    assert told.items() <= build_stream_head(exchange).items()
    assert told.items() <= build_error_head(exchange, LimitExceeded()).items()


async def test_fields_that_were_left_out_are_named(exchange: Exchange) -> None:
    """What the chosen provider does not take is named in a header."""
    exchange.alias = "m"
    exchange.ask = Ask("chat", "m", {}, dropped=["seed", "user"])
    assert build_head(exchange)["x-llm-proxy-dropped-params"] == "seed,user"


async def test_streams_ask_not_to_be_buffered(exchange: Exchange) -> None:
    """Proxies in between are told to pass a stream on as it comes."""
    head = build_stream_head(exchange)
    assert head["X-Accel-Buffering"] == "no"
    assert head["Cache-Control"] == "no-cache, no-transform"


@pytest.mark.parametrize(("wait_s", "shown"), [(0.0, "1"), (1.0, "1"), (1.001, "2"), (59.2, "60")])
async def test_waits_are_whole_seconds_rounded_up(
    exchange: Exchange, wait_s: float, shown: str
) -> None:
    """`Retry-After` never tells a client to come back too early, and never 0."""
    head = build_error_head(exchange, LimitExceeded(retry_after_s=wait_s))
    assert head["Retry-After"] == shown
    assert "Retry-After" not in build_error_head(exchange, LimitExceeded())
