"""Which paths pass what, and what is no path of theirs."""

import pytest

from tests.fakes.proxy_server import ProxyServer
from tests.fakes.raw_client import RawAnswer, build_head, build_request, connecting, exchange
from tests.fakes.upstream_scripts import answering
from tests.pipeline.passing import FORM, FORM_TYPE, passing

pytestmark = pytest.mark.usefixtures("no_leaks")

SPOKEN = b'{"model":"m","input":"x","voice":"v"}'


async def _ask(server: ProxyServer, line: str) -> RawAnswer:
    method = line.partition(" ")[0]
    if method == "POST" and "cancel" not in line:
        is_form = any(word in line for word in ("transcr", "transl", "edits", "variat", "files"))
        body, kind = (FORM, FORM_TYPE) if is_form else (SPOKEN, "application/json")
        data = build_request(body, "Connection: close", content_type=kind, line=line)
    else:
        data = build_head("Connection: close", content_type=None, line=line)
    (answer,) = await exchange(server.port, data)
    return answer


@pytest.mark.parametrize(
    ("line", "goes_to", "endpoint"),
    [
        *(
            (f"POST {prefix}/{path} HTTP/1.1", f"POST /v1/{path}", f"/{path}")
            for prefix in ("/v1", "", "/openai/v1")
            for path in ("audio/speech", "images/edits", "moderations", "rerank")
        ),
        ("POST /v2/rerank HTTP/1.1", "POST /v1/rerank", "/rerank"),
        (
            "POST /openai/deployments/m/audio/speech?api-version=1 HTTP/1.1",
            "POST /v1/audio/speech",
            "/audio/speech",
        ),
        *(
            (f"{method} {prefix}/{path} HTTP/1.1", f"{method} /v1/{path}", endpoint)
            for prefix in ("/v1", "", "/openai/v1", "/openai")
            for method, path, endpoint in (
                ("GET", "files", "/files"),
                ("POST", "files", "/files"),
                ("GET", "files/file-1.a_B", "/files/{id}"),
                ("DELETE", "files/file-1", "/files/{id}"),
                ("GET", "files/file-1/content", "/files/{id}/content"),
                ("GET", "batches/batch_1", "/batches/{id}"),
                ("POST", "batches/batch_1/cancel", "/batches/{id}/cancel"),
            )
        ),
    ],
)
async def test_each_path_goes_to_its_own(line: str, goes_to: str, endpoint: str) -> None:
    """A path with any of its prefixes is asked of the provider, and recorded by its pattern."""
    script = answering({"ok": 1})
    async with passing(script) as (server, _):
        answer = await _ask(server, line)
        (record,) = await server.observer.wait_for_records()
    assert answer.status == 200
    assert script.requests[0][0] == f"{goes_to} HTTP/1.1"
    assert record.endpoint == endpoint


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/files/file-1/other HTTP/1.1",
        "DELETE /v1/files/file-1/content HTTP/1.1",
        "GET /v1/files/file%2F1 HTTP/1.1",
        "GET /v1/files/.. HTTP/1.1",
        "GET /v1/files/../models HTTP/1.1",
        "GET /v1/files/a%00b HTTP/1.1",
        "GET /v1/files/a;b HTTP/1.1",
        "GET /v1/files/a/content/content HTTP/1.1",
        "GET /v1/batches/... HTTP/1.1",
        "GET /v1/batches/b/cancel HTTP/1.1",
        "POST /v1/batches/b HTTP/1.1",
        "GET /v1/files/" + "a" * 129 + " HTTP/1.1",
        "POST /openai/deployments/m/moderations HTTP/1.1",
        "POST /openai/deployments//audio/speech HTTP/1.1",
        "POST /v1/audio/other HTTP/1.1",
    ],
)
async def test_what_is_no_path_of_theirs_is_a_404(line: str) -> None:
    """No id leads anywhere but to itself, and no provider hears of it."""
    script = answering({"ok": 1})
    async with passing(script) as (server, _):
        answer = await _ask(server, line)
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert script.requests == []


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("GET /v1/audio/speech HTTP/1.1", "POST, OPTIONS"),
        ("HEAD /v1/files HTTP/1.1", "GET, POST, OPTIONS"),
        ("PUT /v1/files/file-1 HTTP/1.1", "GET, DELETE, OPTIONS"),
        ("DELETE /v1/batches/b HTTP/1.1", "GET, POST, OPTIONS"),
    ],
)
async def test_the_wrong_method_is_told_the_right_ones(line: str, allowed: str) -> None:
    """HEAD is none of them: an answer that passes cannot be had without its body."""
    script = answering({"ok": 1})
    async with passing(script) as (server, _):
        data = build_head("Connection: close", content_type=None, line=line)
        async with connecting(server.port, data) as client:
            answer = await client.read_answer(is_to_head=line.startswith("HEAD"))
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert script.requests == []
