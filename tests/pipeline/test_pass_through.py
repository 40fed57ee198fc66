"""The whole path of what passes as it comes: stages, choice, errors, breakers, records."""

import asyncio
import json

import pytest
from msgspec.structs import replace

from proxy.domain.breaker import BreakerRules
from proxy.domain.catalog import Deployment, Group
from proxy.domain.settings import Clocks, RateLimit
from tests.fakes.ports import find_port
from tests.fakes.proxy_server import (
    PROVIDER_KEY,
    ProxyServer,
    build_board,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_client import build_head, connecting, exchange
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream, stay_until_closed
from tests.fakes.upstream_scripts import Recorder, answering
from tests.pipeline.passing import (
    FILE,
    FORM,
    FORM_TYPE,
    MODEL,
    TRANSCRIPTIONS,
    ask,
    build_field,
    build_form,
    judge,
    passing,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

ANSWER = {"text": "hello", "usage": {"input_tokens": 3, "output_tokens": 2}}


async def test_a_form_goes_out_with_the_providers_key_and_model() -> None:
    """What the provider gets is the client's form; the head is ours, and one record tells it."""
    script = answering(ANSWER)
    async with passing(script) as (server, _):
        answer = await ask(server, FORM, "Cookie: a=b", "OpenAI-Beta: x")
        (record,) = await server.observer.wait_for_records()
    assert (answer.status, answer.json) == (200, ANSWER)
    assert answer.headers["x-llm-proxy-provider"] == "up"
    line, headers, body = script.requests[0]
    assert line == TRANSCRIPTIONS
    assert body == FORM
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert headers["content-type"] == FORM_TYPE
    assert headers.keys() & {"cookie", "openai-beta"} == set()
    assert record.usage is not None
    assert (record.endpoint, record.alias, record.status) == ("/audio/transcriptions", "m", 200)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (3, 2)
    assert [attempt.outcome for attempt in record.attempts] == ["ok"]


async def test_a_name_is_replaced_by_the_deployments() -> None:
    """`provider/model` in a form goes out as the model; the length tells the difference."""
    script = answering(ANSWER)
    async with passing(script) as (server, _):
        await ask(server, build_form(build_field("model", b"up/n/1"), FILE))
    assert script.requests[0][2] == build_form(build_field("model", b"n/1"), FILE)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (TRANSCRIPTIONS, ("x-llm-proxy-model: m",)),
        ("POST /v1/audio/transcriptions?model=m HTTP/1.1", ()),
        ("POST /openai/deployments/m/audio/transcriptions?api-version=1 HTTP/1.1", ()),
    ],
    ids=["header", "query", "path"],
)
async def test_a_model_that_the_head_names_goes_before_the_forms(
    line: str, fields: tuple[str, ...]
) -> None:
    """The form's own field is left out wherever it stands, and the body goes out in chunks."""
    seen: list[dict[str, str]] = []
    got = b""

    async def script(connection: UpstreamConnection) -> None:
        nonlocal got
        seen.append((await connection.read_head())[1])
        while not got.endswith(b"0\r\n\r\n"):
            got += await connection.read_some()
        await connection.answer(b"{}")
        await stay_until_closed(connection)

    form = build_form(FILE, build_field("model", b"another"))
    async with passing(script) as (server, _):
        answer = await ask(server, form, *fields, line=line)
    assert answer.status == 200
    assert seen[0]["transfer-encoding"] == "chunked"
    assert 0 < got.index(b'name="model"\r\n\r\nm\r\n') < got.index(b'name="file"')
    assert b"another" not in got


async def test_a_second_model_behind_the_file_ends_the_upload() -> None:
    """What would be a way around a key's models is a 400, and the provider is let go of."""
    closed = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_head()
        await stay_until_closed(connection)
        closed.set()

    form = build_form(MODEL, FILE + bytes(300_000), build_field("model", b"n/1"))
    async with passing(script) as (server, _):
        answer = await ask(server, form)
        assert (answer.status, answer.error["param"]) == (400, "model")
        await closed.wait()


async def test_a_late_model_is_told_where_to_stand() -> None:
    """A form whose model does not come early is a 400 that says so; no provider hears of it."""
    script = answering(ANSWER)
    async with passing(script, max_form_start_bytes=1000) as (server, _):
        answer = await ask(server, build_form(FILE + bytes(5000), MODEL))
        assert (answer.status, answer.error["param"]) == (400, "model")
        assert "x-llm-proxy-model" in answer.error["message"]
        answer = await ask(server, build_form(FILE + bytes(100), MODEL))
        assert answer.status == 200
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("line", "content_type", "body", "status", "code"),
    [
        (TRANSCRIPTIONS, "application/json", b"{}", 415, "unsupported_media_type"),
        (TRANSCRIPTIONS, "multipart/form-data", b"", 400, "invalid_form"),
        (TRANSCRIPTIONS, FORM_TYPE, b"--c\r\n", 400, "invalid_form"),
        (TRANSCRIPTIONS, FORM_TYPE, build_form(build_field("model", b"x"), FILE), 404,
         "model_not_found"),
        ("POST /v1/moderations HTTP/1.1", FORM_TYPE, FORM, 415, "unsupported_media_type"),
        ("POST /v1/moderations HTTP/1.1", "application/json", b'{"input":', 400, "invalid_json"),
        ("POST /v1/rerank HTTP/1.1", "application/json", b'{"query":"x"}', 400, None),
        ("POST /v1/rerank HTTP/1.1", "application/json", b'{"model":3}', 400, None),
        ("POST /v1/rerank HTTP/1.1", "application/json", b'{"model":"m","api_base":"x"}', 400,
         "unsupported_parameter"),
        ("POST /v1/files HTTP/1.1", "application/json", b"{}", 415, "unsupported_media_type"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_request_is_told_before_anybody_is_asked(
    line: str, content_type: str, body: bytes, status: int, code: str | None
) -> None:
    """Each is a 4xx in OpenAI's shape."""
    script = answering(ANSWER)
    async with passing(script) as (server, _):
        answer = await ask(server, body, line=line, content_type=content_type)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert script.requests == []


async def test_strangers_and_their_bodies_stay_outside() -> None:
    """Without a key nothing is read, and with a used-up rate neither."""
    async with passing(answering(ANSWER), rate_limit=RateLimit(1, 60)) as (server, _):
        data = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"
        (answer,) = await exchange(server.port, data)
        assert answer.status == 401
        assert (await ask(server, FORM)).status == 200
        answer = await ask(server, FORM)
        assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")


async def test_the_first_that_offers_it_is_asked() -> None:
    """Of a name's deployments those whose type has no such operation are passed over."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream:
        deep = build_provider("http://127.0.0.1:1", name="deep", type="deepseek")
        good = build_provider(upstream.url, name="good", type="openai")
        async with serving(build_snapshot(deep, good)) as server:
            answer = await judge(server)
            assert (answer.status, answer.headers["x-llm-proxy-provider"]) == (200, "good")


async def test_where_nobody_offers_it_that_is_told() -> None:
    """A model of a type without the operation is a 400 with `unsupported_operation`."""
    deep = build_provider("http://127.0.0.1:1", name="deep", type="deepseek")
    async with serving(build_snapshot(deep)) as server:
        answer = await judge(server)
    assert (answer.status, answer.error["code"]) == (400, "unsupported_operation")
    assert "DeepSeek" in answer.error["message"]


async def test_another_is_asked_only_where_no_connection_came_about() -> None:
    """A form goes to the second where nobody listens at the first, and nowhere after a 500."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream:
        gone = build_provider(f"http://127.0.0.1:{find_port()}/v1", name="gone", type="openai")
        good = build_provider(upstream.url, name="good", type="openai")
        async with serving(build_snapshot(gone, good)) as server:
            answer = await ask(server, FORM)
            assert (answer.status, answer.headers["x-llm-proxy-provider"]) == (200, "good")
            (record,) = await server.observer.wait_for_records()
    assert [attempt.outcome for attempt in record.attempts] == ["upstream_unreachable", "ok"]
    assert script.requests[0][2] == FORM
    failing = Recorder(b"{}", content_type="application/json", status=500)
    async with open_raw_upstream(failing) as bad, open_raw_upstream(script) as upstream:
        providers = (
            build_provider(bad.url, name="bad", type="openai"),
            build_provider(upstream.url, name="good", type="openai"),
        )
        async with serving(build_snapshot(*providers)) as server:
            answer = await ask(server, FORM)
    assert (answer.status, len(script.requests)) == (502, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_an_account_may_not_do_is_held_against_nobody(status: int) -> None:
    """A refused key, or an unknown model, leaves chats of the same deployment alone."""
    refusal = {"error": {"message": "no", "type": "invalid_request_error", "code": None}}
    if status == 404:
        refusal["error"]["code"] = "model_not_found"
    script = answering(refusal, status)
    async with open_raw_upstream(script) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, type="openai"))
        snapshot = replace(
            snapshot, settings=replace(snapshot.settings, breaker=BreakerRules(consecutive=1))
        )
        async with serving(snapshot, board=build_board(snapshot)) as server:
            for _ in range(3):
                assert (await judge(server)).status == 502
            records = await server.observer.wait_for_records(3)
    assert len(script.requests) == 3
    code = {401: "upstream_auth", 403: "upstream_auth", 404: "upstream_model_not_found"}[status]
    assert {record.error_code for record in records} == {code}
    assert [attempt.outcome for record in records for attempt in record.attempts] == [code] * 3


async def test_failures_open_a_breaker_and_success_closes_it() -> None:
    """An endpoint that fails is left alone as a chat's is."""
    script = answering({"error": {"message": "no"}}, 500)
    async with open_raw_upstream(script) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, type="openai"))
        rules = BreakerRules(consecutive=1)
        snapshot = replace(snapshot, settings=replace(snapshot.settings, breaker=rules))
        async with serving(snapshot, board=build_board(snapshot)) as server:
            assert (await judge(server)).status == 502
            answer = await judge(server)
            assert (answer.status, answer.error["code"]) == (503, "no_healthy_provider")
    assert len(script.requests) == 1


async def test_a_providers_key_stays_out_of_its_own_words() -> None:
    """An error that repeats the key reaches the client without it."""
    words = f"the key {PROVIDER_KEY} may not hear this"
    script = answering({"error": {"message": words, "type": "invalid_request_error"}}, 400)
    async with passing(script) as (server, _):
        answer = await judge(server)
    assert answer.status == 400
    assert PROVIDER_KEY not in answer.error["message"]
    assert "may not hear this" in answer.error["message"]


async def test_a_client_is_left_to_repeat_by_itself() -> None:
    """Nobody here asks twice, so that the SDK may."""
    async with passing(answering({"error": {"message": "no"}}, 503)) as (server, _):
        answer = await judge(server)
    assert (answer.status, answer.headers.get("x-should-retry")) == (503, None)


async def test_a_client_that_leaves_takes_the_answer_along() -> None:
    """Who hangs up in the middle of an answer has its provider's connection closed."""
    closed = asyncio.Event()

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("audio/mpeg")
        await connection.chunk(b"one")
        await stay_until_closed(connection)
        closed.set()

    async with passing(script) as (server, _):
        request = json.dumps({"model": "m", "input": "x", "voice": "v"}).encode()
        head = build_head(f"Content-Length: {len(request)}", line="POST /v1/audio/speech HTTP/1.1")
        async with connecting(server.port, head + request) as client:
            assert (await client.read_head())[0] == 200
        await closed.wait()
        (record,) = await server.observer.wait_for_records()
    assert record.ending == "client_closed"


async def test_a_fault_of_our_own_is_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a stage costs one client an error, and is recorded."""

    async def fail(*_: object) -> None:
        raise RuntimeError("made by a test")

    monkeypatch.setattr("proxy.pipeline.pass_through.receive_passed", fail)
    async with passing(answering(ANSWER)) as (server, _):
        answer = await judge(server)
        (record,) = await server.observer.wait_for_records()
    assert (answer.status, record.error_code) == (500, "internal_error")


async def test_a_provider_that_is_silent_is_given_up() -> None:
    """Who has the whole body and says nothing for `answer_s` is a 504."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await stay_until_closed(connection)

    async with passing(script, clocks=Clocks(answer_s=0.1)) as (server, _):
        answer = await ask(server, FORM)
    assert (answer.status, answer.error["code"]) == (504, "upstream_header_timeout")


async def test_an_alias_leads_to_its_deployment() -> None:
    """JSON goes out with the deployment's name, all else byte for byte."""
    script = answering({"results": []})
    async with open_raw_upstream(script) as upstream:
        provider = build_provider(upstream.url, type="openai")
        snapshot = build_snapshot(provider)
        alias = Group("judge", (Deployment(provider, "m"),))
        snapshot = replace(snapshot, groups={**snapshot.groups, "judge": alias})
        async with serving(snapshot) as server:
            answer = await _judge_raw(server, b'{"input": 1.50, "model":"judge"}')
            # Without a model it asks for OpenAI's usual one, which is not here.
            usual = await _judge_raw(server, b'{"input":"x"}')
    assert answer == 200
    assert script.requests[0][2] == b'{"input":1.50,"model":"m"}'
    assert usual == 404


async def _judge_raw(server: ProxyServer, body: bytes) -> int:
    line = "POST /v1/moderations HTTP/1.1"
    return (await ask(server, body, line=line, content_type="application/json")).status
