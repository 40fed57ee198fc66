"""A provider of `campaigns/programs`, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from campaigns.base import ROOT


@contextmanager
def running_upstream(program: str) -> Iterator[int]:
    """Run one of the programs that print their port; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", f"campaigns.programs.{program}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
