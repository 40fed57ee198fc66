"""Promises about importing: every module by itself, and nothing impure on the pure floors."""

import subprocess
import sys

import pytest

from tests.promises.tree import PACKAGES, ROOT, modules

PARTS = 8
"""Into which the modules are dealt out, so that no test is long and processes can share them."""
PURE_FLOORS = ("proxy/domain", "proxy/wire", "proxy/policy", "proxy/providers")
IMPURE = {
    "aiohttp",
    "aiosqlite",
    "asyncpg",
    "prometheus_client",
    "pydantic",
    "redis",
    "sqlalchemy",
    "structlog",
    "typer",
    "uvloop",
    "yaml",
}

# Each module is imported in a fork of an interpreter that has imported nothing of ours yet: as
# alone as in a new process, without paying each time for that and for what others have written.
_IMPORT_EACH_ALONE = """
import os, sys
import aiohttp.web, httptools, msgspec, pydantic, structlog, typer, uvloop, yaml
failed = False
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    failed |= os.waitpid(child, 0)[1] != 0
sys.exit(failed)
"""
_IMPORT_ALL = "import sys; [__import__(name) for name in sys.argv[1:]]; print(*sys.modules)"


@pytest.mark.parametrize("part", range(PARTS))
def test_each_module_imports_alone(part: int) -> None:
    """Any module can be the first one imported; it warns of nothing and prints nothing."""
    command = [sys.executable, "-W", "error", "-c", _IMPORT_EACH_ALONE]
    names = modules(*PACKAGES)[part::PARTS]
    run = subprocess.run(
        [*command, *names],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")


def test_pure_floors_load_nothing_impure() -> None:
    """Importing floors 0, 1 and 2 brings in no server, database or file format, not even
    through a third party's package."""
    run = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *modules(*PURE_FLOORS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert IMPURE & set(run.stdout.split()) == set()
