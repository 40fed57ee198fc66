"""Fixtures of the simulator's tests: a running HTTP simulator, and the real SDK against it."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from proxy.simulator.server import RunningSimulator, open_simulator


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A simulator on a free port of loopback."""
    running = await open_simulator()
    yield running
    await running.close()


@pytest.fixture
async def sdk(simulator: RunningSimulator) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client, pointed at the simulator, without retries."""
    async with AsyncOpenAI(
        base_url=f"{simulator.url}/v1", api_key="sim-test-key", max_retries=0
    ) as client:
        yield client
