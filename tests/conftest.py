"""
Fixtures that every folder of tests may use: a free port, a state directory, a leak check.

What belongs to one floor stands in that folder's own conftest.py.
"""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.leaks import leaving_nothing


@pytest.fixture
def loopback_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens; nothing reserves it either."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return an empty directory that only its owner can enter, as a server's state asks."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """
    Fail a test that leaves tasks or open descriptors behind, after 5 s of grace.

    A module opts in with `pytestmark = pytest.mark.usefixtures("no_leaks")`: named there, it
    is set up before the fixtures that a test asks for and looks after they have closed.
    """
    async with leaving_nothing():
        yield
