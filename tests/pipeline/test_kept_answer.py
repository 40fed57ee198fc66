"""What a provider says of a response that it keeps."""

import pytest

from proxy.domain.errors import (
    LimitExceeded,
    NoHealthyProvider,
    ProxyError,
    ServerOverloaded,
    UpstreamAuthError,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from proxy.domain.identity import Caller
from proxy.domain.service_errors import ResponseNotFound
from proxy.domain.settings import Clocks, RateLimit
from proxy.pipeline.kept_answer import KeptQuestion, fetch_kept
from proxy.upstream.factory import open_transport
from tests.fakes.proxy_server import (
    PROVIDER_KEY,
    RecordingObserver,
    build_provider,
    build_runtime,
    build_snapshot,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream, stay_until_closed
from tests.fakes.upstream_scripts import Recorder, answering

CALLER = Caller("key_1", rate_limit=RateLimit(1, 60.0))

pytestmark = pytest.mark.usefixtures("no_leaks")


async def fetch(
    script: object, observer: RecordingObserver | None = None, **fields: object
) -> bytes:
    """Return what is fetched of a provider that behaves like this."""
    async with open_raw_upstream(script) as upstream:  # type: ignore[arg-type]
        provider = build_provider(upstream.url, **fields)
        transport = open_transport(provider)
        runtime = build_runtime(
            build_snapshot(provider, max_answer_bytes=5000),
            transports={"up": transport},
            observer=observer,
        )
        try:
            return await fetch_kept(runtime, CALLER, KeptQuestion("up", "GET", "/resp_1", "a=1"))
        finally:
            await transport.close()


async def test_the_answer_is_given_as_it_came() -> None:
    """It was asked for with the provider's key, and counted as an attempt."""
    script, observer = answering({"id": "resp_1"}), RecordingObserver()
    assert await fetch(script, observer) == b'{"id":"resp_1"}'
    line, headers, body = script.requests[0]
    assert line.startswith("GET /v1/responses/resp_1?a=1 ")
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert body == b""
    assert observer.started == ["up"]
    assert [(each.provider, each.outcome) for each in observer.attempts] == [("up", "ok")]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answering({"error": {"message": "no"}}, 404), ResponseNotFound),
        (answering({"error": {"message": f"bad {PROVIDER_KEY}"}}, 400), UpstreamRejected),
        (answering({"error": {"message": "no"}}, 401), UpstreamAuthError),
        (answering({}, 500), UpstreamServerError),
        (answering([]), UpstreamProtocolError),
        (Recorder(b"<html>", content_type="text/html"), UpstreamProtocolError),
        (answering({"id": "x" * 6000}), UpstreamTooLarge),
    ],
    ids=["gone", "wrong", "key", "broken", "list", "page", "large"],
)
async def test_what_is_no_answer_is_an_error(script: Recorder, kind: type[ProxyError]) -> None:
    """Told in the one tree, without our key, and counted once."""
    observer = RecordingObserver()
    with pytest.raises(kind) as caught:
        await fetch(script, observer)
    assert PROVIDER_KEY not in caught.value.message
    (attempt,) = observer.attempts
    assert attempt.outcome not in ("ok", "client_closed")


async def test_a_provider_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    """The clock of whole answers bounds all of it."""

    async def be_silent(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await stay_until_closed(connection)

    with pytest.raises(UpstreamTimeout):
        await fetch(be_silent, clocks=Clocks(answer_s=0.05))


async def test_an_answer_that_was_compressed_unasked_is_refused() -> None:
    """It was asked for as it is."""
    script = answering({"id": "resp_1"})
    script.extra = "content-encoding: gzip\r\n"
    with pytest.raises(UpstreamProtocolError):
        await fetch(script)


async def test_without_the_provider_nobody_is_asked() -> None:
    """It is gone, switched off, or of a type now that keeps nothing."""
    off = build_provider("http://127.0.0.1:9/v1", name="off", enabled=False)
    other = build_provider("http://127.0.0.1:9/v1", name="other", type="vllm")
    runtime = build_runtime(build_snapshot(off, other))
    for name in ("off", "other", "never"):
        with pytest.raises(NoHealthyProvider):
            await fetch_kept(runtime, CALLER, KeptQuestion(name, "GET", "/resp_1"))


async def test_a_provider_that_cannot_be_reached_is_named_as_that() -> None:
    """Nobody else can answer."""
    provider = build_provider("http://127.0.0.1:9/v1")
    transport = open_transport(provider)
    runtime = build_runtime(build_snapshot(provider), transports={"up": transport})
    with pytest.raises(UpstreamUnreachable):
        await fetch_kept(runtime, CALLER, KeptQuestion("up", "DELETE", "/resp_1"))
    await transport.close()


async def test_it_counts_as_a_request_of_its_key() -> None:
    """A key that has used its rate, or finds no place, asks no provider; places are given back."""
    script = answering({"id": "resp_1"})
    question = KeptQuestion("up", "GET", "/resp_1")
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url)
        transport = open_transport(provider)
        runtime = build_runtime(
            build_snapshot(provider, max_in_flight=1), transports={"up": transport}
        )
        await fetch_kept(runtime, CALLER, question)
        assert runtime.in_flight == 0
        with pytest.raises(LimitExceeded) as caught:
            await fetch_kept(runtime, CALLER, question)
        assert caught.value.retry_after_s
        runtime.in_flight = 1
        with pytest.raises(ServerOverloaded):
            await fetch_kept(runtime, Caller("key_2"), question)
        assert runtime.in_flight == 1
        await transport.close()
    assert len(script.requests) == 1
