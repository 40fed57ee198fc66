"""Other gateways to compare with; each is installed into a virtual environment of its own."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.systems import MODEL, Ground, Launch, System
from bench.toolchain import BUILD_FOLDER

INSTALL_WITHIN_S = 900.0


class LiteLlm:
    """LiteLLM's proxy with one worker, as its own documentation starts it."""

    name = "litellm"
    title = "LiteLLM proxy, 1 worker"
    requirement = "litellm[proxy]"

    # The dot keeps type checkers and other walkers of the tree out of somebody else's code.
    def __init__(self, folder: Path = BUILD_FOLDER / ".litellm") -> None:
        """Keep the virtual environment in `folder`; a second run finds it there."""
        self._folder = folder

    def find_obstacle(self) -> str | None:
        """Install it where that has not been done; what pip says is the obstacle."""
        if (self._folder / "bin" / "litellm").exists():
            return None
        steps = (
            [sys.executable, "-m", "venv", str(self._folder)],
            [str(self._folder / "bin" / "python"), "-m", "pip", "install", "-q", self.requirement],
        )
        for argv in steps:
            try:
                done = subprocess.run(
                    argv, check=False, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
                )
            except subprocess.TimeoutExpired:
                return f"installing {self.requirement} took more than {INSTALL_WITHIN_S:g} s"
            if done.returncode != 0:
                print(done.stderr.strip(), file=sys.stderr)
                return f"{self.requirement} could not be installed; pip's words are above"
        return None

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


def build_litellm_config(ground: Ground, api_key: str) -> str:
    """Return the text of the configuration that LiteLLM is measured with."""
    return f"""\
model_list:
  - model_name: "{MODEL}"
    litellm_params:
      model: "openai/{MODEL}"
      api_base: "http://127.0.0.1:{ground.mock_port}/v1"
      api_key: "sk-upstream-{secrets.token_hex(16)}"
litellm_settings:
  telemetry: false
general_settings:
  master_key: "{api_key}"
"""


PEERS: Mapping[str, Callable[[], System]] = {"litellm": LiteLlm}
"""What PEERS may name."""
