"""Which heads are plain, and that aiohttp's parser reads each of these as the same request."""

import asyncio

import pytest
from aiohttp.http import HttpRequestParser, HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.server.chat_endpoints import OLLAMA_PREFIX, PATHS, list_plain_routes
from proxy.server.lean_head import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    PlainHead,
    PlainRoute,
    find_reason,
    read_head,
)
from tests.fakes.raw_client import build_head, build_request
from tests.server.recorded_heads import JAVA, RECORDED, build_recorded

ROUTES = list_plain_routes()
PLAIN = build_request(b"{}")


def is_plain(head: bytes) -> bool:
    """Return whether a head is read here."""
    return read_head(head, ROUTES) is not None


@pytest.mark.parametrize(
    ("prefix", "path", "operation"),
    [
        (prefix, path, operation)
        for path, operation in PATHS
        for prefix in ("/v1", "")
        if not (prefix and path.startswith(OLLAMA_PREFIX))
    ],
)
def test_every_path_of_the_pipeline_is_plain(prefix: str, path: str, operation: str) -> None:
    """A POST to it is read, and what it asks for is known by its line; Ollama's have no prefix."""
    head = read_head(build_request(b"{}", line=f"POST {prefix}{path} HTTP/1.1"), ROUTES)
    assert head is not None
    assert (head.route.operation, head.route.endpoint) == (operation, path)


def test_a_plain_head_is_read_whole() -> None:
    """Its fields in any case, the size of its body, and where that begins."""
    head = read_head(PLAIN, ROUTES)
    assert head is not None
    assert head.headers.getall("content-TYPE") == ["application/json"]
    assert (head.size_bytes, PLAIN[head.body_at :], head.keeps_alive) == (2, b"{}", True)


@pytest.mark.parametrize(
    ("field", "keeps_alive"),
    [
        ("Connection: keep-alive", True),
        ("connection: Keep-Alive", True),
        ("Connection: CLOSE", False),
    ],
)
def test_a_client_may_say_whether_it_asks_again(field: str, keeps_alive: bool) -> None:
    """`Connection` may say that it goes on or ends, and that alone."""
    head = read_head(build_request(b"{}", field), ROUTES)
    assert head is not None
    assert head.keeps_alive is keeps_alive


@pytest.mark.parametrize(
    "line",
    [
        "GET /v1/chat/completions HTTP/1.1",
        "POST /v1/models HTTP/1.1",
        "POST /v1/chat/completions HTTP/1.0",
        "POST /v1/chat/completions?a=b HTTP/1.1",
        "POST  /v1/chat/completions HTTP/1.1",
        "POST /v1/chat/completions HTTP/1.1 ",
        "post /v1/chat/completions HTTP/1.1",
        "POST http://proxy.test/v1/chat/completions HTTP/1.1",
    ],
)
def test_any_other_line_is_not_plain(line: str) -> None:
    """Only the exact lines are known: other methods, versions, targets and spaces are not."""
    assert not is_plain(build_request(b"{}", line=line))


@pytest.mark.parametrize(
    "field",
    [
        "Expect: 100-continue",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Trailer: x",
        "Content-Encoding: gzip",
        "Connection: Upgrade",
        "Connection: keep-alive, close",
        "Content-Length: 2",
        "Host: proxy.test",
        "host: other.test",
        "X-Any: a\r\nx-any: b",
        "X-Any:a",
        "X-Any:  a",
        "X-Any: a ",
        "X-Any: ",
        "X-Any : a",
        "X_Any: a",
        " X-Any: a",
        "X-Any: a\r\n b",
        "X-Any: \ta",
        "X-Any: a\nX-Other: b",
        "X-Any: a\rb",
        "X-Any: a\0b",
        "X-Any: \xe4",
        "X-Any",
        ": a",
        "X-Any: " + "a" * MAX_HEAD_BYTES,
        "\r\n".join(f"X-{n}: a" for n in range(MAX_FIELDS)),
    ],
)
def test_a_field_that_asks_for_more_or_is_odd_is_not_plain(field: str) -> None:
    """Whatever changes framing or protocol, comes twice, is long, or could be read two ways."""
    assert not is_plain(build_request(b"{}", field))


@pytest.mark.parametrize("size", ["", "+2", "-1", "02", "2 ", "0x2", "2,2", "1_0", "9" * 13, "²"])
def test_a_length_is_a_plain_number(size: str) -> None:
    """Digits without sign, zeros in front or company; without one a head is not plain."""
    assert not is_plain(build_head(f"Content-Length: {size}"))
    assert not is_plain(build_head())


@pytest.mark.parametrize("host", ["", "Host: a b\r\n", "Host: a@b\r\n", "Host: a/b\r\n"])
def test_a_head_names_its_host(host: str) -> None:
    """Without a Host that is a name or an address a head is not plain."""
    assert not is_plain(PLAIN.replace(b"Host: proxy.test\r\n", host.encode()))


@given(st.integers(0, len(PLAIN) - 3))
def test_a_head_that_is_not_whole_is_not_plain(size: int) -> None:
    """However much of it has come: what waits for the rest is not here."""
    head_end = len(PLAIN) - 2
    assert is_plain(PLAIN[:size]) is (size >= head_end)


_ODD = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b": ", b",", b"\0", b"\xff", b"0", b"1"),
    *(b"Host: a\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Connection: close\r\n", b"X-A: b\r\n", b"Expect: 100-continue\r\n"),
)
_PIECE = st.one_of(st.sampled_from(_ODD), st.binary(max_size=3))


@given(st.integers(0, len(PLAIN)), st.integers(0, 4), _PIECE)
def test_what_is_plain_is_the_same_request_to_aiohttp(at: int, cut: int, piece: bytes) -> None:
    """Wherever a request is changed: what is still read here is what aiohttp's parser reads."""
    data = PLAIN[:at] + piece + PLAIN[at + cut :]
    head = read_head(data, ROUTES)
    if head is not None:
        compare(data, head)


def compare(data: bytes, head: PlainHead) -> None:
    """Check that aiohttp's parser reads the same request from what was read here."""
    loop = asyncio.new_event_loop()
    try:
        protocol = asyncio.Protocol()
        parser = HttpRequestParser(protocol, loop, 1 << 16)  # type: ignore[arg-type]
        messages, is_upgraded, _ = parser.feed_data(data[: head.body_at])
    except HttpProcessingError as error:
        raise AssertionError(data) from error
    finally:
        loop.close()
    ((message, payload),) = messages
    assert (message.method, message.version, message.chunked) == ("POST", HttpVersion11, False)
    assert data.startswith(f"{message.method} {message.path} HTTP/1.1\r\n".encode())
    assert CIMultiDict(message.headers) == head.headers
    assert (message.should_close, is_upgraded) == (not head.keeps_alive, False)
    assert payload.is_eof() is (head.size_bytes == 0)


@pytest.mark.parametrize("client", RECORDED)
def test_what_clients_really_send_is_plain(client: str) -> None:
    """SDKs and HTTP libraries of several languages get the fast path."""
    data = build_recorded(RECORDED[client])
    line = data[: data.index(b"\r\n")]
    head = read_head(data, {line: PlainRoute("chat", "/")})
    assert head is not None
    compare(data, head)
    assert line in ROUTES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (build_recorded(JAVA), "head"),
        (build_request(b"{}", "X_Any: a"), "head"),
        (PLAIN[:60], "head"),
        (PLAIN[:9], "head"),
        (PLAIN[: PLAIN.find(b"\n")], "head"),
        (PLAIN[: PLAIN.find(b"\r")] + b"X", "route"),
        (b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", "route"),
        (b"GET /v1/mo", "route"),
        (b"\x16\x03\x01", "route"),
        (b"\r\n" + PLAIN, "route"),
    ],
)
def test_why_a_head_is_not_plain(data: bytes, reason: str) -> None:
    """Whether the pipeline was asked in another way, or something else was asked for."""
    assert not is_plain(data)
    assert find_reason(data, ROUTES) == reason
