"""Which texts pass as addresses, headers, names and keys."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config import value_types as v
from proxy.providers.third_party import PackageFault


def _passes(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1234", "https://api.example.com/v1", "https://[::1]:8443/x/", "HTTP://A"],
)
def test_base_urls(url: str) -> None:
    """http and https URLs with a host pass, with and without port and path."""
    assert _passes(v.BaseUrl, url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@example.com",
        "https://@example.com",
        "https://example.com/?a=1",
        "https://example.com/#x",
        "https://example.com?",
        "https://exa mple.com",
        "https://example.com:99999",
        "https://example.com:0",
        "https://[::1",
        "https://example.com/\r\nX: y",
        "https://ex\\ample.com",
        "https://exämple.com",
    ],
)
def test_what_is_no_base_url(url: str) -> None:
    """Other schemes, user names, queries, fragments and odd characters are refused."""
    assert not _passes(v.BaseUrl, url)


@pytest.mark.parametrize("name", ["openai_default", "a", "local-1.2", "0"])
def test_names(name: str) -> None:
    """Letters, digits, '_', '-' and '.' make a name."""
    assert _passes(v.Name, name)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "-a", "ä", "a" * 65, "a\n"])
def test_what_is_no_name(name: str) -> None:
    """A provider's name has no slash: `provider/model` is split at the first one."""
    assert not _passes(v.Name, name)


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "HOST", "Connection", "a b", ""])
def test_headers_that_may_not_be_set(header: str) -> None:
    """Headers for authentication, of one hop and those that we set ourselves are refused."""
    assert not _passes(v.SentHeaderName, header)
    assert _passes(v.SentHeaderName, "HTTP-Referer")


@pytest.mark.parametrize("header", ["Authorization", "cookie", "Host", "Content-Type", "a b", ""])
def test_headers_that_cannot_hold_a_clients_key(header: str) -> None:
    """Where something else is written, or a key is read in another way, no key is looked for."""
    assert not _passes(v.KeyHeaderName, header)
    assert _passes(v.KeyHeaderName, "X-House-Key")
    assert _passes(v.KeyHeaderName, "x-api-key")


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "\x00", "", " a", "a ", "ä"])
def test_what_is_no_header_value(value: str) -> None:
    """A header's value cannot smuggle in a second header."""
    assert not _passes(v.HeaderValue, value)
    assert _passes(v.HeaderValue, "https://app.example, x")


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("127.0.0.1:8000", True),
        ("[::1]:4000", True),
        ("localhost:0", True),
        ("8000", False),
        (":8000", False),
        ("::1:8000", False),
        ("[localhost]:8000", False),
        ("a:70000", False),
        ("a:٣", False),
        ("a:-1", False),
    ],
)
def test_listen_addresses(text: str, passes: bool) -> None:
    """An address to listen on is `host:port`; IPv6 addresses stand in brackets."""
    assert _passes(v.Listen, text) is passes


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            v.Origin,
            ["*", "https://app.example", "http://localhost:3000", "null"],
            ["app", "a://b/"],
        ),
        (v.ClientKey, ["your-api-key-here", "k"], ["", "a b", "ä", "a\n"]),
        (v.VariableName, ["OPENAI_API_KEY", "_x"], ["sk-abc", "A B", "", "1A"]),
        (v.ModelId, ["gpt-4", "a/b:c", "*", "qwen 2"], ["", " a", "a\n", "x" * 201]),
        (v.TypeName, ["openai", "llama.cpp", "simulator"], ["opnai", "OpenAI", ""]),
        (v.Host, ["::1", "0.0.0.0", "my.host"], ["", "a b", "a/b"]),
        (v.Seconds, [1, 0.5, 86400], [0, -1, 86401, float("inf"), "1", True]),
        (v.Tokens, [1, 1_048_576], [0, 1.5, None]),
        (v.Price, [0, 3, 0.15, 0.000001, 999_999.999999], [-1, 0.0000001, 1e9, float("nan"), "1"]),
        (v.Count, [1, 1000], [0, 1.0, True, "1"]),
    ],
)
def test_other_kinds(kind: Any, good: list[object], bad: list[object]) -> None:
    """Each kind of value takes what it is for, and nothing else."""
    assert [value for value in good if not _passes(kind, value)] == []
    assert [value for value in bad if _passes(kind, value)] == []


def test_a_type_that_is_not_known_may_be_of_a_package_that_is_missing() -> None:
    """The built-in types are not all that there can be, and the message says so."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(v.TypeName).validate_python("zzzz", strict=True)
    mend = caught.value.errors()[0]["ctx"]["mend"]
    assert mend.endswith("vllm, and those of installed packages")


def test_a_type_of_a_package_that_is_no_good_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the package is what is said of the type."""

    def load(name: str) -> None:
        raise PackageFault("the package 'acme-ai' cannot be imported", "repair it")

    monkeypatch.setattr(v, "load_type", load)
    with pytest.raises(ValidationError, match="the package 'acme-ai' cannot be imported"):
        TypeAdapter(v.TypeName).validate_python("acme", strict=True)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://:pass@redis.internal:6379/3",
        "rediss://user:pass@[::1]:6380/?db=1&ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis/redis.sock",
        "unix://user:pass@/run/redis.sock?db=2",
    ],
)
def test_redis_urls(url: str) -> None:
    """TCP, TLS and sockets pass, with a user, a password and the number of a database."""
    assert _passes(v.RedisUrl, url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis://",
        "redis://:pass@",
        "redis://host:port",
        "redis://host:70000",
        "redis://host/first",
        "redis://host/0?db=x",
        "redis://host/0?socket_timeout=9",
        "redis://ho st",
        "redis://host/0#x",
        "unix://",
        "unix://run/redis.sock",
        "redis://hôst",
    ],
)
def test_what_is_no_redis_url(url: str) -> None:
    """Another scheme, no host, a database that is no number and unknown options are refused."""
    assert not _passes(v.RedisUrl, url)


@pytest.mark.parametrize(
    "url",
    [
        "http://:sk-canary@h",
        "redis://:sk-canary@",
        "redis://:sk-canary@h:x",
        "redis://h/sk-canary",
        "redis://h?sk-canary=1",
        "unix://:sk-canary@h/x",
        "redis://:sk-canary#@h",
    ],
)
def test_no_message_repeats_a_stores_password(url: str) -> None:
    """Whatever is wrong with a Redis URL, the message holds nothing of it."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(v.RedisUrl).validate_python(url)
    (detail,) = caught.value.errors(include_input=False, include_url=False)
    assert "canary" not in str(detail)


@pytest.mark.parametrize(
    "check", [v._check_base_url, v._check_variable, v._check_type, v.check_client_key]
)
def test_no_message_repeats_the_value(check: Callable[[str], str]) -> None:
    """A key that slipped into the wrong setting is not in the message about it."""
    with pytest.raises(ValueError) as caught:
        check("sk-canary 12345")
    assert "canary" not in str(caught.value)
