"""With two and three providers, of which one is healthy, no fault before content is seen."""

import asyncio
import gzip
import socket

import msgspec
import pytest

from proxy.domain.settings import Clocks
from proxy.upstream.resolver import Resolver
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.faults.fault_upstream import (
    CONTENT,
    ROLE,
    STRIKES,
    build_encoded,
    build_good,
    build_json,
    build_secret_error,
    build_server_tls,
    build_stream,
    open_black_hole,
    reset,
    stall,
    take_turns,
    tell,
)
from tests.faults.pre_content import CAPS, PRE_CONTENT
from tests.faults.several import Several, judging_several, say

SLACK = 10
"""Promised delays are asserted at ten times their value: tests run on busy machines."""
ADDED_S = 0.05
"""What a connection that is refused or reset may add to a request."""
STEP = 11
"""Of the places in an answer where it can break, only every so manieth is tried."""

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
_GOOD = {True: [tell(build_good(True))], False: [tell(build_good(False))]}


async def _check_unseen(served: Several, stream: bool, code: str, count: int = 2) -> None:
    """Check that the last of the providers answers, and that the others failed with this code."""
    outcome = await served.judge.ask(stream=stream)
    *failed, last = served.list_attempts(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert failed == [("a", code), ("b", code)][: count - 1]
    assert last == ("abc"[count - 1], "ok")
    assert outcome.reply.headers["x-llm-proxy-provider"] == last[0]
    served.breakers.forget()
    assert await served.ask_sdk(stream) == say(last[0], stream)


@pytest.mark.parametrize(
    ("stream", "case"), [(stream, case) for stream, cases in PRE_CONTENT.items() for case in cases]
)
async def test_whatever_fails_before_content_another_answers(stream: bool, case: str) -> None:
    """Whatever a provider does before content, the client gets the whole answer of the other."""
    async with judging_several([PRE_CONTENT[stream][case]], _GOOD[stream], **CAPS) as served:
        outcome = await served.judge.ask(stream=stream)
        failed, last = served.list_attempts(outcome)
        served.breakers.forget()
        text = await served.ask_sdk(stream)
    assert outcome.verdict == ("answer", 200, None)
    assert (failed[0], last) == ("a", ("b", "ok"))
    assert failed[1] != "ok"
    assert text == say("b", stream)


@both
async def test_two_of_three_fail_each_in_its_own_way(stream: bool) -> None:
    """Two of three providers fail, each in its own way: the client gets the third's answer."""
    deeds = list(PRE_CONTENT[stream].values())
    doings = [take_turns(deeds)], [take_turns(deeds, 5)], _GOOD[stream]
    async with judging_several(*doings, **CAPS) as served:
        for _ in deeds:
            outcome = await served.judge.ask(stream=stream)
            assert outcome.verdict == ("answer", 200, None)
            assert [name for name, _ in served.list_attempts(outcome)] == ["a", "b", "c"]
            served.breakers.forget()
        assert await served.ask_sdk(stream) == say("c", stream)


@both
@pytest.mark.parametrize("strike", STRIKES)
async def test_a_break_at_any_byte_before_content_is_not_seen(stream: bool, strike: str) -> None:
    """Cut, reset or silent at any byte before content: the other answers, whoever asks besides."""
    data = build_good(stream)
    end = data.index(CONTENT.rstrip()) if stream else len(data) - 1
    deeds = [STRIKES[strike](data, at) for at in [*range(0, end, STEP), end]]
    async with judging_several([take_turns(deeds)], _GOOD[stream]) as served:
        outcomes = await asyncio.gather(*[served.judge.ask(stream=stream) for _ in deeds])
        providers = {outcome.reply.headers["x-llm-proxy-provider"] for outcome in outcomes}
    assert {outcome.verdict for outcome in outcomes} == {("answer", 200, None)}
    assert providers == {"b"}


@both
@pytest.mark.parametrize("count", [2, 3])
async def test_u1_a_refused_connection_is_not_seen(
    stream: bool, count: int, loopback_port: int
) -> None:
    """U1: where nobody listens the next is asked at once, within 50 ms."""
    dead = f"http://127.0.0.1:{loopback_port}/v1"
    async with judging_several(*[dead] * (count - 1), _GOOD[stream], clocks=Clocks()) as served:
        await _check_unseen(served, stream, "upstream_unreachable", count)
        async with asyncio.timeout(ADDED_S * SLACK):
            await served.judge.ask(stream=stream)


@both
async def test_u2_a_black_hole_is_not_seen(stream: bool) -> None:
    """U2: a SYN that nobody answers costs the connect clock, and no more."""
    async with (
        open_black_hole() as port,
        judging_several(
            f"http://127.0.0.1:{port}/v1", _GOOD[stream], hasty=Clocks(connect_s=0.1)
        ) as served,
    ):
        await _check_unseen(served, stream, "upstream_connect_timeout")


@both
async def test_u3_a_reset_is_not_seen(stream: bool) -> None:
    """U3: a connection that is reset before the head costs no more than 50 ms."""
    deeds = [reset(build_good(stream), 0)]
    async with judging_several(deeds, _GOOD[stream], clocks=Clocks()) as served:
        await _check_unseen(served, stream, "upstream_disconnected")
        async with asyncio.timeout(ADDED_S * SLACK):
            await served.judge.ask(stream=stream)


@both
async def test_u5_a_dead_pooled_connection_and_then_another_provider(stream: bool) -> None:
    """U5: a fresh connection that breaks too is one failed attempt, and the next is asked."""
    good = build_good(stream)
    deeds = [tell(good), reset(good, 0)]
    async with judging_several(deeds, _GOOD[stream], clocks=Clocks()) as served:
        assert (await served.judge.ask(stream=stream)).kind == "answer"
        await _check_unseen(served, stream, "upstream_disconnected")
        assert len(served.scripts["a"].requests) == 4


async def test_u6_signs_of_life_and_then_another_provider() -> None:
    """U6: comments have gone out while the first failed: one whole answer follows in the stream."""
    silent = stall(build_stream([ROLE], "close"))
    async with judging_several(
        [silent], [silent], _GOOD[True], commit_delay_s=0.02, keep_alive_s=0.02
    ) as served:
        outcome = await served.judge.ask(stream=True)
        assert await served.ask_sdk(True) == say("c", True)
    assert outcome.verdict == ("answer", 200, None)
    assert outcome.reply.body.startswith(b": keep-alive\n\n")
    assert outcome.text.endswith("says more")
    assert outcome.reply.headers["x-llm-proxy-attempts"] == "1"


@both
async def test_u16_a_bomb_of_fifty_megabytes_is_not_seen(stream: bool) -> None:
    """U16: a bomb is dropped at the cap, and the next provider answers."""
    media_type = "text/event-stream" if stream else "application/json"
    bomb = build_encoded(gzip.compress(b"\0" * 50_000_000, 9), "gzip", media_type)
    async with judging_several([stall(bomb, -100)], _GOOD[stream], clocks=Clocks()) as served:
        await _check_unseen(served, stream, "upstream_too_large")


@both
@pytest.mark.parametrize("shown", ["server.pem", "other_name.pem", "expired.pem"])
async def test_u28_a_certificate_that_is_refused_is_not_seen(
    stream: bool, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U28: a provider whose certificate is not trusted gets no request, and the next answers."""
    heard: list[bytes] = []

    async def script(connection: UpstreamConnection) -> None:
        heard.append(await connection.read_some())

    async with (
        open_raw_upstream(script, build_server_tls(shown)) as upstream,
        judging_several(upstream.url, _GOOD[stream], clocks=Clocks()) as served,
    ):
        await _check_unseen(served, stream, "upstream_tls_error")
    assert b"".join(heard) == b""


@both
async def test_u28_a_handshake_that_stalls_is_not_seen(stream: bool) -> None:
    """U28: a server that accepts and says nothing costs the handshake's clock."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with judging_several(url, _GOOD[stream], hasty=Clocks(tls_s=0.1)) as served:
            await _check_unseen(served, stream, "upstream_tls_timeout")


@both
@pytest.mark.parametrize(
    ("error", "code"),
    [(socket.EAI_NONAME, "upstream_dns"), (socket.EAI_AGAIN, "upstream_network_down")],
    ids=["nxdomain", "servfail"],
)
async def test_u29_a_name_that_leads_nowhere_is_not_seen(
    stream: bool, error: int, code: str
) -> None:
    """U29: a provider without an address is passed over."""

    def look_up(_: str) -> list[str]:
        raise socket.gaierror(error, "no address")

    resolvers = {"a": Resolver(look_up)}
    url = "http://provider.test:8000/v1"
    async with judging_several(url, _GOOD[stream], clocks=Clocks(), resolvers=resolvers) as served:
        await _check_unseen(served, stream, code)


@both
async def test_u29_a_name_that_leads_inside_is_not_seen(stream: bool) -> None:
    """U29: a provider whose name leads where it may not is passed over."""
    resolvers = {"a": Resolver(lambda _: ["169.254.169.254"])}
    url = "http://provider.test:8000/v1"
    async with judging_several(url, _GOOD[stream], clocks=Clocks(), resolvers=resolvers) as served:
        await _check_unseen(served, stream, "upstream_address_refused")


@both
@pytest.mark.parametrize("closes", [True, False])
async def test_u40_the_next_gets_all_of_what_another_refused_early(
    stream: bool, closes: bool
) -> None:
    """U40: a 503 in the middle of our upload is a failure, and the next gets the whole request."""
    size_bytes = 4_000_000

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_head()
        await connection.write(build_json(build_secret_error(), "length", 503))
        if closes:
            connection.close()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        judging_several(upstream.url, _GOOD[stream], clocks=Clocks()) as served,
    ):
        outcome = await served.judge.ask(stream=stream, user="x" * size_bytes)
        attempts = served.list_attempts(outcome)
        (_, _, body) = served.scripts["b"].requests[0]
    assert outcome.verdict == ("answer", 200, None)
    assert attempts == [("a", "upstream_overloaded"), ("b", "ok")]
    assert len(msgspec.json.decode(body)["user"]) == size_bytes
