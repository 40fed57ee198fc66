"""The simulator as a program: it says where it listens and stops when told."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "from proxy.simulator.run import run_simulator; "
    "run_simulator('127.0.0.1', 0, api_key='sim-run-key')"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """It prints its address, answers there, and both signals end it with status 0."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        line = program.stdout.readline()
        url = line.split()[2].removesuffix("/v1")
        with urllib.request.urlopen(f"{url}/health", timeout=10) as reply:
            assert reply.read() == b'{"status":"ok"}'
        program.send_signal(number)
        assert program.wait(10) == 0
        assert program.stderr.read() == ""
    assert "sim-run-key" not in line
