"""
Where Redis is and who asks there, read from the one URL that the configuration gives.

The URL is a secret: what a person may see of it is `RedisAddress.shown` and `files`, and no
error quotes more of it than the name of an option.
"""

import re
import urllib.parse
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from proxy.domain.secret import Secret

DEFAULT_PORT = 6379
_FORMS = "redis://host:6379/0, rediss://host:6380/0 or unix:///run/redis/redis.sock"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Most passwords are not that plain; an @ in the query says that a part of one is in there.
_OPTION_NAME = re.compile(r"[a-z_]{1,32}\Z")
_LOGIN_IN_PATH = re.compile(r"/[^/]*:[^/]*@")


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

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The files besides a socket that it takes to connect, each behind its option's name."""
        paths = (self.ca_file, self.certificate_file, self.key_file)
        return tuple((option, path) for option, path in zip(_FILES, paths, strict=True) if path)


def parse_address(url: str) -> RedisAddress:
    """
    Read a URL: `redis://`, `rediss://` (TLS) or `unix://`, with user and password or without.

    The query may hold `db`, and with `rediss://` the files `ssl_ca_certs`, `ssl_certfile` and
    `ssl_keyfile`. A server's certificate is always verified.

    Raises:
        ValueError: says what is wrong and how to mend it, and quotes nothing of the URL but
            the name of an option that is not known.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"cannot be read as a URL: write {_FORMS}") from None
    query = _read_query(parts.query)
    known = ("db", *(_FILES if parts.scheme == "rediss" else ()))
    for option in query:
        if option not in known:
            raise ValueError(_refuse_option(option, parts.query, known))
    username = urllib.parse.unquote(parts.username or "")
    password = Secret(urllib.parse.unquote(parts.password or ""))
    if parts.scheme == "unix":
        path = urllib.parse.unquote(parts.path)
        if not path or parts.hostname:
            raise ValueError("names no socket: write unix:///run/redis/redis.sock")
        if _LOGIN_IN_PATH.match(parts.path):
            mend = "write unix://user:password@/run/redis/redis.sock"
            raise ValueError(f"has its user and password in the path of the socket: {mend}")
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


def _refuse_option(option: str, query: str, known: Sequence[str]) -> str:
    if option in _FILES:
        return f"has the option '{option}', which is for TLS: write rediss://, or remove it"
    is_plain = _OPTION_NAME.match(option) and "@" not in query
    which = f"the option '{option}'" if is_plain else "an option"
    return f"has {which} in its query, which is not known: it can hold {', '.join(known)}"


def _read_database(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError("names its database by something else than a number: write /0")
    return int(text)
