"""Promises about the project's own files: dependencies, locks, commands, version."""

import importlib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from proxy.version import __version__
from tests.promises.tree import ROOT

MAX_DEPENDENCIES = 25
LOCKS = ("requirements.lock", "requirements-dev.lock")

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)[^\\]*\\$")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    """The project's declaration."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_dependencies_are_few_and_each_has_its_reason(pyproject: dict[str, Any]) -> None:
    """There are at most 25 direct dependencies, and the line of each one says what for."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("\ndependencies = [\n")[2].partition("\n]")[0].splitlines()
    without_reason = [line for line in block if not line.partition("#")[2].split()]
    declared = pyproject["project"]["dependencies"]
    assert len(block) == len(declared) <= MAX_DEPENDENCIES
    assert without_reason == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_place_to_install_from(lock: str) -> None:
    """A lock file says what to install, never from where: no URL, no index, no local path."""
    lines = (ROOT / lock).read_text().splitlines()
    options = [line for line in lines if line.lstrip().startswith("-")]
    assert [line for line in options if not line.strip().startswith("--hash=sha256:")] == []
    assert [line for line in lines if "://" in line or " @ " in line or " /" in line] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hash_every_requirement(lock: str) -> None:
    """Each requirement of a lock file is pinned to one version and has at least one hash."""
    lines = [n for n in (ROOT / lock).read_text().splitlines() if not n.lstrip().startswith("#")]
    unhashed = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith(" "):
            continue
        if not _PINNED.match(line) or not following.strip().startswith("--hash=sha256:"):
            unhashed.append(line)
    assert unhashed == []


def test_locks_hold_what_the_project_declares(pyproject: dict[str, Any]) -> None:
    """Every declared dependency is locked at a version it allows; else `make lock` is due."""
    groups = pyproject["dependency-groups"]
    runtime = [*pyproject["project"]["dependencies"], *groups["build"]]
    development = [line for line in groups["dev"] if isinstance(line, str)]
    assert _unmet(runtime, _read_lock("requirements.lock")) == []
    assert _unmet([*runtime, *development], _read_lock("requirements-dev.lock")) == []


def test_development_uses_the_versions_that_run() -> None:
    """What is tested is what is served: the development lock repeats the runtime lock's pins."""
    development = _read_lock("requirements-dev.lock")
    runtime = _read_lock("requirements.lock")
    assert {name: development.get(name) for name in runtime} == runtime


def test_the_build_backend_is_the_locked_one(pyproject: dict[str, Any]) -> None:
    """The build asks for exactly the backend that the lock files hash."""
    assert pyproject["build-system"]["requires"] == pyproject["dependency-groups"]["build"]


def test_the_version_is_one() -> None:
    """The version is a valid one in its normal form."""
    assert str(Version(__version__)) == __version__


def test_every_command_can_be_called(pyproject: dict[str, Any]) -> None:
    """Each installed command leads to something callable."""
    for target in pyproject["project"]["scripts"].values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_integration_run_is_make_test() -> None:
    """`.ci/run` can be executed and runs what a developer runs, nothing else."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "make test"


def test_the_readme_shows_how_to_serve_and_to_test() -> None:
    """The README names the two commands a newcomer needs."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("README.md is not written yet")
    text = readme.read_text()
    assert [command for command in ("make serve", "make test") if command not in text] == []


def _read_lock(name: str) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for line in Path(ROOT, name).read_text().splitlines():
        pinned = _PINNED.match(line)
        if pinned is not None:
            found[canonicalize_name(pinned[1])] = Version(pinned[2])
    return found


def _unmet(declared: list[str], locked: dict[str, Version]) -> list[str]:
    unmet = []
    for line in declared:
        wanted = Requirement(line)
        version = locked.get(canonicalize_name(wanted.name))
        if version is None or version not in wanted.specifier:
            unmet.append(line)
    return unmet
