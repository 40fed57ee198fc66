"""Fixtures of the end-to-end tests: the served proxy, the simulator behind it, OpenAI's SDK."""

import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    ServedProxy,
    ServedSimulator,
    build_config,
    serving,
    simulating,
)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedSimulator]:
    """One simulator over HTTP for all tests."""
    with simulating(tmp_path_factory.mktemp("simulate")) as running:
        yield running


@pytest.fixture(scope="session")
def served(
    simulator: ServedSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProxy]:
    """One proxy for all tests, in front of both simulators."""
    config = build_config(simulator.port, admin_keys=[ADMIN_KEY])
    with serving(tmp_path_factory.mktemp("serve"), config) as running:
        yield running


@pytest.fixture(autouse=True)
def _mended(request: pytest.FixtureRequest) -> None:
    """Have every breaker closed: no test of the shared proxy suffers for another one's faults."""
    if "served" in request.fixturenames:
        served: ServedProxy = request.getfixturevalue("served")
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        reset = urllib.request.Request(
            f"{served.url}/admin/breakers/*/reset", headers=headers, method="POST"
        )
        with urllib.request.urlopen(reset) as answer:
            assert answer.status == 200


@pytest.fixture
async def sdk(served: ServedProxy) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's asynchronous client, without retries."""
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def sync_sdk(served: ServedProxy) -> Iterator[OpenAI]:
    """OpenAI's synchronous client, without retries."""
    with OpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["simulator", "local"])
def place(request: pytest.FixtureRequest) -> str:
    """Where models are asked: the simulator inside the worker, and the one over HTTP."""
    name: str = request.param
    return name
