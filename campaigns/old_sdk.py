"""
Older versions of OpenAI's SDK against the running proxy: `make campaign NAME=old-sdk`.

Each major version gets a virtual environment of its own under .venv-old-sdk/, which a second
run finds there; the development environment's version is asked as well, for comparison.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from campaigns.base import ROOT, Result, write_result
from tests.end_to_end.served import ADMIN_KEY, KEY, PROVIDER_KEY, build_config, serving, simulating

REQUIRED = {"2": "openai>=2,<3"}
WELCOME = {"1": "openai>=1,<2"}
"""Asked too, as long as it can still be installed."""

ENVIRONMENTS = ROOT / ".venv-old-sdk"
PROGRAM = ROOT / "campaigns" / "programs" / "sdk_checks.py"
INSTALL_WITHIN_S = 600.0
RUN_WITHIN_S = 300.0
ABOUT = (
    "`llm-proxy serve` in front of `llm-proxy simulate`, both real processes on loopback; each "
    "column is the newest version of its major. What each check asks is in "
    "`campaigns/programs/sdk_checks.py`."
)
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def main() -> int:
    notes = [ABOUT]
    pythons = []
    for major, wanted in {**WELCOME, **REQUIRED}.items():
        try:
            pythons.append(prepare_environment(major, wanted))
        except subprocess.CalledProcessError:
            if major in REQUIRED:
                raise
            notes.append(f"`{wanted}` could not be installed and was not asked.")
    pythons.append(Path(sys.executable))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("simulate", "serve"):
            (folder / name).mkdir()
        simulator = stack.enter_context(simulating(folder / "simulate"))
        config = build_config(simulator.port, admin_keys=[ADMIN_KEY])
        served = stack.enter_context(serving(folder / "serve", config))
        variables = {
            "PROXY_URL": served.url,
            "PROXY_KEY": KEY,
            "PROXY_ADMIN_KEY": ADMIN_KEY,
            "LEDGER_URL": f"http://127.0.0.1:{simulator.port}",
            "LEDGER_KEY": PROVIDER_KEY,
        }
        found = dict(run_checks(python, variables) for python in pythons)
    checks = list(dict.fromkeys(check for verdicts in found.values() for check in verdicts))
    return write_result(
        Result(
            name="old-sdk",
            title="Older OpenAI SDKs against the running process",
            columns=[f"openai {version}" for version in found],
            rows={c: [v.get(c, "did not run") for v in found.values()] for c in checks},
            notes=notes,
        )
    )


def prepare_environment(major: str, wanted: str) -> Path:
    """Return the interpreter of an environment with the newest SDK of one major version."""
    folder = ENVIRONMENTS / major
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", wanted], check=True, timeout=INSTALL_WITHIN_S)
    return python


def run_checks(python: Path, variables: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return (version of the SDK, verdict of each check) of one environment."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    done = subprocess.run(
        # -I: neither this project nor the development environment must be found by it.
        [str(python), "-I", str(PROGRAM)],
        env={**kept, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=RUN_WITHIN_S,
    )
    first, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    return first["version"], {line["check"]: line["verdict"] for line in lines}


if __name__ == "__main__":
    sys.exit(main())
