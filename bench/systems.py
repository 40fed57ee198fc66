"""
What a system under test is, and the two that are hardly more than the tools themselves.

`own_systems.py` holds our server, `reverse_proxies.py` nginx and HAProxy, `peers.py` those that
must be installed first; `slot.py` starts and loads them.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from bench.machine import read_versions
from tests.fakes.tls_relay import AUTHORITY

ROOT = Path(__file__).resolve().parent.parent
CHAT_PATH = "/v1/chat/completions"
MESSAGES_PATH = "/v1/messages"
MODEL = "gpt-4o-mini"
"""The model that `lg` asks for."""
COLD = "cold"
"""The row that starts a system whose files are not compiled; it has no load."""
TLS_ROWS = frozenset({"tls", "tls-paced"})
HUB_ROWS = frozenset({"messages", "chat-anthropic", "messages-openai", "chat-gemini"})
"""In front of a provider of each format; only our own server translates between them."""
ADDED_ROWS = frozenset({"large", *TLS_ROWS})
"""What is measured only of those systems whose figures it can tell apart."""


class Ground(Struct, frozen=True):
    """
    Where a system is to be set up: its port, the mock's port and an empty folder.

    `beside_port` is for a program that has to stand beside it; `tls_port` is where the mock speaks
    TLS, with a certificate of `AUTHORITY`, or None where the system is to do without.
    """

    port: int
    mock_port: int
    folder: Path
    beside_port: int = 0
    tls_port: int | None = None

    @property
    def upstream(self) -> str:
        """The origin URL of the upstream."""
        if self.tls_port is not None:
            return f"https://127.0.0.1:{self.tls_port}"
        return f"http://127.0.0.1:{self.mock_port}"

    @property
    def upstream_port(self) -> int:
        """Where the upstream listens."""
        return self.mock_port if self.tls_port is None else self.tls_port


class Launch(Struct, frozen=True):
    """
    How to start a system and how to reach it.

    `argv` None starts nothing: the load then goes to the mock and the mock is measured.
    `ready_path` answers 200 to a GET, with `ready_words` in its body, as soon as requests can be
    served. `warm_up_s` is a load before all rows, for what is slow at first. `is_supervised`: the
    program itself serves nothing, what it starts does: `workers` processes, which have the word
    `serves_as` in their command lines, if that is not "". `beside` is a program
    that must listen on `beside_port` before; it has the tools' core and is not measured. `headers`
    are sent with each request, besides the key.
    """

    argv: Sequence[str] | None
    port: int
    api_key: str
    ready_path: str
    variables: Mapping[str, str] = {}
    ready_within_s: float = 30.0
    ready_words: bytes = b""
    warm_up_s: float = 0.0
    is_supervised: bool = False
    workers: int = 1
    serves_as: str = ""
    beside: Sequence[str] = ()
    headers: Mapping[str, str] = {}


class System(Protocol):
    """
    One system under test.

    `core_count` says on how many cores it runs, `left_out` which rows it does not take part in, and
    `own_starts` for which rows it is started anew.
    """

    name: str
    title: str
    core_count: int = 1
    left_out: frozenset[str] = frozenset()
    own_starts: frozenset[str] = frozenset()

    def find_obstacle(self) -> str | None:
        """Return why this system cannot be measured here, or None."""

    def read_version(self) -> str:
        """Return what exactly is measured, for the report."""

    def build_launch(self, ground: Ground) -> Launch:
        """Write what the system needs into the ground's folder and return how to start it."""


class Direct(System):
    """No system in between: what the mock and the load generator make alone."""

    name = "direct"
    title = "direct to the mock"
    left_out = TLS_ROWS

    def find_obstacle(self) -> str | None:
        """It is always there."""
        return None

    def read_version(self) -> str:
        """Return the mock's source."""
        return "bench/mock.c"

    def build_launch(self, ground: Ground) -> Launch:
        """Point at the mock."""
        return Launch(None, ground.mock_port, "sk-bench", "/v1/models")


class Bare(System):
    """`bare_passthrough.py`: aiohttp server and client and nothing else."""

    name = "bare"
    title = "bare aiohttp pass-through"
    own_starts = frozenset({COLD})

    def find_obstacle(self) -> str | None:
        """It needs nothing that the proxy does not need."""
        return None

    def read_version(self) -> str:
        """Return the versions of what it is made of."""
        return join_versions("aiohttp", "uvloop")

    def build_launch(self, ground: Ground) -> Launch:
        """Start it in front of the mock."""
        argv = [sys.executable, "-m", "bench.bare_passthrough", str(ground.port), ground.upstream]
        variables = build_trust(ground)
        return Launch(argv, ground.port, "sk-bench", "/v1/models", variables)


def build_trust(ground: Ground) -> dict[str, str]:
    """Return the variables by which a Python program trusts the upstream's certificate."""
    return {} if ground.tls_port is None else {"SSL_CERT_FILE": str(AUTHORITY)}


def join_versions(*names: str) -> str:
    """Return the installed versions of some packages in one line."""
    versions = read_versions(names)
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"
