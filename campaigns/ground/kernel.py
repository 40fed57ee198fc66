"""What the kernel knows of processes and their connections, read from /proc."""

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

STOPPED_WITHIN_S = 5.0
LISTENING = "0A"
"""In /proc/net/tcp."""


def raise_file_limit(needed: int) -> None:
    """Allow this process, and those it starts, as many descriptors as the system lets it have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < needed:
        raise SystemExit(f"this campaign needs {needed} descriptors; `ulimit -Hn` allows {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


def read_resident_bytes(pid: int) -> int:
    """Return how much memory a process has in use."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has no memory in use")


def count_descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def find_client_ports(pid: int, server_port: int) -> set[int]:
    """Return the far ends' ports of the connections to `server_port` that a process holds."""
    inodes = _list_sockets(pid)
    return {
        int(remote.partition(":")[2], 16)
        for local, remote, inode in _list_connections()
        if int(local.partition(":")[2], 16) == server_port and inode in inodes
    }


def stop_process(pid: int) -> None:
    """Hold a process where it is; when this returns it does nothing more."""
    os.kill(pid, signal.SIGSTOP)
    deadline_s = time.monotonic() + STOPPED_WITHIN_S
    while time.monotonic() < deadline_s:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return
    raise AssertionError("the process does not stop")


def _list_sockets(pid: int) -> set[str]:
    found = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed since
            name = os.readlink(f"/proc/{pid}/fd/{number}")
            found.add(name.removeprefix("socket:[").removesuffix("]"))
    return found


def _list_connections() -> list[tuple[str, str, str]]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [(line[1], line[2], line[9]) for line in fields if line[3] != LISTENING]
