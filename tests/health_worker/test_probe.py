"""Tests of `health_worker/probe.py`: real servers are asked, over both transports."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from health_worker.probe import MAX_AT_ONCE, Prober
from health_worker.targets import Target
from health_worker.verdict import ProbeResult
from proxy.domain.catalog import ModelInfo, Provider
from proxy.domain.errors import (
    ProxyError,
    UpstreamAddressRefused,
    UpstreamDisconnected,
    UpstreamNotDialled,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from proxy.domain.exchange import OutboundRequest
from proxy.domain.health import HealthState, ProbeSettings
from proxy.domain.secret import Secret
from proxy.providers.probe_answer import MAX_PROBE_BODY_BYTES
from proxy.upstream.base import BodySink, OpenedResponse, Transport
from proxy.upstream.factory import open_transport
from tests.fakes.ports import find_port
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream, stay_until_closed
from tests.fakes.upstream_scripts import Recorder, answering
from tests.health_worker.made import build_target

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_loops]

both = pytest.mark.parametrize("transport", ["httptools", "aiohttp"])
MODELS = {"data": [{"id": "m-1"}, {"id": "m-2"}]}
LONG_S = 20.0
"""A clock that no test waits for."""


@asynccontextmanager
async def probing(
    open_one: Callable[[Provider], Transport] | None = None, **more: Any
) -> AsyncIterator[Prober]:
    """A prober that is closed behind the block."""
    prober = Prober(open_one, **more)
    try:
        yield prober
    finally:
        await prober.close()


async def probe(target: Target, timeout_s: float = LONG_S) -> ProbeResult:
    """What one probe comes to."""
    async with probing() as prober:
        return await prober.probe(target, timeout_s)


@both
async def test_a_server_is_asked_for_its_models(transport: str) -> None:
    """A GET with the key and without a body; what is listed, and how long it took, is told."""
    server = answering(MODELS)
    async with open_raw_upstream(server) as upstream:
        target = build_target(
            base_url=upstream.url, transport=transport, api_key=Secret("sk-canary")
        )
        result = await probe(target)
    assert (result.reading.state, result.reading.models) == ("healthy", ("m-1", "m-2"))
    assert result.has_answered
    assert result.response_time_s is not None
    assert 0.0 < result.response_time_s < LONG_S
    ((line, headers, body),) = server.requests
    assert (line, body) == ("GET /v1/models HTTP/1.1", b"")
    assert headers["authorization"] == "Bearer sk-canary"
    assert not {"content-length", "transfer-encoding", "content-type"} & headers.keys()


STATUSES: list[tuple[int, HealthState]] = [
    (401, "key_rejected"),
    (429, "rate_limited"),
    (500, "unhealthy"),
    (302, "unhealthy"),
    (404, "healthy"),
]


@both
@pytest.mark.parametrize(("status", "state"), STATUSES)
async def test_an_error_is_an_answer(transport: str, status: int, state: HealthState) -> None:
    """Whatever the status says of the provider, it has been reached."""
    async with open_raw_upstream(answering({"error": {"message": "x"}}, status)) as upstream:
        key = Secret("sk-canary")
        result = await probe(build_target(base_url=upstream.url, transport=transport, api_key=key))
    assert (result.reading.state, result.has_answered) == (state, True)
    assert result.response_time_s is not None


async def test_what_is_only_watched_needs_no_key() -> None:
    """A server that wants a key has answered; nobody will send it a request."""
    async with open_raw_upstream(answering({}, 401)) as upstream:
        routed = build_target(base_url=upstream.url)
        found = [await probe(target) for target in (routed, replace(routed, is_watched_only=True))]
    assert [result.reading.state for result in found] == ["key_rejected", "healthy"]
    assert {result.reading.reason for result in found} == {
        "wants a key, and none is set (status 401)"
    }


@both
async def test_where_nobody_listens_the_connection_is_refused(transport: str) -> None:
    """A closed port is told as such, without its address."""
    url = f"http://127.0.0.1:{find_port()}/v1"
    result = await probe(build_target(base_url=url, transport=transport))
    assert (result.reading.state, result.reading.reason) == ("unhealthy", "connection refused")
    assert (result.has_answered, result.response_time_s) == (False, None)


@both
async def test_a_server_that_says_nothing_is_given_up(transport: str) -> None:
    """The clock covers the wait for an answer, and the connection is closed at its end."""

    async def stay(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await stay_until_closed(connection)

    async with open_raw_upstream(stay) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport), 0.05)
        await upstream.connections[0].wait_closed()
    assert (result.reading.state, result.has_answered) == ("unhealthy", False)
    assert result.reading.reason == "no answer within 0.05 s"


@both
async def test_an_answer_that_does_not_end_is_given_up(transport: str) -> None:
    """The clock covers the body too; somebody has answered, but not to the end."""

    async def stall(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("application/json")
        await connection.chunk(b'{"data":')
        await stay_until_closed(connection)

    async with open_raw_upstream(stall) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport), 0.2)
        await upstream.connections[0].wait_closed()
    assert (result.reading.state, result.has_answered) == ("unhealthy", True)
    assert result.reading.reason == "no answer within 0.2 s, in the middle of its answer"


@both
async def test_an_answer_that_breaks_off_is_a_failure(transport: str) -> None:
    """A connection that breaks in the body is unhealthy, although a 200 had come."""

    async def break_off(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        connection.close()

    async with open_raw_upstream(break_off) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport))
    assert (result.reading.state, result.has_answered) == ("unhealthy", True)
    assert result.reading.reason == "the connection broke, in the middle of its answer"


@both
async def test_only_the_beginning_of_a_long_answer_is_read(transport: str) -> None:
    """Behind 256 KiB the connection is closed, and the answer counts."""

    async def flood(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("application/json")
        await connection.chunk(b'{"data":[')
        while True:
            await connection.chunk(b'{"id":"m"},' * 5000)

    async with open_raw_upstream(flood) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport))
    assert (result.reading.state, result.reading.models) == ("healthy", ())


@both
async def test_a_compressed_answer_is_read(transport: str) -> None:
    """A server that compresses unasked is understood."""
    server = Recorder(gzip.compress(b'{"data":[{"id":"m-1"}]}'), content_type="application/json")
    server.extra = "Content-Encoding: gzip\r\n"
    async with open_raw_upstream(server) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport))
    assert result.reading.models == ("m-1",)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (gzip.compress(b"[" + b" " * 40 * MAX_PROBE_BODY_BYTES + b"]"), "healthy"),
        (b"this is not gzip", "unhealthy"),
    ],
    ids=["bomb", "no gzip"],
)
async def test_a_compressed_answer_is_not_trusted(body: bytes, state: HealthState) -> None:
    """What grows without end is inflated to the same 256 KiB; what is not compressed is no JSON."""
    server = Recorder(body, content_type="application/json")
    server.extra = "Content-Encoding: gzip\r\n"
    async with open_raw_upstream(server) as upstream:
        result = await probe(build_target(base_url=upstream.url))
    assert (result.reading.state, result.reading.models) == (state, ())


@both
async def test_what_is_not_http_is_a_failure(transport: str) -> None:
    """Another protocol at the port is unhealthy, and nothing it sends is in the reason."""

    async def greet(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"220 mail.example ESMTP\r\n")
        await stay_until_closed(connection)

    async with open_raw_upstream(greet) as upstream:
        result = await probe(build_target(base_url=upstream.url, transport=transport))
    assert (result.reading.state, result.has_answered) == ("unhealthy", False)
    assert "mail" not in result.reading.reason


@both
async def test_plain_http_where_tls_is_asked_is_told(transport: str) -> None:
    """A wrong scheme in `base_url` is named as such."""

    async def answer_in_clear(connection: UpstreamConnection) -> None:
        await connection.read_some()
        await connection.answer(b"not TLS", 400)

    async with open_raw_upstream(answer_in_clear) as upstream:
        url = upstream.url.replace("http:", "https:")
        result = await probe(build_target(base_url=url, transport=transport))
    assert (result.reading.state, result.has_answered) == ("unhealthy", False)
    assert result.reading.reason.startswith("TLS: what answers there is not TLS")


class _Broken:
    """A Transport that fails in a way of a test's choice."""

    has_room = True

    def __init__(self, error: ProxyError) -> None:
        self._error = error

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Fail."""
        raise self._error

    def retire(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UpstreamUnreachable, "no connection"),
        (lambda detail: UpstreamUnreachable(code="upstream_dns", detail=detail), "its name has no"),
        (UpstreamAddressRefused, "its name leads to an address that is not allowed"),
        (lambda detail: UpstreamTimeout(code="upstream_tls_timeout"), "no TLS handshake in time"),
        (lambda detail: UpstreamTimeout(code="upstream_header_timeout"), "no answer within 20 s"),
        (UpstreamTlsError, "TLS: the handshake failed"),
        (
            lambda detail: UpstreamTlsError(
                detail="Hostname mismatch, certificate is not valid for '10.1.2.3'."
            ),
            "TLS: Hostname mismatch",
        ),
        (UpstreamDisconnected, "the connection broke"),
        (UpstreamProtocolError, "what answers there is not HTTP"),
        (ProxyError, "no answer"),
    ],
)
async def test_reasons_are_words_of_our_own(error: Callable[..., ProxyError], reason: str) -> None:
    """Each fault has its words; no detail that could hold an address is in them."""
    async with probing(lambda provider: _Broken(error(detail="10.1.2.3 says x"))) as prober:
        result = await prober.probe(build_target(), LONG_S)
    assert result.reading.state == "unhealthy"
    assert result.reading.reason.startswith(reason)


async def test_what_this_machine_has_run_out_of_says_nothing_of_a_provider() -> None:
    """Without a descriptor left for its connection a probe reads `unknown`, and says why."""
    async with probing(lambda provider: _Broken(UpstreamNotDialled(detail="x"))) as prober:
        result = await prober.probe(build_target(), LONG_S)
    assert (result.reading.state, result.has_answered) == ("unknown", False)
    assert result.reading.reason.startswith("this machine has no file or port")
    assert "10.1.2.3" not in result.reading.reason
    assert not result.has_answered


async def test_a_connection_is_kept_while_the_address_stands() -> None:
    """Probes of one target share a transport; another address has one of its own."""
    opened: list[str] = []

    def open_one(provider: Provider) -> Transport:
        opened.append(provider.base_url)
        return open_transport(provider)

    async with (
        open_raw_upstream(answering(MODELS)) as first,
        open_raw_upstream(answering(MODELS)) as second,
        probing(open_one) as prober,
    ):
        old, new = build_target(base_url=first.url), build_target(base_url=second.url)
        await prober.probe(old, LONG_S)
        prober.keep({"p": build_target(base_url=first.url, weight=3)})
        await prober.probe(old, LONG_S)
        assert len(first.connections) == 1
        prober.keep({"p": new})
        await prober.probe(new, LONG_S)
        assert opened == [first.url, second.url]
        await prober.probe(old, LONG_S)
        assert opened == [first.url, second.url, first.url]


async def test_what_is_not_kept_is_closed() -> None:
    """A target that has left loses its connection at once."""

    async def serve(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.answer(b"{}")
        await stay_until_closed(connection)

    async with open_raw_upstream(serve) as upstream, probing() as prober:
        await prober.probe(build_target(base_url=upstream.url), LONG_S)
        prober.keep({})
        await upstream.connections[0].wait_closed()


async def test_a_cancelled_probe_leaves_nothing() -> None:
    """Its connection is closed, and its turn is free for another."""
    asked = asyncio.Event()

    async def stay(connection: UpstreamConnection) -> None:
        await connection.read_request()
        asked.set()
        await stay_until_closed(connection)

    async with open_raw_upstream(stay) as upstream, probing() as prober:
        task = asyncio.create_task(prober.probe(build_target(base_url=upstream.url), LONG_S))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.connections[0].wait_closed()


async def test_many_are_asked_at_once_and_not_too_many() -> None:
    """Of a hundred targets 32 are asked at the same time, and all in the end."""
    under_way, most, all_in = 0, 0, asyncio.Event()

    async def answer(connection: UpstreamConnection) -> None:
        nonlocal under_way, most
        await connection.read_request()
        under_way += 1
        most = max(most, under_way)
        if under_way == MAX_AT_ONCE:
            all_in.set()
        await all_in.wait()
        under_way -= 1
        await connection.answer(b"{}")
        await stay_until_closed(connection)

    async with open_raw_upstream(answer) as upstream, probing() as prober:
        targets = [build_target(f"p{number}", base_url=upstream.url) for number in range(100)]
        results = await asyncio.gather(*[prober.probe(target, LONG_S) for target in targets])
    assert {result.reading.state for result in results} == {"healthy"}
    assert most == MAX_AT_ONCE


async def test_response_time_is_that_of_the_whole_answer() -> None:
    """It runs from the request to the end of the body."""
    clock = iter((10.0, 12.5))
    async with (
        open_raw_upstream(answering(MODELS)) as upstream,
        probing(read_clock_s=lambda: next(clock)) as prober,
    ):
        result = await prober.probe(build_target(base_url=upstream.url), LONG_S)
    assert result.response_time_s == 2.5


def build_paid(url: str, cap: int) -> Target:
    """A target that is asked for one token, as long as that costs no more than the cap."""
    info = ModelInfo(
        input_usd_micros_per_million_tokens=1_000_000,
        output_usd_micros_per_million_tokens=1_000_000,
    )
    return build_target(
        base_url=url,
        models=("m-1",),
        model_info={"m-1": info},
        probe=ProbeSettings("completion", None, cap),
    )


@both
async def test_a_completion_is_asked_for_while_it_is_paid_for(transport: str) -> None:
    """A token is asked for; with the money spent, the list of models, and the reason says so."""
    answer = {**MODELS, "choices": [{"message": {"role": "assistant", "content": "H"}}]}
    server = answering(answer)
    async with open_raw_upstream(server) as upstream, probing() as prober:
        target = build_paid(upstream.url, 48)
        first = await prober.probe(target, LONG_S)
        second = await prober.probe(target, LONG_S)
    assert [line for line, _, _ in server.requests] == [
        "POST /v1/chat/completions HTTP/1.1",
        "GET /v1/models HTTP/1.1",
    ]
    assert (first.reading.state, first.reading.reason) == ("healthy", "completes")
    assert second.reading.state == "healthy"
    assert second.reading.reason == (
        "lists 2 models; asked without tokens: probe_max_usd_per_day is spent"
    )


async def test_what_cannot_be_asked_says_nothing() -> None:
    """A target without a probe comes to a reading of `unknown`, and nothing is opened."""

    def open_one(provider: Provider) -> Transport:
        raise AssertionError("nothing is asked of it")

    async with probing(open_one) as prober:
        result = await prober.probe(build_target(probe=ProbeSettings(kind="off")), LONG_S)
    assert result.reading.state == "unknown"
