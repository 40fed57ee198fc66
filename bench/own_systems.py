"""Our own server: as it comes, with two workers, with aiohttp's client, with Redis."""

import secrets
import shlex
import subprocess
import sys

import msgspec

from bench.systems import (
    ADDED_ROWS,
    COLD,
    HUB_ROWS,
    MODEL,
    Ground,
    Launch,
    System,
    build_trust,
    join_versions,
)
from tests.fakes.redis_server import find_server_program

CONFIG_NAME = "config.yaml"
"""In the ground's folder."""


class Proxy(System):
    """Our own server, everything switched on."""

    name = "proxy"
    title = "LLM Proxy API"
    own_starts = frozenset({COLD, "reload", "retries", *HUB_ROWS})
    workers = 1

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
        return join_versions("llm-proxy-api", "aiohttp", "httptools", "uvloop", "msgspec", "orjson")

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
        return Launch(
            argv,
            ground.port,
            api_key,
            "/health/readiness",
            build_trust(ground),
            is_supervised=True,
            workers=self.workers,
            serves_as="proxy.worker",
        )

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: the mock is its one provider."""
        return build_proxy_config(ground, api_key)


class ProxyWithTwoWorkers(Proxy):
    """Our own server with two workers on two cores."""

    name = "proxy-2"
    title = "LLM Proxy API, 2 workers on 2 cores"
    # One client, or one start, says nothing about a second worker.
    left_out = frozenset({"single", "first"}) | ADDED_ROWS
    own_starts: frozenset[str] = frozenset()
    workers = 2
    core_count = 2

    def build_launch(self, ground: Ground) -> Launch:
        """Have it wait for both workers: the first one answers before the second is up."""
        return msgspec.structs.replace(
            super().build_launch(ground),
            ready_path="/health",
            ready_words=f'"ready":{self.workers}'.encode(),
        )

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: as with one worker."""
        return f"workers: {self.workers}\n" + super().build_config(ground, api_key)


class ProxyWithAiohttp(Proxy):
    """Our own server with aiohttp's client in front of the provider."""

    name = "proxy-aiohttp"
    title = "LLM Proxy API, `transport: aiohttp`"
    own_starts: frozenset[str] = frozenset()

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: as without, and which client it is."""
        return super().build_config(ground, api_key) + '    transport: "aiohttp"\n'


class ProxyWithRedis(Proxy):
    """Our own server, whose circuit breakers are in a Redis that runs on the tools' core."""

    name = "proxy-redis"
    title = "LLM Proxy API with Redis"
    left_out = ADDED_ROWS
    own_starts: frozenset[str] = frozenset()

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
        return f"{super().read_version()}, {join_versions('redis', 'hiredis')}, {server}"

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
    base_url: "{ground.upstream}/v1"
    api_key: "sk-upstream-{secrets.token_hex(16)}"
    models:
      - "{MODEL}"
"""
