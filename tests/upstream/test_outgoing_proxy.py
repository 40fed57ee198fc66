"""A proxy's URL: what it may say, what of it is shown, and which hosts no proxy is asked for."""

import base64
import re

import pytest

from proxy.domain.errors import UpstreamAddressRefused
from proxy.upstream.guard import Guard
from proxy.upstream.outgoing_proxy import OutgoingProxy, check_target, parse_proxy
from proxy.upstream.resolver import ResolutionFailed
from tests.canaries import KEY_MARK
from tests.fakes.forward_proxy import CREDENTIALS, LOGIN


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy.test:3128", "http://proxy.test:3128"),
        ("HTTP://PROXY.test:3128/", "http://proxy.test:3128"),
        ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        ("http://[fd12::1]:3128", "http://[fd12::1]:3128"),
        (f"http://{LOGIN}proxy.test:3128", "http://proxy.test:3128"),
    ],
)
def test_what_is_shown_of_a_proxy(url: str, shown: str) -> None:
    """Scheme, host and port may be shown; user and password stand in nothing that is printed."""
    proxy = parse_proxy(url)
    assert proxy.url == shown
    assert KEY_MARK not in repr(proxy)
    assert CREDENTIALS not in repr(proxy)


@pytest.mark.parametrize(
    ("login", "told"),
    [
        ("", None),
        ("a@", "a:"),
        ("a:@", "a:"),
        (":b@", ":b"),
        ("a:b:c@", "a:b:c"),
        ("a%40b:%C3%A9%25@", "a@b:é%"),
    ],
)
def test_who_a_proxy_is_told_that_asks(login: str, told: str | None) -> None:
    """User and password are decoded once, and go out as Basic in UTF-8; without them nothing."""
    line = parse_proxy(f"http://{login}proxy.test:3128").build_credentials()
    if told is None:
        assert line == ""
    else:
        text = base64.b64encode(told.encode()).decode()
        assert line == f"Proxy-Authorization: Basic {text}\r\n"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (f"https://{LOGIN}proxy.test:3128", "asks for TLS to the proxy itself"),
        (f"socks5://{LOGIN}proxy.test:1080", "is no address of a proxy"),
        (f"{LOGIN}proxy.test:3128", "is no address of a proxy"),
        (f"http://{LOGIN}:3128", "is no address of a proxy"),
        (f"http://{LOGIN}proxy test:3128", "is no address of a proxy"),
        (f"http://{LOGIN}pröxy.test:3128", "is no address of a proxy"),
        (f"http://{LOGIN}proxy.test", "names no port"),
        (f"http://{LOGIN}proxy.test:0", "names no port"),
        (f"http://{LOGIN}proxy.test:99999", "cannot be read as a URL"),
        (f"http://{LOGIN}[::1:3128", "cannot be read as a URL"),
        (f"http://{LOGIN}proxy.test:3128/path", "holds more than an address"),
        (f"http://{LOGIN}proxy.test:3128?a=b", "holds more than an address"),
        (f"http://{LOGIN}proxy.test:3128#a", "holds more than an address"),
        (f"http://{LOGIN}169.254.169.254:3128", "names an address that nothing is ever"),
        (f"http://{LOGIN}0x7f000001:3128", "names an address that nothing is ever"),
        (f"http://a%0d%0aX:{KEY_MARK}@proxy.test:3128", "has a user or a password that no proxy"),
        (f"http://a%3ab:{KEY_MARK}@proxy.test:3128", "has a user or a password that no proxy"),
        (f"http://a:${{{KEY_MARK}}}@proxy.test:3128", "holds '${...}' beside other text"),
    ],
)
def test_what_is_no_proxy(url: str, what: str) -> None:
    """Each mistake is named with its mending, in words that quote nothing of the URL."""
    with pytest.raises(ValueError, match=f"^{re.escape(what)}") as caught:
        parse_proxy(url)
    text = str(caught.value)
    assert text.partition(": ")[2]
    assert KEY_MARK not in text


@pytest.mark.parametrize(
    ("host", "there"), [("llm.test", "llm.test:443"), ("2606:4700::1", "[2606:4700::1]:443")]
)
def test_the_request_for_a_tunnel(host: str, there: str) -> None:
    """A CONNECT names host and port twice, and says who asks."""
    expected = f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n"
    assert OutgoingProxy("proxy.test", 3128).build_connect(host, 443) == expected.encode()
    asking = parse_proxy(f"http://{LOGIN}proxy.test:3128").build_connect(host, 443)
    assert f"\r\nProxy-Authorization: {CREDENTIALS}\r\n\r\n".encode() in asking


@pytest.mark.parametrize("host", ["api.provider.test", "api_1.test", "1.1.1.1", "2606:4700::1"])
def test_hosts_that_a_proxy_is_asked_for(host: str) -> None:
    """A name passes, whatever it leads to, and so does a public address."""
    check_target(host, Guard("https://api.provider.test/v1"))


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("10.0.0.1", UpstreamAddressRefused),
        ("fe80::1%1", UpstreamAddressRefused),
        ("localhost", UpstreamAddressRefused),
        ("a.LOCALHOST.", UpstreamAddressRefused),
        ("2130706433", ResolutionFailed),
        ("127.1", ResolutionFailed),
        ("127.0.0.1.", ResolutionFailed),
        ("%31.test", ValueError),
        ("a b", ValueError),
        ("", ValueError),
    ],
)
def test_hosts_that_no_proxy_is_asked_for(host: str, error: type[Exception]) -> None:
    """Addresses that are not public, this machine, numbers, and what a proxy might decode."""
    with pytest.raises(error):
        check_target(host, Guard("https://api.provider.test/v1"))


def test_a_provider_inside_is_asked_for_if_it_is_named() -> None:
    """What `base_url` names as an address may be asked for through a proxy too."""
    check_target("10.0.0.1", Guard("http://10.0.0.1/v1"))
    check_target("localhost", Guard("http://localhost/v1"))
