"""The promise that a worker is lean: what it loads is counted where it cannot hide."""

import importlib.metadata
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.promises.tree import ROOT

MAX_CHOSEN = 10
MAX_LOADED = 18
COMMANDS_ONLY = {
    "alembic", "cryptography", "pydantic", "pyyaml", "sqlalchemy", "typer", "watchfiles",
}  # fmt: skip

# The module that a worker process starts from: the first of these that exists.
_STARTS = ("proxy.worker.main", "proxy.wiring")
# What the interpreter loads by itself (setuptools does so, through a .pth file) is not counted.
_LIST_NEW_MODULES = """
import sys
before = set(sys.modules)
__import__(sys.argv[1])
print(*(set(sys.modules) - before))
"""


@pytest.fixture(scope="module")
def loaded() -> set[NormalizedName]:
    """The distributions that are loaded once a worker's first module is imported."""
    start = next((n for n in _STARTS if (ROOT / f"{n.replace('.', '/')}.py").exists()), None)
    if start is None:
        pytest.skip(f"none of {', '.join(_STARTS)} exists yet: there is no worker to look at")
    run = subprocess.run(
        [sys.executable, "-c", _LIST_NEW_MODULES, start],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    owners = importlib.metadata.packages_distributions()
    top_level = {name.partition(".")[0] for name in run.stdout.split()}
    found = {canonicalize_name(owner) for name in top_level for owner in owners.get(name, ())}
    return found - {canonicalize_name("llm-proxy-api")}


def test_a_worker_loads_few_of_our_dependencies(loaded: set[NormalizedName]) -> None:
    """A worker imports at most 10 of the distributions that pyproject.toml names."""
    assert len(loaded & _chosen()) <= MAX_CHOSEN, sorted(loaded & _chosen())


def test_a_worker_loads_little_in_all(loaded: set[NormalizedName]) -> None:
    """With all that those bring along (aiohttp: 8, structlog: rich) it is at most 18."""
    assert len(loaded) <= MAX_LOADED, sorted(loaded)


def test_a_worker_loads_nothing_of_the_commands(loaded: set[NormalizedName]) -> None:
    """Databases' and commands' libraries are not loaded by a worker."""
    assert loaded & COMMANDS_ONLY == set()


def _chosen() -> set[NormalizedName]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
