"""
Frameworks and other vendors' clients against the running proxy: `make campaign NAME=clients`.

Each framework gets a virtual environment of its own under .venv-clients/, and those for Node a
folder there; a second run finds them. One proxy is asked through all of them, and through each of
`PLACES`: a provider of each format, all of them the simulator. What is asked is in
`campaigns/programs/clients` and `campaigns/programs/node`.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from campaigns.base import PASSED, ROOT, Result, write_result
from campaigns.ground.environment import (
    prepare_environment,
    prepare_node,
    run_checks,
    run_program,
)
from campaigns.ground.examples import read_examples
from tests.end_to_end.hub import build_hub_config
from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    PROVIDER_KEY,
    WRONG_KEY,
    serving,
    simulating,
)

PLACES = ("plain", "claude", "gemini", "cohere", "ollama")
"""OpenAI's format, and those of Anthropic, Gemini, Cohere and Ollama."""


class Framework(Struct, frozen=True):
    """
    Who asks, by which file of checks.

    `wanted` is installed for it from PyPI. For Node it is what stands in the lock file of the
    folder `locked`.
    """

    name: str
    checks: str
    wanted: Sequence[str] = ()
    locked: str | None = None

    @property
    def heading(self) -> str:
        """The section of docs/clients.md that it is shown in: its name without a major."""
        return re.sub(r" \d+$", "", self.name)


FRAMEWORKS = (
    Framework("pydantic-ai", "pydantic_ai_checks.py", ("pydantic-ai-slim[openai,anthropic]<3",)),
    Framework(
        "LlamaIndex",
        "llama_index_checks.py",
        (
            "llama-index-core<0.15",
            "llama-index-llms-openai<0.9",
            "llama-index-llms-openai-like<0.9",
            "llama-index-llms-anthropic<0.13",
            "llama-index-embeddings-openai<0.8",
            "anthropic<1",  # it calls what a newer one has no more, and does not say so
        ),
    ),
    Framework("instructor", "instructor_checks.py", ("instructor[anthropic]<2",)),
    Framework("LiteLLM", "litellm_checks.py", ("litellm<2",)),
    Framework("LangChain", "langchain_checks.py", ("langchain-openai<2", "langchain-anthropic<2")),
    Framework("OpenAI Agents", "openai_agents_checks.py", ("openai-agents<0.25",)),
    Framework("ollama", "ollama_checks.py", ("ollama<0.7",)),
    Framework("cohere", "cohere_checks.py", ("cohere<8",)),
    Framework("openai-node 6", "openai_checks.mjs", locked="node-20"),
    Framework("openai-node 7", "openai_checks.mjs", locked="newest"),
    Framework("Anthropic for TypeScript", "anthropic_checks.mjs", locked="node-20"),
    Framework("Vercel AI SDK 6", "ai_sdk_checks.mjs", locked="node-20"),
    Framework("Vercel AI SDK 7", "ai_sdk_checks.mjs", locked="newest"),
)

EXAMPLES = read_examples((ROOT / "docs" / "clients.md").read_text())
ENVIRONMENTS = ROOT / ".venv-clients"
PROGRAMS = ROOT / "campaigns" / "programs"
ABOUT = (
    "`llm-proxy serve` in front of `llm-proxy simulate`, both real processes on loopback; each "
    "column is a provider: `plain` of OpenAI's format, `claude`, `gemini`, `cohere` and "
    "`ollama` of their own. What each check asks is in `campaigns/programs/clients` and "
    "`campaigns/programs/node`; how to point each framework at the proxy: docs/clients.md."
)
ABOUT_NODE = (
    "openai-node 6 and the Vercel AI SDK 6 are the last majors that are content with Node 20. The "
    "newest ask for Node 22, and were run by the same Node as the others: {node}."
)
QUIET = {
    # Neither may ask for anything but the proxy.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
SLOW_MODEL = "sim-echo@1s"
SIGNS_OF_LIFE = {"commit_delay_s": 0.2, "keep_alive_s": 0.2}
NOT_INSTALLED = "could not be installed"
NOT_FINISHED = "ended before its checks did"

Found = tuple[str | None, dict[str, list[str]]]
"""What was asked through, with its version, and for each check a verdict of each place."""


def main() -> int:
    ENVIRONMENTS.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("simulate", "serve", "slow"):
            (folder / name).mkdir()
        simulator = stack.enter_context(simulating(folder / "simulate"))
        config = build_hub_config(simulator.port)
        served = stack.enter_context(serving(folder / "serve", config))
        slow = stack.enter_context(serving(folder / "slow", build_slow_config(config)))
        variables = {
            **QUIET,
            "HOME": str(folder),
            "PLACES": json.dumps(PLACES),
            "PROXY_URL": served.url,
            "SLOW_URL": slow.url,
            "PROXY_KEY": KEY,
            "WRONG_KEY": WRONG_KEY,
            "PROXY_ADMIN_KEY": ADMIN_KEY,
            "LEDGER_URL": f"http://127.0.0.1:{simulator.port}",
            "LEDGER_KEY": PROVIDER_KEY,
        }
        found = {one.name: ask_framework(one, variables) for one in FRAMEWORKS}
    return write_result(build_result(found, find_node()))


def build_slow_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration by which clients are soon told that an answer is still awaited."""
    providers = [{**one, "models": [SLOW_MODEL]} for one in config["providers"]]
    return {**config, "clocks": SIGNS_OF_LIFE, "providers": providers}


class Place(Struct, frozen=True):
    """Where a framework is installed: what runs a program there, and the folder to run it in."""

    command: Sequence[str]
    folder: Path


def ask_framework(framework: Framework, variables: Mapping[str, str]) -> Found:
    """Return what the checks of one framework have found, which is installed first."""
    try:
        place = prepare(framework)
    except (OSError, subprocess.SubprocessError):
        return None, {NOT_INSTALLED: [NOT_INSTALLED] * len(PLACES)}
    with (ENVIRONMENTS / f"{framework.name}.log").open("wb") as errors:
        try:
            command = [*place.command, find_runner(framework), framework.checks]
            version, rows = read_lines(run_checks(command, variables, place.folder, errors))
        except subprocess.SubprocessError:
            return None, {NOT_FINISHED: [NOT_FINISHED] * len(PLACES)}
        rows["example of docs/clients.md"] = [
            run_example(framework, place, provider, variables, errors) for provider in PLACES
        ]
    return version, rows


def prepare(framework: Framework) -> Place:
    """Install a framework, and return where it is."""
    if framework.locked is not None:
        folder = ENVIRONMENTS / framework.locked
        prepare_node(folder, PROGRAMS / "node", PROGRAMS / "node" / framework.locked)
        return Place(("node",), folder)
    name = framework.checks.removesuffix("_checks.py").replace("_", "-")
    python = prepare_environment(ENVIRONMENTS / name, *framework.wanted)
    # -I: neither this project nor the development environment must be found by it.
    return Place((str(python), "-I"), PROGRAMS / "clients")


def find_runner(framework: Framework) -> str:
    """Return what runs a file of checks, in the folder that both lie in."""
    return "run.py" if framework.locked is None else "run.mjs"


def run_example(
    framework: Framework,
    place: Place,
    provider: str,
    variables: Mapping[str, str],
    errors: IO[bytes],
) -> str:
    """Return the verdict on the page's example, asked of one provider: that it prints a text."""
    example = EXAMPLES[framework.heading]
    text = example.fill(variables["PROXY_URL"], variables["PROXY_KEY"], f"{provider}/sim-echo")
    # Node looks for packages beside a program, Python does not.
    folder = place.folder if framework.locked is not None else Path(variables["HOME"])
    path = folder / f"example.{'mjs' if example.language == 'js' else 'py'}"
    path.write_text(text)
    try:
        printed = run_program([*place.command, str(path)], variables, place.folder, errors)
    except subprocess.SubprocessError as error:
        return f"{type(error).__name__}: it did not end well"
    return PASSED if printed.strip() else "it printed nothing"


def find_node() -> str:
    """Return the version of Node that is here, or that there is none."""
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none is here"
    return told.stdout.strip()


def read_lines(lines: Sequence[Mapping[str, Any]]) -> Found:
    """Return the version and the verdicts that a program has told, line by line."""
    first, *told = lines
    verdicts: dict[str, dict[str, str]] = {}
    for line in told:
        verdicts.setdefault(line["check"], {})[line["place"]] = line["verdict"]
    rows = {
        check: [by_place.get(place, "did not run") for place in PLACES]
        for check, by_place in verdicts.items()
    }
    return f"{first['package']} {first['version']}", rows


def build_result(found: Mapping[str, Found], node: str) -> Result:
    """Return the page: a row for each check of each framework, a column for each place."""
    versions = [version for version, _ in found.values() if version is not None]
    missing = [name for name, (_, rows) in found.items() if NOT_INSTALLED in rows]
    notes = [
        ABOUT,
        ABOUT_NODE.format(node=node),
        f"Asked through: {', '.join(versions) or 'none'}.",
    ]
    if missing:
        notes.append(f"Could not be installed and were not asked: {', '.join(missing)}.")
    return Result(
        name="clients",
        title="Frameworks against the running process",
        columns=PLACES,
        rows={
            f"{name}, {check}": cells
            for name, (_, rows) in found.items()
            for check, cells in rows.items()
        },
        notes=notes,
    )


if __name__ == "__main__":
    sys.exit(main())
