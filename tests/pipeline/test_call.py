"""What goes up to a provider, and what its failures before the commit point become."""

from typing import Any

import msgspec
import pytest

from proxy.domain.settings import Clocks
from tests.fakes.proxy_server import (
    ANSWER,
    DONE,
    KEY,
    PROVIDER_KEY,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_upstream_gets_the_providers_key_and_nothing_of_the_clients() -> None:
    """Headers of the client stay here; the provider sees its own key and our headers only."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        await post(
            server.url,
            build_chat(),
            Cookie="c=1",
            **{"X-Forwarded-For": "1.2.3.4", "OpenAI-Beta": "x"},
        )
    line, headers, _ = script.requests[0]
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert KEY not in str(headers)
    assert not {"cookie", "x-forwarded-for", "openai-beta"} & headers.keys()


async def test_fields_that_nobody_reads_go_up_as_they_came() -> None:
    """Fields we do not read are byte-identical upstream; of a duplicated name the last wins."""
    script = answering(ANSWER)
    body = (
        b'{"model":"x","messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}],'
        b'"top_p":1.00,"new_number":12345678901234567890123,"new_thing":{"a": [1,  2]},"model":"m"}'
    )
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, _ = await post(server.url, body)
    assert status == 200
    sent = script.requests[0][2]
    for part in (
        b'"top_p":1.00',
        b'"new_number":12345678901234567890123',
        b'{"a": [1,  2]}',
        b'"\\u00e9 \xc3\xa9"',
    ):
        assert part in sent
    assert sent.count(b'"model"') == 1


FAILURES_BEFORE_CONTENT: dict[str, tuple[Recorder, int, str]] = {
    "empty stream": (Recorder(DONE), 502, "upstream_truncated"),
    "nothing at all": (Recorder(), 502, "upstream_truncated"),
    "role only": (Recorder(build_chunk(), DONE), 502, "upstream_truncated"),
    "html": (
        Recorder(b"<html>secret words</html>", content_type="text/html"),
        502,
        "upstream_protocol_error",
    ),
    "error first": (
        Recorder(b'data: {"error":{"message":"secret words","type":"server_error"}}\n\n'),
        502,
        "upstream_server_error",
    ),
    "overloaded first": (
        Recorder(b'data: {"error":{"message":"x","type":"overloaded_error"}}\n\n'),
        503,
        "upstream_overloaded",
    ),
    "error in json 200": (
        answering({"error": {"message": "secret words", "code": 502}}),
        502,
        "upstream_server_error",
    ),
    "malformed first": (Recorder(b"data: {oops\n\n"), 502, "upstream_protocol_error"),
    "500": (answering({"error": {"message": "secret words"}}, 500), 502, "upstream_server_error"),
    "503": (answering({"error": {"message": "secret words"}}, 503), 503, "upstream_overloaded"),
    "401": (answering({"error": {"message": "secret words"}}, 401), 502, "upstream_auth"),
    "429": (answering({"error": {"message": "secret words"}}, 429), 429, "rate_limit_exceeded"),
    "redirect": (answering({}, 307), 502, "upstream_redirect"),
}


@pytest.mark.parametrize("case", FAILURES_BEFORE_CONTENT)
async def test_failures_before_content_get_a_proper_status(case: str) -> None:
    """What fails before the commit point is a status and an error body, never a 200."""
    script, status, code = FAILURES_BEFORE_CONTENT[case]
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        found, headers, body = await post(server.url, build_chat(stream=True))
        assert found == status
        error = msgspec.json.decode(body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["code"] == code
        assert b"secret words" not in body
        assert headers["x-request-id"].startswith("req_")
        (record,) = await server.observer.wait_for_records()
        assert (record.status, record.ending, record.error_code) == (status, "failed", code)


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ({"error": {"message": "x", "code": 429}}, 429, "rate_limit_exceeded"),
        ({"error": {"message": "secret words"}}, 502, "upstream_server_error"),
        ({"object": "chat.completion", "choices": []}, 502, "upstream_truncated"),
        ({"no": "choices"}, 502, "upstream_protocol_error"),
        (["list"], 502, "upstream_protocol_error"),
    ],
)
async def test_an_error_inside_a_200_is_an_error(value: Any, status: int, code: str) -> None:
    """A 200 whose JSON is no answer gets the status that it stands for."""
    async with open_raw_upstream(answering(value)) as upstream, proxying(upstream.url) as server:
        found, _, body = await post(server.url, build_chat())
    assert (found, msgspec.json.decode(body)["error"]["code"]) == (status, code)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_deadline_is_a_gateway_timeout(stream: bool) -> None:
    """`request_timeout` bounds a request that gets no answer: 504 with 003's text."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, request_timeout_s=0.1) as server,
    ):
        status, _, body = await post(server.url, build_chat(stream=stream))
        await upstream.connections[0].wait_closed()
        (record,) = await server.observer.wait_for_records()
    assert status == 504
    assert "Gateway Timeout" in msgspec.json.decode(body)["error"]["message"]
    assert [attempt.outcome for attempt in record.attempts] == ["deadline_exceeded"]


async def test_a_slow_json_answer_runs_into_its_clock() -> None:
    """A JSON body that never ends is `upstream_answer_timeout`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await connection.watch()

    async with (
        open_raw_upstream(script) as upstream,
        proxying(upstream.url, clocks=Clocks(answer_s=0.1)) as server,
    ):
        status, _, body = await post(server.url, build_chat())
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (504, "upstream_answer_timeout")


async def test_nobody_there_is_a_bad_gateway(loopback_port: int) -> None:
    """A provider that refuses connections is 502 `upstream_unreachable`."""
    async with proxying(f"http://127.0.0.1:{loopback_port}/v1") as server:
        status, _, body = await post(server.url, build_chat(stream=True))
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (502, "upstream_unreachable")


async def test_what_a_failed_attempt_has_used_is_not_the_clients() -> None:
    """Tokens that a provider reports before it fails without content are in no record."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    script = Recorder(
        b"data: " + msgspec.json.encode({"choices": [], "usage": usage}) + b"\n\n",
        b'data: {"error":{"message":"x","code":500}}\n\n',
    )
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        status, _, _ = await post(server.url, build_chat(stream=True))
        (record,) = await server.observer.wait_for_records()
    assert (status, record.usage) == (502, None)
