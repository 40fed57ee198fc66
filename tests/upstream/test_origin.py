"""A URL is read once into where to connect and the first lines of a request."""

import pytest

from proxy.domain.errors import UpstreamUnreachable
from proxy.upstream.origin import Origin, read_target


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://a.test/v1/x", Origin("http", "a.test", 80), "/v1/x", "a.test"),
        ("https://A.Test/v1?b=c%20d#e", Origin("https", "a.test", 443), "/v1?b=c%20d", "a.test"),
        ("https://a.test:8443", Origin("https", "a.test", 8443), "/", "a.test:8443"),
        ("http://a.test:443/", Origin("http", "a.test", 443), "/", "a.test:443"),
        (
            "http://[2001:db8::1]:81/v1",
            Origin("http", "2001:db8::1", 81),
            "/v1",
            "[2001:db8::1]:81",
        ),
        ("http://user:word@a.test/", Origin("http", "a.test", 80), "/", "a.test"),
        ("http://localhost./v1", Origin("http", "localhost.", 80), "/v1", "localhost."),
    ],
)
def test_a_url_tells_where_and_what(url: str, origin: Origin, path: str, authority: str) -> None:
    """Scheme, host and port are the origin's; path and query go out, the rest does not."""
    target = read_target("POST", url)
    assert target.origin == origin
    assert target.first_lines == f"POST {path} HTTP/1.1\r\nHost: {authority}\r\n".encode()


@pytest.mark.parametrize(
    "url",
    [
        "", "a.test/v1", "ftp://a.test/", "unix:///a", "http://", "http:///v1", "http://:80/",
        "http://a.test:0x50/", "http://a.test:99999/", "http://[::1/", "http://\u0661.test/",
        "http://a.test/\u00e9", "http://a.test/a b", "http://a b.test/", "http://a.test/a?b c",
        "http://a.test/\x7f", "http://a\x00b.test/",
    ],
)  # fmt: skip
def test_what_no_request_can_be_made_of_is_unreachable(url: str) -> None:
    """Other schemes, no host, and what would end or split the first line are refused."""
    with pytest.raises(UpstreamUnreachable):
        read_target("POST", url)


def test_line_ends_never_get_into_a_head() -> None:
    """Neither a URL nor a method with line ends in it makes a request of more lines."""
    for method, url in (
        ("POST", "http://a.test/v1 HTTP/1.1\r\nX-Evil: 1"),
        ("POST / HTTP/1.1\r\nX-Evil: 1", "http://a.test/v1"),
    ):
        with pytest.raises(UpstreamUnreachable):
            read_target(method, url)
