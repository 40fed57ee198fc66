"""
Where Redis is and who asks there, read from the one URL that the configuration gives.

The URL is a secret: what a person may see of it is `RedisAddress.shown`, and no error quotes it.
"""

import urllib.parse
from typing import Literal

from msgspec import Struct

from proxy.domain.secret import Secret

DEFAULT_PORT = 6379
_FORMS = "redis://host:6379/0, rediss://host:6380/0 or unix:///run/redis/redis.sock"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class RedisAddress(Struct, frozen=True):
    """One Redis, as a connection to it is opened."""

    scheme: Literal["redis", "rediss", "unix"]
    shown: str
    """Host and port, or the socket's path: what may stand in a log."""
    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str = ""
    password: Secret = Secret("")
    ca_file: str = ""
    """Who is trusted besides the system's authorities."""
    certificate_file: str = ""
    key_file: str = ""


def parse_address(url: str) -> RedisAddress:
    """
    Read a URL: `redis://`, `rediss://` (TLS) or `unix://`, with user and password or without.

    The query may hold `db`, and with `rediss://` the files `ssl_ca_certs`, `ssl_certfile` and
    `ssl_keyfile`. A server's certificate is always verified.

    Raises:
        ValueError: says what is wrong and how to mend it, and quotes nothing of the URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"cannot be read as a URL: write {_FORMS}") from None
    query = _read_query(parts.query)
    known = {"db", *(_FILES if parts.scheme == "rediss" else ())}
    if query.keys() - known:
        allowed = ", ".join(sorted(known))
        raise ValueError(f"its query holds something unknown: it can hold {allowed}")
    username = urllib.parse.unquote(parts.username or "")
    password = Secret(urllib.parse.unquote(parts.password or ""))
    if parts.scheme == "unix":
        path = urllib.parse.unquote(parts.path)
        if not path or parts.hostname:
            raise ValueError("names no socket: write unix:///run/redis/redis.sock")
        database = _read_database(query.get("db", "0"))
        return RedisAddress(
            "unix", path, path=path, database=database, username=username, password=password
        )
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError(f"is no address of a Redis: write {_FORMS}")
    host = parts.hostname
    return RedisAddress(
        "rediss" if parts.scheme == "rediss" else "redis",
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        host=host,
        port=port,
        database=_read_database(query.get("db") or parts.path.strip("/") or "0"),
        ca_file=query.get("ssl_ca_certs", ""),
        certificate_file=query.get("ssl_certfile", ""),
        key_file=query.get("ssl_keyfile", ""),
        username=username,
        password=password,
    )


def _read_query(query: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


def _read_database(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError("names its database by something else than a number: write /0")
    return int(text)
