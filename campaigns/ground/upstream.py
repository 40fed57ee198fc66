"""A provider of `campaigns/programs`, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from campaigns.base import ROOT


class RunningProgram:
    """A program that is told things line by line, and answers so."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def read_line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ask(self, line: str) -> str:
        """Tell it something, and return the line that it answers with."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self.read_line()


@contextmanager
def running_program(program: str, *arguments: str) -> Iterator[RunningProgram]:
    """Run one of the programs; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", f"campaigns.programs.{program}", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield RunningProgram(process)
        finally:
            process.kill()


@contextmanager
def running_upstream(program: str) -> Iterator[int]:
    """Run one of the programs that print their port; it is killed at the end."""
    with running_program(program) as running:
        yield int(running.read_line())
