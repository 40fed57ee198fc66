"""What the promises about the source are checked on: where files are, and which there are."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("proxy", "health_worker")
PROGRAMS = (*PACKAGES, "bench", "campaigns")


def python_files(*folders: str) -> list[Path]:
    """Return every Python file below these folders of the project, sorted; hidden ones are not."""
    found = []
    for folder in folders:
        for place, below, files in os.walk(ROOT / folder):
            # What the benchmark installs of others' programs lies in hidden folders.
            below[:] = [name for name in below if not name.startswith(".")]
            found += [Path(place, name) for name in files if name.endswith(".py")]
    return sorted(found)


def modules(*packages: str) -> list[str]:
    """Return the dotted names of all modules of these packages that are made to be imported."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files(*packages)
        if path.name not in {"__init__.py", "__main__.py"}
    ]


def shown(path: Path) -> str:
    """Return a file's path as a person at the project's root would type it."""
    return path.relative_to(ROOT).as_posix()


def listed(findings: list[str]) -> str:
    """Return findings one per line, all of them: pytest would show the first and cut it."""
    return "".join(f"\n  {finding}" for finding in findings)


def project_files() -> list[Path]:
    """Return every file that is in git or would be added to it; skip where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: nobody can say which files belong to the project")
    paths = (ROOT / name.decode() for name in listing.stdout.split(b"\0") if name)
    return sorted(path for path in paths if path.is_file())
