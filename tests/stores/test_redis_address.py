"""URLs of Redis: every form that is understood, and refusals that quote nothing."""

import pytest

from proxy.domain.secret import Secret
from proxy.stores.redis_address import RedisAddress, parse_address

CANARY = "canary-5a1b"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("redis", "cache:6379", host="cache")),
        ("redis://cache:1/2", RedisAddress("redis", "cache:1", host="cache", port=1, database=2)),
        ("redis://[::1]:7", RedisAddress("redis", "[::1]:7", host="::1", port=7)),
        (
            "redis://u%40x:p%2Fw@cache?db=3",
            RedisAddress(
                "redis",
                "cache:6379",
                host="cache",
                database=3,
                username="u@x",
                password=Secret("p/w"),
            ),
        ),
        (
            "redis://:only@cache",
            RedisAddress("redis", "cache:6379", host="cache", password=Secret("only")),
        ),
        (
            "rediss://cache:9?ssl_ca_certs=/etc/ca.pem&ssl_certfile=c.pem&ssl_keyfile=k.pem",
            RedisAddress(
                "rediss",
                "cache:9",
                host="cache",
                port=9,
                ca_file="/etc/ca.pem",
                certificate_file="c.pem",
                key_file="k.pem",
            ),
        ),
        (
            "unix:///run/redis.sock?db=1",
            RedisAddress("unix", "/run/redis.sock", path="/run/redis.sock", database=1),
        ),
        (
            "unix://u:p@/run/redis.sock",
            RedisAddress(
                "unix",
                "/run/redis.sock",
                path="/run/redis.sock",
                username="u",
                password=Secret("p"),
            ),
        ),
    ],
)
def test_a_url_says_where_and_who(url: str, address: RedisAddress) -> None:
    """Host or socket, port, database, login and files are read from the URL."""
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        f"{CANARY}",
        f"http://{CANARY}",
        f"redis://:{CANARY}@",
        f"redis://u:{CANARY}@cache:port",
        f"redis://u:{CANARY}@cache:99999",
        f"redis://cache/{CANARY}",
        f"redis://cache?socket_timeout={CANARY}",
        f"redis://cache?{CANARY}=1",
        f"redis://cache?ssl_ca_certs={CANARY}",
        f"rediss://cache?ssl_cert_reqs={CANARY}",
        f"unix://{CANARY}",
        f"unix://{CANARY}/run/redis.sock",
        f"unix:///user:{CANARY}@/run/redis.sock",
        "redis://u:12?canary=x@cache",
        "redis://u:12?canary@cache",
        f"redis://[{CANARY}",
    ],
)
def test_what_is_no_such_url_is_refused_without_quoting_it(url: str) -> None:
    """The refusal says how to mend it, and holds nothing of the URL, which may be a secret."""
    with pytest.raises(ValueError, match=r"write|can hold") as refused:
        parse_address(url)
    assert "canary" not in repr(refused.getrepr(style="value"))
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "redis://:pass@cache?db=1&socket_timeout=5",
            "has the option 'socket_timeout' in its query, which is not known: it can hold db",
        ),
        (
            "rediss://cache?ssl_ca_cert=/etc/ca.pem",
            "has the option 'ssl_ca_cert' in its query, which is not known: "
            "it can hold db, ssl_ca_certs, ssl_certfile, ssl_keyfile",
        ),
        (
            "redis://cache?SSL-x9=1",
            "has an option in its query, which is not known: it can hold db",
        ),
        (
            "unix:///run/redis.sock?ssl_ca_certs=/etc/ca.pem",
            "has the option 'ssl_ca_certs', which is for TLS: write rediss://, or remove it",
        ),
    ],
)
def test_an_unknown_option_is_named(url: str, message: str) -> None:
    """By its name if that is plain, never with its value; files of TLS ask for TLS."""
    with pytest.raises(ValueError) as refused:
        parse_address(url)
    assert str(refused.value) == message


def test_an_address_lists_the_files_that_it_takes() -> None:
    """Each behind the option that names it; a socket is none of them."""
    address = parse_address("rediss://cache?ssl_keyfile=k.pem&ssl_ca_certs=/etc/ca.pem")
    assert address.files == (("ssl_ca_certs", "/etc/ca.pem"), ("ssl_keyfile", "k.pem"))
    assert parse_address("unix:///run/redis.sock").files == ()


def test_an_address_shows_no_password() -> None:
    """What is printed of an address has the place, and three asterisks."""
    address = parse_address(f"redis://user:{CANARY}@cache:6379")
    assert CANARY not in repr(address)
    assert address.shown == "cache:6379"
