"""Describes the machine for the report, without anything that names it."""

import os
import platform
import shlex
import sysconfig
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.cores import Cores
from bench.results import MachineInfo
from bench.toolchain import read_compiler_version

TELLING_OPTIONS = ("--enable-optimizations", "--with-lto", "--enable-shared")
"""Those of CPython's `configure` that its speed depends on, by tens of per cent."""
LIBRARIES = ("aiohttp", "uvloop", "httptools", "msgspec", "orjson")


def describe_machine(cores: Cores) -> MachineInfo:
    """Return what the figures depend on."""
    return MachineInfo(
        cpu=parse_cpu_model(Path("/proc/cpuinfo").read_text()),
        cpu_count=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()} "
        f"({name_build(sysconfig.get_config_var('CONFIG_ARGS') or '')})",
        libraries=read_versions(LIBRARIES),
        compiler=read_compiler_version(),
        are_cores_apart=cores.are_apart,
    )


def name_build(configure_arguments: str) -> str:
    """Return how the interpreter was built, out of the arguments of its `configure`."""
    given = {option.partition("=")[0] for option in shlex.split(configure_arguments)}
    telling = [option for option in TELLING_OPTIONS if option in given]
    return f"configured with {' '.join(telling) if telling else 'no option that tells'}"


def parse_cpu_model(cpuinfo: str) -> str:
    """Return the processor's name out of the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.machine()


def read_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions; what is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
