"""Fixtures of the end-to-end tests: the served proxies, the simulator behind them, the SDKs."""

import urllib.request
from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest

from tests.end_to_end.asking import TRUST
from tests.end_to_end.hub import PLACES, build_hub_config
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


@pytest.fixture(scope="session")
def hub(
    simulator: ServedSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProxy]:
    """One proxy for all tests, in front of a provider of each type."""
    config = build_hub_config(simulator.port)
    with serving(tmp_path_factory.mktemp("hub"), config) as running:
        yield running


@pytest.fixture(autouse=True)
def _mended(request: pytest.FixtureRequest) -> None:
    """Have every breaker closed: no test of a shared proxy suffers for another one's faults."""
    for name in {"served", "hub"} & set(request.fixturenames):
        served: ServedProxy = request.getfixturevalue(name)
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        reset = urllib.request.Request(
            f"{served.url}/admin/breakers/*/reset", headers=headers, method="POST"
        )
        with urllib.request.urlopen(reset) as answer:
            assert answer.status == 200


@pytest.fixture
async def sdk(served: ServedProxy) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's asynchronous client, without retries."""
    http = openai.DefaultAsyncHttpxClient(verify=TRUST)
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key=KEY, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
def sync_sdk(served: ServedProxy) -> Iterator[openai.OpenAI]:
    """OpenAI's synchronous client, without retries."""
    http = openai.DefaultHttpxClient(verify=TRUST)
    with openai.OpenAI(
        base_url=f"{served.url}/v1", api_key=KEY, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
async def hub_sdk(hub: ServedProxy) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's asynchronous client in front of every type of provider, without retries."""
    http = openai.DefaultAsyncHttpxClient(verify=TRUST)
    async with openai.AsyncOpenAI(
        base_url=f"{hub.url}/v1", api_key=KEY, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
async def claude_sdk(hub: ServedProxy) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's asynchronous client in front of every type of provider, without retries."""
    http = anthropic.DefaultAsyncHttpxClient(verify=TRUST)
    async with anthropic.AsyncAnthropic(
        base_url=hub.url, api_key=KEY, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture
def sync_claude_sdk(hub: ServedProxy) -> Iterator[anthropic.Anthropic]:
    """Anthropic's synchronous client in front of every type of provider, without retries."""
    http = anthropic.DefaultHttpxClient(verify=TRUST)
    with anthropic.Anthropic(
        base_url=hub.url, api_key=KEY, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture(params=PLACES)
def maker(request: pytest.FixtureRequest) -> str:
    """Which provider is asked, by its name: one of each type."""
    name: str = request.param
    return name


@pytest.fixture(params=["simulator", "local"])
def place(request: pytest.FixtureRequest) -> str:
    """Where models are asked: the simulator inside the worker, and the one over HTTP."""
    name: str = request.param
    return name
