"""
Older versions of OpenAI's and Anthropic's SDKs: `make campaign NAME=old-sdk`.

Each major version gets a virtual environment of its own under .venv-old-sdk/, which a second
run finds there; the development environment's version is asked as well, for comparison. OpenAI's
ask a provider of OpenAI's format, Anthropic's a provider of each format. Each vendor's SDKs have
a page of results of their own.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct

from campaigns.base import ROOT, Result, write_result
from campaigns.ground.environment import prepare_environment, run_checks
from tests.end_to_end.hub import build_hub_config
from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    PROVIDER_KEY,
    ServedSimulator,
    build_config,
    serving,
    simulating,
)


class Vendor(Struct, frozen=True):
    """
    Whose SDKs are asked, by which program of `campaigns/programs`.

    `wanted` maps the name of an environment to what is installed there; of those in `welcome` it
    is enough to try, they may be gone from the index one day.
    """

    package: str
    page: str
    title: str
    program: str
    wanted: Mapping[str, str]
    welcome: frozenset[str] = frozenset()


OPENAI = Vendor(
    "openai",
    "old-sdk",
    "Older OpenAI SDKs against the running process",
    "sdk_checks.py",
    {"1": "openai>=1,<2", "2": "openai>=2,<3"},
    frozenset({"1"}),
)
ANTHROPIC = Vendor(
    "anthropic",
    "old-sdk-anthropic",
    "Older Anthropic SDKs against the running process",
    "anthropic_checks.py",
    {"anthropic-0": "anthropic<1", "anthropic-1": "anthropic>=1,<2"},
)

ENVIRONMENTS = ROOT / ".venv-old-sdk"
PROGRAMS = ROOT / "campaigns" / "programs"
ABOUT = (
    "`llm-proxy serve` in front of `llm-proxy simulate`, both real processes on loopback; each "
    "column is the newest version of its major. What each check asks is in "
    "`campaigns/programs/{program}`."
)


def main() -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "simulate").mkdir()
        simulator = stack.enter_context(simulating(folder / "simulate"))
        local = build_config(simulator.port, admin_keys=[ADMIN_KEY])
        worst = ask_vendor(OPENAI, local, simulator, folder)
        return max(
            worst, ask_vendor(ANTHROPIC, build_hub_config(simulator.port), simulator, folder)
        )


def ask_vendor(
    vendor: Vendor, config: Mapping[str, Any], simulator: ServedSimulator, folder: Path
) -> int:
    """Ask one proxy through every version of a vendor's SDK, and write the page of it."""
    notes = [ABOUT.format(program=vendor.program)]
    pythons = []
    for name, wanted in vendor.wanted.items():
        try:
            pythons.append(prepare_environment(ENVIRONMENTS / name, wanted))
        except subprocess.CalledProcessError:
            if name not in vendor.welcome:
                raise
            notes.append(f"`{wanted}` could not be installed and was not asked.")
    pythons.append(Path(sys.executable))
    own_folder = folder / vendor.package
    own_folder.mkdir()
    with serving(own_folder, config) as served:
        variables = {
            "PROXY_URL": served.url,
            "PROXY_KEY": KEY,
            "PROXY_ADMIN_KEY": ADMIN_KEY,
            "LEDGER_URL": f"http://127.0.0.1:{simulator.port}",
            "LEDGER_KEY": PROVIDER_KEY,
        }
        program = PROGRAMS / vendor.program
        found = dict(ask_version(python, program, variables) for python in pythons)
    checks = list(dict.fromkeys(check for verdicts in found.values() for check in verdicts))
    return write_result(
        Result(
            name=vendor.page,
            title=vendor.title,
            columns=[f"{vendor.package} {version}" for version in found],
            rows={c: [v.get(c, "did not run") for v in found.values()] for c in checks},
            notes=notes,
            command="make campaign NAME=old-sdk",
        )
    )


def ask_version(
    python: Path, program: Path, variables: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Return (version of the SDK, verdict of each check) of one environment."""
    # -I: neither this project nor the development environment must be found by it.
    first, *lines = run_checks([str(python), "-I", str(program)], variables)
    return first["version"], {line["check"]: line["verdict"] for line in lines}


if __name__ == "__main__":
    sys.exit(main())
