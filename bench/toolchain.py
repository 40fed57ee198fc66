"""Builds the mock upstream and the load generator with the C compiler of the machine."""

import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

SOURCE_FOLDER = Path(__file__).resolve().parent
BUILD_FOLDER = SOURCE_FOLDER / "build"
COMPILERS = ("cc", "gcc", "clang")


class ToolchainMissing(Exception):
    """The tools cannot be built; the text says what is missing and how to mend it."""


class Tools(Struct, frozen=True):
    """Where the two built programs are."""

    mock: Path
    lg: Path


def find_compiler() -> str | None:
    """Return the path of the first C compiler on PATH, or None."""
    return next((path for path in map(shutil.which, COMPILERS) if path), None)


def build_tools(folder: Path = BUILD_FOLDER) -> Tools:
    """Compile both tools into `folder`, unless they are newer than their sources."""
    folder.mkdir(parents=True, exist_ok=True)
    return Tools(mock=_build(folder, "mock"), lg=_build(folder, "lg"))


def _build(folder: Path, name: str) -> Path:
    source, program = SOURCE_FOLDER / f"{name}.c", folder / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = find_compiler()
    if compiler is None:
        raise ToolchainMissing(
            f"No C compiler found (tried {', '.join(COMPILERS)}). The mock upstream and the load "
            "generator are written in C: install one, on Debian with `apt-get install gcc "
            "libc6-dev`, and run again."
        )
    argv = [compiler, "-O2", "-o", str(program), str(source)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolchainMissing(f"bench/{name}.c does not compile:\n{done.stderr.strip()}")
    return program


def read_compiler_version() -> str:
    """Return the first line of the compiler's own version text."""
    compiler = find_compiler()
    if compiler is None:
        return "none"
    done = subprocess.run([compiler, "--version"], check=False, capture_output=True, text=True)
    return done.stdout.partition("\n")[0].strip() or "unknown"
