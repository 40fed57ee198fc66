"""
The systems that are measured: how each one is configured and started.

`peers.py` holds those that must be installed first; `slot.py` starts and loads them.
"""

import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from bench.machine import read_versions
from tests.fakes.redis_server import find_server_program

ROOT = Path(__file__).resolve().parent.parent
CHAT_PATH = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
"""The model that `lg` asks for."""
CONFIG_NAME = "config.yaml"
"""Of our own server, in the ground's folder."""


class Ground(Struct, frozen=True):
    """
    Where a system is to be set up: its port, the mock's port and an empty folder.

    `beside_port` is for a program that has to stand beside it.
    """

    port: int
    mock_port: int
    folder: Path
    beside_port: int = 0


class Launch(Struct, frozen=True):
    """
    How to start a system and how to reach it.

    `argv` None starts nothing: the load then goes to the mock and the mock is measured.
    `ready_path` answers 200 to a GET as soon as requests can be served. `is_supervised`: the
    program itself serves nothing, what it starts does. `beside` is a program that must listen on
    `beside_port` before; it has the tools' core and is not measured.
    """

    argv: Sequence[str] | None
    port: int
    api_key: str
    ready_path: str
    variables: Mapping[str, str] = {}
    ready_within_s: float = 30.0
    is_supervised: bool = False
    beside: Sequence[str] = ()


class System(Protocol):
    """One system under test."""

    name: str
    title: str

    def find_obstacle(self) -> str | None:
        """Return why this system cannot be measured here, or None."""

    def read_version(self) -> str:
        """Return what exactly is measured, for the report."""

    def build_launch(self, ground: Ground) -> Launch:
        """Write what the system needs into the ground's folder and return how to start it."""


class Direct:
    """No system in between: what the mock and the load generator make alone."""

    name = "direct"
    title = "direct to the mock"

    def find_obstacle(self) -> str | None:
        """It is always there."""
        return None

    def read_version(self) -> str:
        """Return the mock's source."""
        return "bench/mock.c"

    def build_launch(self, ground: Ground) -> Launch:
        """Point at the mock."""
        return Launch(None, ground.mock_port, "sk-bench", "/v1/models")


class Bare:
    """`bare_passthrough.py`: aiohttp server and client and nothing else."""

    name = "bare"
    title = "bare aiohttp pass-through"

    def find_obstacle(self) -> str | None:
        """It needs nothing that the proxy does not need."""
        return None

    def read_version(self) -> str:
        """Return the versions of what it is made of."""
        return _join_versions("aiohttp", "uvloop")

    def build_launch(self, ground: Ground) -> Launch:
        """Start it in front of the mock."""
        upstream = f"http://127.0.0.1:{ground.mock_port}"
        argv = [sys.executable, "-m", "bench.bare_passthrough", str(ground.port), upstream]
        return Launch(argv, ground.port, "sk-bench", "/v1/models")


class Nginx:
    """nginx with one worker, no buffering and connections to the mock kept open."""

    name = "nginx"
    title = "nginx"

    def __init__(self) -> None:
        """Look for the program, also where only root's PATH leads."""
        self._program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")

    def find_obstacle(self) -> str | None:
        """It must be installed."""
        return None if self._program else "nginx is not installed"

    def read_version(self) -> str:
        """Return nginx's own version text."""
        argv = [self._program or "nginx", "-v"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return done.stderr.strip().removeprefix("nginx version: ")

    def build_launch(self, ground: Ground) -> Launch:
        """Write a configuration and start nginx in the foreground with it."""
        config_file = ground.folder / "nginx.conf"
        config_file.write_text(build_nginx_config(ground))
        argv = [self._program or "nginx", "-e", "stderr", "-p", str(ground.folder)]
        argv += ["-c", str(config_file)]
        return Launch(argv, ground.port, "sk-bench", "/v1/models", is_supervised=True)


class Proxy:
    """Our own server, everything switched on."""

    name = "proxy"
    title = "LLM Proxy API"
    has_special_rows = True
    """The rows that start it anew with another configuration are measured too."""

    def __init__(self, command: str | None = None) -> None:
        """Start `command`, in which {config}, {state_dir} and {port} are filled in."""
        self.command = command or (
            f"{shlex.quote(sys.executable)} -m proxy serve --config {{config}}"
            " --state-dir {state_dir}"
        )

    def find_obstacle(self) -> str | None:
        """It is what the benchmark is for: not starting is a failure, not an obstacle."""
        return None

    def read_version(self) -> str:
        """Return its version and those of what it stands on."""
        return _join_versions("llm-proxy-api", "aiohttp", "uvloop", "msgspec", "orjson")

    def build_launch(self, ground: Ground) -> Launch:
        """Write a configuration and start the server with it."""
        api_key = f"sk-bench-{secrets.token_hex(16)}"
        config_file, state_dir = ground.folder / CONFIG_NAME, ground.folder / "state"
        config_file.write_text(self.build_config(ground, api_key))
        config_file.chmod(0o600)
        argv = [
            word.format(config=config_file, state_dir=state_dir, port=ground.port)
            for word in shlex.split(self.command)
        ]
        return Launch(argv, ground.port, api_key, "/health/readiness", is_supervised=True)

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: the mock is its one provider."""
        return build_proxy_config(ground, api_key)


class ProxyWithRedis(Proxy):
    """Our own server, whose circuit breakers are in a Redis that runs on the tools' core."""

    name = "proxy-redis"
    title = "LLM Proxy API with Redis"
    has_special_rows = False

    def find_obstacle(self) -> str | None:
        """It needs a server program."""
        try:
            find_server_program()
        except (AssertionError, StopIteration):
            return "there is no Redis or Valkey server"
        return None

    def read_version(self) -> str:
        """Return the versions of what it stands on, and that of the server."""
        argv = [find_server_program(), "--version"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        server = " ".join(done.stdout.split()[:3])
        return f"{super().read_version()}, {_join_versions('redis', 'hiredis')}, {server}"

    def build_launch(self, ground: Ground) -> Launch:
        """Have a Redis that keeps nothing on the disk started first."""
        beside = [find_server_program(), "--bind", "127.0.0.1", "--port", str(ground.beside_port)]
        beside += ["--save", "", "--appendonly", "no", "--dir", str(ground.folder)]
        return msgspec.structs.replace(super().build_launch(ground), beside=beside)

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: as without Redis, and where that is."""
        url = f'redis_url: "redis://127.0.0.1:{ground.beside_port}"\n'
        return url + super().build_config(ground, api_key)


def build_proxy_config(ground: Ground, api_key: str) -> str:
    """Return the text of the config.yaml that our server is measured with."""
    return f"""\
host: "127.0.0.1"
port: {ground.port}
api_keys:
  - "{api_key}"
log_level: "INFO"
log_file: "{ground.folder / "requests.log"}"
rate_limit_rpm: 1000000
providers:
  - name: "mock"
    type: "openai"
    base_url: "http://127.0.0.1:{ground.mock_port}/v1"
    api_key: "sk-upstream-{secrets.token_hex(16)}"
    models:
      - "{MODEL}"
"""


def build_nginx_config(ground: Ground) -> str:
    """Return the text of the nginx.conf of the comparison."""
    return f"""\
daemon off;
worker_processes 1;
pid {ground.folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {ground.folder}/body;
    proxy_temp_path {ground.folder}/proxy;
    fastcgi_temp_path {ground.folder}/fastcgi;
    uwsgi_temp_path {ground.folder}/uwsgi;
    scgi_temp_path {ground.folder}/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 64k;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{ground.mock_port};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{ground.port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def _join_versions(*names: str) -> str:
    versions = read_versions(names)
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "unknown"
