"""The client's trace goes on to the provider."""

import pytest

from tests.fakes.proxy_server import (
    ANSWER,
    build_chat,
    proxying,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_the_trace_goes_on() -> None:
    """A client's traceparent goes upstream with the same trace id and a new span."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(
            server.url,
            build_chat(),
            traceparent=f"00-{trace_id}-00f067aa0ba902b7-01",
            tracestate="a=1",
        )
        (record,) = await server.observer.wait_for_records()
    headers = script.requests[0][1]
    assert headers["traceparent"].split("-")[1] == trace_id
    assert headers["traceparent"].split("-")[2] != "00f067aa0ba902b7"
    assert headers["tracestate"] == "a=1"
    assert record.trace_id == trace_id
