"""
Places of their own for programs of others, and running checks in them.

What is installed lies in ignored folders of the tree, where a second run finds it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

INSTALL_WITHIN_S = 600.0
RUN_WITHIN_S = 300.0
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def prepare_environment(folder: Path, *wanted: str) -> Path:
    """
    Return the interpreter of a virtual environment with the newest of what is wanted.

    Raises:
        subprocess.SubprocessError: it could not be installed, or not in time.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", *wanted], check=True, timeout=INSTALL_WITHIN_S)
    return python


def prepare_node(folder: Path, programs: Path, locked: Path) -> None:
    """
    Copy programs for Node into a folder, and install beside them what a lock file names.

    Args:
        folder: where they go, with node_modules; what an earlier run installed is replaced.
        programs: where they lie.
        locked: where package.json and package-lock.json lie.

    Raises:
        OSError: there is no npm.
        subprocess.SubprocessError: it could not be installed, or not in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in (*programs.glob("*.mjs"), *locked.glob("*.json")):
        shutil.copy(path, folder)
    npm = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=folder, check=True, stdout=sys.stderr, timeout=INSTALL_WITHIN_S)


def run_checks(
    command: Sequence[str],
    variables: Mapping[str, str],
    folder: Path | None = None,
    errors: IO[bytes] | None = None,
) -> list[dict[str, Any]]:
    """
    Return the lines of JSON that a program prints.

    Raises:
        subprocess.SubprocessError: it has failed, or was not through in time.
    """
    printed = run_program(command, variables, folder, errors)
    return [json.loads(line) for line in printed.splitlines()]


def run_program(
    command: Sequence[str],
    variables: Mapping[str, str],
    folder: Path | None = None,
    errors: IO[bytes] | None = None,
) -> str:
    """
    Return what a program prints, which finds these variables and none of ours.

    Raises:
        subprocess.SubprocessError: it has failed, or was not through in time.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **variables},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=True,
        timeout=RUN_WITHIN_S,
    )
    return done.stdout
