"""A worker's process: what it is given and what it is not."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.control.group_signals import GROUP_SIGNALS
from proxy.supervisor.spawn import SpawnedWorker, build_variables, spawn_health_worker, spawn_worker


def test_secrets_stay_here() -> None:
    """Keys, tokens, passwords, URLs of stores and systemd's own variables are not passed on."""
    given = {
        "OPENAI_API_KEY": "1",
        "PROXY_API_MASTER_SECRET": "1",
        "LITELLM_MASTER_KEY": "1",
        "AWS_SECRET_ACCESS_KEY": "1",
        "HF_TOKEN": "1",
        "PGPASSWORD": "1",
        "DATABASE_URL": "1",
        "LISTEN_FDS": "1",
        "NOTIFY_SOCKET": "1",
        "WATCHDOG_USEC": "1",
        "CREDENTIALS_DIRECTORY": "1",
    }
    needed = {"PATH": "/bin", "SSL_CERT_FILE": "/ca.pem", "LANG": "C", "TZ": "UTC"}
    variables = build_variables({**given, **needed})
    assert variables.keys() == {*needed, "PYTHONPATH", "MALLOC_MMAP_THRESHOLD_"}


def test_the_package_is_found_from_anywhere() -> None:
    """The directory that holds `proxy` comes first, what was set before it behind."""
    first, second = build_variables({"PYTHONPATH": "/elsewhere"})["PYTHONPATH"].split(":")
    assert (Path(first) / "proxy" / "worker" / "__main__.py").is_file()
    assert second == "/elsewhere"


HOLD_AND_FREE = """
def read_rss_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
bytes(b"x" * 300_000)  # what glibc sees freed, it takes for a size that comes often
before = read_rss_bytes()
held = [(b"x" * 300_000, b"y" * (1_000 + i)) for i in range(200)]
small = [pair[1] for pair in held]
del held
print(read_rss_bytes() - before)
"""
"""Prints how much more memory a process has after large blocks between small ones are freed."""


@pytest.mark.parametrize("given", [{}, {"MALLOC_MMAP_THRESHOLD_": "33554432"}])
def test_memory_of_large_blocks_goes_back_to_the_system(given: dict[str, str]) -> None:
    """What large buffers took is free for others, unless the service's environment has it kept."""
    variables = build_variables({"PATH": "/bin", **given})
    command = [sys.executable, "-c", HOLD_AND_FREE]
    kept_bytes = int(subprocess.check_output(command, env=variables))
    assert (kept_bytes > 30_000_000) == bool(given)
    assert kept_bytes > 30_000_000 or kept_bytes < 5_000_000


@pytest.mark.parametrize("spawn", [spawn_worker, spawn_health_worker])
def test_it_waits_for_orders_and_ends_with_its_supervisor(
    spawn: Callable[[], SpawnedWorker],
) -> None:
    """A process that is given nothing ends by itself as soon as the other end is closed."""
    spawned = spawn()
    assert spawned.process.poll() is None
    # Ctrl-C in a terminal reaches it as well, and is not its business.
    spawned.connection.close()
    assert spawned.process.wait(20) == 0


@pytest.mark.parametrize("spawn", [spawn_worker, spawn_health_worker])
def test_a_signal_for_everybody_does_not_end_it(spawn: Callable[[], SpawnedWorker]) -> None:
    """What a terminal sends to the whole group is ignored by it, from its first moment on."""
    spawned = spawn()
    try:
        for number in GROUP_SIGNALS:
            spawned.process.send_signal(number)
    finally:
        spawned.connection.close()
        assert spawned.process.wait(20) == 0


def test_the_supervisor_goes_on_hearing_signals() -> None:
    """What was blocked for the moment of a worker's birth is not blocked afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    spawned = spawn_worker()
    spawned.connection.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert spawned.process.wait(20) == 0
