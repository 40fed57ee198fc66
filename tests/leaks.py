"""What a piece of a test left behind: tasks that run on, descriptors that stay open."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PAIR = "socket of a pair"


@asynccontextmanager
async def leaving_nothing(grace_s: float = 5.0) -> AsyncIterator[None]:
    """
    Fail unless, at most `grace_s` after the block, tasks and descriptors are as before it.

    Raises:
        AssertionError: names every task and every descriptor that the block left behind.
    """
    tasks_before = asyncio.all_tasks()
    open_before = _open_descriptors()
    open_before["/dev/null"] += 1  # uvloop keeps one back, to accept with when there is no other
    yield
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    # A fixture is set up and torn down by two different tasks: the second is nobody's leak.
    tasks = asyncio.all_tasks() - tasks_before - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=grace_s)
    # Nothing announces that a descriptor has closed; a transport closes its socket one turn
    # of the loop after close(), so this looks once per turn.
    while (leaked := _open_descriptors() - open_before) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert not tasks, f"still running: {sorted(str(task) for task in tasks)}"
    assert not leaked, f"still open: {sorted(leaked)}"


def _open_descriptors() -> Counter[str]:
    """Count what this process has open by what it is: a socket's inode, a file's path."""
    found: Counter[str] = Counter()
    for entry in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:
            continue  # the descriptor that listed the directory is closed by now
        found[_PAIR if name.startswith("socket:") and _is_of_a_pair(int(entry)) else name] += 1
    return found


def _is_of_a_pair(descriptor: int) -> bool:
    """Tell whether a socket has no name and no address: uvloop makes such a pair in each run."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return sock.family == socket.AF_UNIX and not sock.getsockname()
    except OSError:
        return False  # closed by now
