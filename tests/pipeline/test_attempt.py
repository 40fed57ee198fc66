"""One attempt: its request is built from nothing, and its end is told."""

import msgspec
import pytest

from proxy.domain.breaker import BreakerRules
from tests.fakes.proxy_server import (
    ANSWER,
    build_board,
    build_chat,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_each_attempt_has_the_headers_and_the_key_of_its_own_provider() -> None:
    """Nothing of the first attempt's headers goes to the second provider."""
    first, second = answering({"error": {"message": "x"}}, 500), answering(ANSWER)
    async with open_raw_upstream(first) as one, open_raw_upstream(second) as two:
        a = build_provider(one.url, name="a", headers={"X-Of-A": "1"}, priority=1)
        b = build_provider(two.url, name="b", headers={"X-Of-B": "2"}, priority=2, api_key=None)
        async with serving(build_snapshot(a, b)) as server:
            status, headers, _ = await post(server.url, build_chat())
    assert (status, headers["x-llm-proxy-provider"]) == (200, "b")
    (request,) = second.requests
    assert request[1]["x-of-b"] == "2"
    assert not {"x-of-a", "authorization"} & request[1].keys()


async def test_what_one_provider_does_not_take_another_may() -> None:
    """Fields that were left out for the first provider go to the second, and are not named."""
    first, second = answering({"error": {"message": "x"}}, 500), answering(ANSWER)
    async with open_raw_upstream(first) as one, open_raw_upstream(second) as two:
        a = build_provider(one.url, name="a", type="perplexity")
        b = build_provider(two.url, name="b")
        async with serving(build_snapshot(a, b)) as server:
            _, headers, _ = await post(server.url, build_chat(seed=7))
    assert "seed" not in first.body()
    assert second.body()["seed"] == 7
    assert "x-llm-proxy-dropped-params" not in headers


async def test_a_field_that_would_be_left_out_is_an_error_where_that_is_wanted() -> None:
    """With `unsupported_params: error` the client gets 400 with `param`; nobody is asked."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="perplexity")
        snapshot = build_snapshot(provider, refuses_unsupported=True)
        async with serving(snapshot) as server:
            status, headers, body = await post(server.url, build_chat(seed=7))
            (record,) = await server.observer.wait_for_records()
    error = msgspec.json.decode(body)["error"]
    assert (status, error["param"], error["code"]) == (400, "seed", "unsupported_parameter")
    assert "x-llm-proxy-dropped-params" not in headers
    assert (script.requests, record.attempts, record.provider) == ([], (), None)


async def test_a_name_that_a_client_has_made_up_is_no_part_of_an_answer() -> None:
    """What is no plain name is left out and told of without being repeated."""
    odd = {"a\r\nset-cookie: x": 1, "seed": 7}
    script = answering({"candidates": [{"finishReason": "STOP"}]})
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="gemini")
        async with serving(build_snapshot(provider)) as server:
            status, headers, _ = await post(server.url, build_chat(**odd))
        snapshot = build_snapshot(provider, refuses_unsupported=True)
        async with serving(snapshot) as server:
            refused, _, body = await post(server.url, build_chat(**odd))
    assert (status, headers["x-llm-proxy-dropped-params"]) == (200, "?")
    assert "set-cookie" not in headers
    assert (refused, msgspec.json.decode(body)["error"]["param"]) == (400, None)
    assert b"cookie" not in body


async def test_another_provider_is_asked_where_one_would_leave_a_field_out() -> None:
    """With `unsupported_params: error` a request goes on to the one that takes all of it."""
    first, second = answering(ANSWER), answering(ANSWER)
    async with open_raw_upstream(first) as one, open_raw_upstream(second) as two:
        a = build_provider(one.url, name="a", type="perplexity")
        b = build_provider(two.url, name="b")
        async with serving(build_snapshot(a, b, refuses_unsupported=True)) as server:
            status, headers, _ = await post(server.url, build_chat(seed=7))
            (record,) = await server.observer.wait_for_records()
    assert (status, headers["x-llm-proxy-provider"]) == (200, "b")
    assert headers["x-llm-proxy-reason"] == "priority,unsupported_parameter"
    assert (first.requests, [each.provider for each in record.attempts]) == ([], ["b"])


async def test_who_cannot_do_it_does_not_hide_who_could() -> None:
    """Where those that could are held by their breakers the answer is 503, not the 400."""
    script = answering({"error": {"message": "x"}}, 500)
    rules = BreakerRules(consecutive=1, min_calls=1_000_000)
    async with open_raw_upstream(script) as upstream:
        a = build_provider(upstream.url, name="a", type="perplexity")
        b = build_provider(upstream.url, name="b")
        snapshot = build_snapshot(a, b, refuses_unsupported=True, breaker=rules)
        async with serving(snapshot, board=build_board(snapshot)) as server:
            server.runtime.board.is_panicking = True
            statuses = [(await post(server.url, build_chat(seed=7)))[0] for _ in range(2)]
    assert statuses == [502, 503]
    assert len(script.requests) == 1


async def test_a_rejected_request_does_not_tell_what_it_was_sent_with() -> None:
    """A provider that repeats our key in its words does not tell the client."""
    provider_key = build_provider("http://x").api_key
    assert provider_key is not None
    words = {"error": {"message": f"bad key {provider_key.reveal()} used", "code": "bad_thing"}}
    script = answering(words, 400)
    async with (
        open_raw_upstream(script) as upstream,
        serving(build_snapshot(build_provider(upstream.url))) as server,
    ):
        status, _, body = await post(server.url, build_chat())
    assert status == 400
    assert provider_key.reveal().encode() not in body
