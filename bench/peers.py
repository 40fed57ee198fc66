"""
Other gateways to compare with.

HAProxy comes with the system; the others are installed below `bench/build`, each into a folder of
its own. LiteLLM and Portkey have few requests under way in the same time, so they take part in the
main rows only.
"""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.reverse_proxies import HaProxy
from bench.systems import ADDED_ROWS, MODEL, Ground, Launch, System
from bench.toolchain import BUILD_FOLDER

INSTALL_WITHIN_S = 900.0


class LiteLlm(System):
    """LiteLLM's proxy with one worker, as its own documentation starts it."""

    name = "litellm"
    title = "LiteLLM proxy, 1 worker"
    requirement = "litellm[proxy]"
    left_out = ADDED_ROWS

    # The dot keeps type checkers and other walkers of the tree out of somebody else's code.
    def __init__(self, folder: Path = BUILD_FOLDER / ".litellm") -> None:
        """Keep the virtual environment in `folder`; a second run finds it there."""
        self._folder = folder

    def find_obstacle(self) -> str | None:
        """Install it where that has not been done; what pip says is the obstacle."""
        if (self._folder / "bin" / "litellm").exists():
            return None
        pip = [str(self._folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        return _install(
            self.requirement,
            [sys.executable, "-m", "venv", str(self._folder)],
            [*pip, self.requirement],
        )

    def read_version(self) -> str:
        """Return the installed version."""
        code = "import importlib.metadata as m; print(m.version('litellm'))"
        python = str(self._folder / "bin" / "python")
        done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
        return f"litellm {done.stdout.strip() or 'unknown'}"

    def build_launch(self, ground: Ground) -> Launch:
        """Write its configuration with the mock as the one deployment and start it."""
        api_key = f"sk-bench-{secrets.token_hex(16)}"
        config_file = ground.folder / "litellm.yaml"
        config_file.write_text(build_litellm_config(ground, api_key))
        argv = [str(self._folder / "bin" / "litellm"), "--config", str(config_file)]
        argv += ["--host", "127.0.0.1", "--port", str(ground.port), "--num_workers", "1"]
        variables = {
            "LITELLM_LOG": "ERROR",
            # Else the price list is fetched from the network at start.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        return Launch(argv, ground.port, api_key, "/health/readiness", variables, 180.0)


class Portkey(System):
    """Portkey's gateway on Node; it has no keys of its own and passes the client's on."""

    name = "portkey"
    title = "Portkey AI gateway"
    package = "@portkey-ai/gateway"
    version = "1.15.2"
    overrides: Mapping[str, str] = {"@hono/node-server": "1.13.8"}
    """The server library beneath it, held at one version, so that runs can be compared."""
    left_out = ADDED_ROWS

    def __init__(self, folder: Path = BUILD_FOLDER / ".portkey") -> None:
        """Keep what is installed in `folder`; a second run finds it there."""
        self._folder = folder
        self._program = folder / "node_modules" / self.package / "build" / "start-server.js"

    def find_obstacle(self) -> str | None:
        """Install it where that has not been done; what npm says is the obstacle."""
        if not shutil.which("node") or not shutil.which("npm"):
            return "Node and npm are not installed"
        if self._program.exists():
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        wanted = {"dependencies": {self.package: self.version}, "overrides": self.overrides}
        (self._folder / "package.json").write_text(json.dumps({"private": True, **wanted}))
        npm = ["npm", "install", "--prefix", str(self._folder), "--no-audit", "--no-fund"]
        return _install(f"{self.package}@{self.version}", [*npm, "--ignore-scripts"])

    def read_version(self) -> str:
        """Return the version, and those that were chosen for it."""
        others = "".join(f", {name} {version}" for name, version in self.overrides.items())
        done = subprocess.run(["node", "--version"], check=False, capture_output=True, text=True)
        return f"{self.package} {self.version}{others}, node {done.stdout.strip()}"

    def build_launch(self, ground: Ground) -> Launch:
        """Start it; each request tells it where the mock is."""
        argv = ["node", str(self._program), f"--port={ground.port}", "--headless"]
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{ground.upstream}/v1",
        }
        variables = {"NODE_ENV": "production"}
        return Launch(
            argv,
            ground.port,
            "sk-bench",
            "/",
            variables,
            # Node compiles what runs often; its first thousands of requests are slow.
            warm_up_s=3.0,
            headers=headers,
        )


def _install(what: str, *steps: Sequence[str]) -> str | None:
    """Run the steps; return why that failed, or None."""
    for argv in steps:
        try:
            done = subprocess.run(
                argv, check=False, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            return f"installing {what} took more than {INSTALL_WITHIN_S:g} s"
        if done.returncode != 0:
            print(done.stderr.strip(), file=sys.stderr)
            return f"{what} could not be installed; the installer's words are above"
    return None


def build_litellm_config(ground: Ground, api_key: str) -> str:
    """Return the text of the configuration that LiteLLM is measured with."""
    return f"""\
model_list:
  - model_name: "{MODEL}"
    litellm_params:
      model: "openai/{MODEL}"
      api_base: "{ground.upstream}/v1"
      api_key: "sk-upstream-{secrets.token_hex(16)}"
litellm_settings:
  telemetry: false
general_settings:
  master_key: "{api_key}"
"""


PEERS: Mapping[str, Callable[[], System]] = {
    "haproxy": HaProxy,
    "litellm": LiteLlm,
    "portkey": Portkey,
}
"""What PEERS may name."""
