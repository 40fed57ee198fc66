"""
Other gateways to compare with.

HAProxy comes with the system; the others are installed below `bench/build`, each into a folder of
its own. LiteLLM and Portkey have few requests under way in the same time, so they take part in the
main rows only.
"""

import importlib.metadata
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
    version = "1.108.7"
    requirement = f"litellm[proxy]=={version}"
    left_out = ADDED_ROWS

    # The dot keeps type checkers and other walkers of the tree out of somebody else's code.
    def __init__(self, folder: Path = BUILD_FOLDER / ".litellm") -> None:
        """Keep the virtual environment in `folder`; a second run finds it there."""
        self._folder = folder
        self._program = folder / "bin" / "litellm"

    def find_obstacle(self) -> str | None:
        """Install this version unless it is there; what pip says is the obstacle."""
        if self._program.exists() and self._read_installed() == self.version:
            return None
        pip = [str(self._folder / "bin" / "python"), "-m", "pip", "install", "-q"]
        return _install(
            self.requirement,
            [sys.executable, "-m", "venv", "--clear", str(self._folder)],
            [*pip, self.requirement],
        )

    def read_version(self) -> str:
        """Return the installed version."""
        return f"litellm {self._read_installed() or 'unknown'}"

    def _read_installed(self) -> str | None:
        places = [str(place) for place in self._folder.glob("lib/python*/site-packages")]
        found = importlib.metadata.distributions(name="litellm", path=places)
        return next((each.version for each in found), None)

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
        """Install these versions unless they are there; what npm says is the obstacle."""
        if not shutil.which("node") or not shutil.which("npm"):
            return "Node and npm are not installed"
        if self._program.exists() and self._read_installed() == self._wanted:
            return None
        # npm's lock of another version would have its say in what is installed.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        wanted = {"dependencies": {self.package: self.version}, "overrides": self.overrides}
        (self._folder / "package.json").write_text(json.dumps({"private": True, **wanted}))
        npm = ["npm", "install", "--prefix", str(self._folder), "--no-audit", "--no-fund"]
        return _install(f"{self.package}@{self.version}", [*npm, "--ignore-scripts"])

    def read_version(self) -> str:
        """Return the installed versions: its own, and of what is held at one beneath it."""
        installed = self._read_installed().items()
        done = subprocess.run(["node", "--version"], check=False, capture_output=True, text=True)
        own = ", ".join(f"{name} {version or 'unknown'}" for name, version in installed)
        return f"{own}, node {done.stdout.strip()}"

    @property
    def _wanted(self) -> dict[str, str]:
        return {self.package: self.version, **self.overrides}

    def _read_installed(self) -> dict[str, str | None]:
        return {name: self._find_version(name) for name in self._wanted}

    def _find_version(self, name: str) -> str | None:
        """Return the version of the package that the gateway gets by this name."""
        modules = self._folder / "node_modules"
        # Node looks beneath the gateway first.
        for place in (modules / self.package / "node_modules", modules):
            description = place / name / "package.json"
            if description.exists():
                return str(json.loads(description.read_text())["version"])
        return None

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
