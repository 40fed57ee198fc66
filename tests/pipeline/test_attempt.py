"""One attempt: its request is built from nothing, and its end is told."""

import pytest

from tests.fakes.proxy_server import (
    ANSWER,
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
