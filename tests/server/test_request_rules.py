"""Heads that two servers could read in two ways, and heads that are no HTTP/1.1."""

import pytest
from aiohttp.http import HttpRequestParser

from proxy.server.request_rules import read_path
from tests.fakes.proxy_server import ProxyServer, build_snapshot, serving
from tests.fakes.raw_client import RawAnswer, connecting, exchange

pytestmark = pytest.mark.usefixtures("no_leaks")

HOST = "Host: proxy.test\r\n"
BEHIND = "GET /health HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"


async def ask(data: str) -> tuple[list[RawAnswer], ProxyServer]:
    """Return every answer to these bytes, and the server that gave them."""
    async with serving(build_snapshot(), {}) as server:
        return await exchange(server.port, data.encode("latin-1")), server


GET = f"GET /health HTTP/1.1\r\n{HOST}"
POST = f"POST /health HTTP/1.1\r\n{HOST}"
CHUNKED = "Transfer-Encoding: chunked\r\n"
LAST = "0\r\n\r\n"
BAD = {
    "HTTP/0.9": "GET /health\r\n\r\n",
    "HTTP/2.0": f"GET /health HTTP/2.0\r\n{HOST}\r\n",
    "HTTP/1.2": f"GET /health HTTP/1.2\r\n{HOST}\r\n",
    "prior knowledge": "PRI * HTTP/2.{LAST}SM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "1.0 with TE": f"POST /health HTTP/1.0\r\n{HOST}{CHUNKED}\r\n{LAST}",
    "gzip, chunked": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n{LAST}",
    "identity": f"{POST}Transfer-Encoding: identity\r\n\r\n",
    "xchunked": f"{POST}Transfer-Encoding: xchunked\r\n\r\n",
    "TE twice": f"{POST}{CHUNKED}{CHUNKED}\r\n{LAST}",
    "CL and TE": f"{POST}Content-Length: 4\r\n{CHUNKED}\r\n{LAST}",
    "TE and CL": f"{POST}{CHUNKED}Content-Length: 4\r\n\r\n{LAST}",
    "two CL": f"{POST}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "same CL twice": f"{POST}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "CL list": f"{POST}Content-Length: 4, 4\r\n\r\nabcd",
    "CL +4": f"{POST}Content-Length: +4\r\n\r\nabcd",
    "CL 1_0": f"{POST}Content-Length: 1_{LAST}",
    "body on GET": f"{GET}Content-Length: 4\r\n\r\nabcd",
    "body on OPTIONS": f"OPTIONS /health HTTP/1.1\r\n{HOST}Content-Length: 4\r\n\r\nabcd",
    "chunks on GET": f"{GET}{CHUNKED}\r\n{LAST}",
    "no Host": "GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": f"{GET}{HOST}\r\n",
    "empty Host": "GET /health HTTP/1.1\r\nHost:\r\n\r\n",
    "Host with a path": "GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a user": "GET /health HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "Host with a list": "GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "bad Host in 1.0": "GET /health HTTP/1.0\r\nHost: a b\r\n\r\n",
    "another authority": f"GET http://evil.test/health HTTP/1.1\r\n{HOST}\r\n",
    "another port": f"GET http://proxy.test:81/health HTTP/1.1\r\n{HOST}\r\n",
    "another scheme": f"GET ftp://proxy.test/health HTTP/1.1\r\n{HOST}\r\n",
    "asterisk": f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n",
    "authority": f"GET proxy.test:80 HTTP/1.1\r\n{HOST}\r\n",
    "folded line": f"{GET}A: b\r\n c\r\n\r\n",
    "bare LF": "GET /health HTTP/1.1\nHost: proxy.test\n\n",
    "bare CR": f"{GET}A: b\rc\r\n\r\n",
    "NUL": f"{GET}Authorization: Bearer sk-1\x00\r\n\r\n",
    "space before colon": f"{GET}A : b\r\n\r\n",
    "unknown method": f"FOO /health HTTP/1.1\r\n{HOST}\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
async def test_doubtful_heads_are_refused_and_end_the_connection(
    data: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One 400 in JSON with an id and our name only; nothing behind it is taken, nothing logged."""
    (answer,), server = await ask(data + BEHIND)
    assert answer.status == 400
    assert answer.headers["server"] == "llm-proxy-api"
    assert answer.headers["connection"] == "close"
    assert answer.error["code"] == "invalid_http"
    (record,) = server.observer.records
    assert (record.endpoint, record.status, record.error_code) == ("other", 400, "invalid_http")
    assert record.request_id == answer.headers["x-request-id"]
    assert server.observer.connection_faults == ["invalid_http"]
    assert caplog.records == []


async def test_a_refused_head_gets_no_body() -> None:
    """Its answer tells the length of an error that is not there, like any answer to HEAD."""
    data = f"HEAD /health HTTP/1.1\r\n{HOST}Content-Length: 4\r\n\r\nabcd{BEHIND}".encode()
    async with serving(build_snapshot(), {}) as server, connecting(server.port, data) as client:
        answer = await client.read_answer(is_to_head=True)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert int(answer.headers["content-length"]) > 0
        assert await client.read_end() == b""
    assert server.observer.connection_faults == ["invalid_http"]


TOO_LARGE = {
    "target": f"GET /{'a' * 8200} HTTP/1.1\r\n{HOST}\r\n",
    "value": f"GET /health HTTP/1.1\r\n{HOST}A: {'b' * 8200}\r\n\r\n",
    "name": f"GET /health HTTP/1.1\r\n{HOST}{'A' * 8200}: b\r\n\r\n",
    "number": GET + "A: b\r\n" * 129 + "\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_heads_that_are_too_large_are_431(data: str) -> None:
    """The answer says what would fit, and ends the connection."""
    (answer,), server = await ask(data + BEHIND)
    assert (answer.status, answer.error["code"]) == (431, "request_head_too_large")
    assert "8190 bytes" in answer.error["message"]
    assert answer.headers["connection"] == "close"
    assert server.observer.connection_faults == ["invalid_http"]


GOOD = {
    "plain": f"GET /health HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    "HTTP/1.0": "GET /health HTTP/1.0\r\n\r\n",
    "port": "GET /health HTTP/1.1\r\nHost: proxy.test:8000\r\nConnection: close\r\n\r\n",
    "IPv6": "GET /health HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n",
    "absolute": f"GET http://Proxy.test/health?a=b HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    "empty body": f"GET /health HTTP/1.1\r\n{HOST}Content-Length: 0\r\nConnection: close\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
async def test_good_heads_are_answered(data: str) -> None:
    """Nothing that HTTP/1.1 allows and one server reads like the other is refused."""
    (answer,), server = await ask(data)
    assert answer.status == 200
    assert server.observer.connection_faults == []


async def test_connect_is_no_method_of_ours() -> None:
    """CONNECT is 405 with the methods that there are, and no tunnel: what follows is dropped."""
    (answer,), server = await ask(f"CONNECT a.test:1 HTTP/1.1\r\n{HOST}\r\n" + BEHIND)
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert server.observer.connection_faults == []


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c=/d", "/a/b"),
        ("//a", "//a"),
        ("/a%2Fb", "/a%2Fb"),
        ("http://h/a?b", "/a"),
        ("http://h", "/"),
        ("http://h?a/b", "/"),
    ],
)
def test_a_path_is_read_as_it_was_sent(target: str, path: str) -> None:
    """Nothing is decoded or joined; a target in absolute form loses scheme and host."""
    assert read_path(target) == path


def test_requests_are_read_by_the_compiled_parser() -> None:
    """What this module relies on is true of the parser in C, which must be the one in use."""
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"
