"""Replies carry our headers, and how long to wait where that is known."""

from typing import ClassVar

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Group
from proxy.domain.errors import (
    LimitExceeded,
    NoHealthyProvider,
    UpstreamOverloaded,
    UpstreamServerError,
)
from proxy.domain.exchange import AttemptRecord
from proxy.pipeline.context import Exchange, PassedExchange
from proxy.pipeline.reply_head import (
    MAX_DROPPED_NAMES,
    build_error_head,
    build_head,
    build_stream_head,
)
from proxy.policy.limits import RateDecision
from proxy.wire.base import Ask
from tests.fakes.proxy_server import (
    ANSWER,
    build_chat,
    build_provider,
    build_runtime,
    build_snapshot,
    serving,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering, post


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
    """Before a route is found the request id, under both of its names, is all that is known."""
    request_id = exchange.request_id
    assert build_head(exchange, {}) == {"x-request-id": request_id, "x-litellm-call-id": request_id}


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
    assert build_head(exchange, {})["x-llm-proxy-dropped-params"] == "seed,user"


async def test_a_field_that_a_client_has_made_up_makes_no_header(exchange: Exchange) -> None:
    """Names that are not plain are told of, never written; no name twice, and only so many."""
    exchange.alias = "m"
    odd = ["a\r\nSet-Cookie: x", "é", "", "two words", "a,b", "x" * 10_000, "\x00"]
    exchange.ask = Ask("chat", "m", {}, dropped=["seed", *odd, "seed", "user"])
    assert build_head(exchange, {})["x-llm-proxy-dropped-params"] == "seed,?,user"
    exchange.ask.dropped = [f"field_{place}" for place in range(5000)]
    named = build_head(exchange, {})["x-llm-proxy-dropped-params"].split(",")
    assert named == exchange.ask.dropped[:MAX_DROPPED_NAMES]


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


async def test_who_cannot_be_served_now_is_told_when_to_come_back(exchange: Exchange) -> None:
    """A 503 names a time, its own and up to a tenth more, or within five seconds."""
    waits = {
        int(build_error_head(exchange, NoHealthyProvider(retry_after_s=100.0))["Retry-After"])
        for _ in range(200)
    }
    assert min(waits) >= 100
    assert max(waits) <= 110
    assert len(waits) > 3, "they are spread"
    for error in (NoHealthyProvider(), UpstreamOverloaded()):
        assert 1 <= int(build_error_head(exchange, error)["Retry-After"]) <= 5
    assert build_error_head(exchange, UpstreamOverloaded(retry_after_s=7.0))["Retry-After"] == "7"


async def test_who_was_tried_for_is_asked_not_to_repeat_it(exchange: Exchange) -> None:
    """`x-should-retry: false` stands where an attempt was made, and nowhere else."""
    assert "x-should-retry" not in build_error_head(exchange, NoHealthyProvider())
    exchange.attempts.append(AttemptRecord("up", "m", "upstream_server_error", 0.1))
    assert build_error_head(exchange, UpstreamServerError())["x-should-retry"] == "false"
    passed = PassedExchange(exchange.request, exchange.reply, exchange.runtime)
    passed.attempts.append(exchange.attempts[0])
    # Of what passes nobody here has repeated anything.
    assert "x-should-retry" not in build_error_head(passed, UpstreamServerError())


async def test_an_only_provider_needs_no_order() -> None:
    """A request without a choice is told its provider and deployment, and nothing of fallbacks."""
    async with (
        open_raw_upstream(answering(ANSWER)) as upstream,
        serving(build_snapshot(build_provider(upstream.url))) as server,
    ):
        status, headers, _ = await post(server.url, build_chat())
    told = {name.lower(): value for name, value in headers.items()}
    assert status == 200
    assert told["x-litellm-call-id"] == told["x-request-id"]
    assert (told["x-llm-proxy-model"], told["x-litellm-model-group"]) == ("m", "m")
    assert (told["x-llm-proxy-provider"], told["x-litellm-model-id"]) == ("up", "up/m")
    assert (told["x-llm-proxy-attempts"], told["x-llm-proxy-reason"]) == ("1", "only")
    assert (told["x-litellm-attempted-retries"], told["x-litellm-attempted-fallbacks"]) == (
        "0",
        "0",
    )
    assert not told.keys() & {"x-llm-proxy-order", "x-llm-proxy-fallback"}


async def test_who_stood_in_is_told() -> None:
    """A fallback that answers is named, with the order up to it, in headers and in the record."""
    broken = {"error": {"message": "down", "type": "server_error"}}
    async with (
        open_raw_upstream(answering(broken, 500)) as first,
        open_raw_upstream(answering(broken, 500)) as second,
        open_raw_upstream(answering(ANSWER)) as third,
    ):
        providers = (
            build_provider(first.url, name="a"),
            build_provider(second.url, name="b"),
            build_provider(third.url, name="c", models=("spare",)),
        )
        snapshot = build_snapshot(*providers)
        deployments = tuple(Deployment(each, "m") for each in providers[:2])
        group = Group("fast", deployments, fallbacks=("spare",))
        snapshot = replace(snapshot, groups={**snapshot.groups, "fast": group})
        async with serving(snapshot) as server:
            status, headers, _ = await post(server.url, build_chat(model="fast"))
            (record,) = await server.observer.wait_for_records()
    assert status == 200
    assert (headers["x-llm-proxy-model"], headers["x-llm-proxy-fallback"]) == ("fast", "spare")
    assert headers["x-llm-proxy-order"] == "a/m,b/m,c/spare"
    assert (headers["x-llm-proxy-provider"], headers["x-litellm-model-id"]) == ("c", "c/spare")
    assert (headers["x-llm-proxy-attempts"], headers["x-litellm-attempted-fallbacks"]) == ("3", "1")
    assert headers["x-litellm-attempted-retries"] == "0"
    assert (record.alias, record.fallback) == ("fast", "spare")
    assert record.route_order == ("a/m", "b/m", "c/spare")
