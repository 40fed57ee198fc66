"""What is opened for a worker, what belongs together, and that all of it is closed again."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import UpstreamPoolFull
from proxy.domain.settings import InstallSettings
from proxy.server.app import App, build_runner
from proxy.simulator.transport import SimulatorTransport
from proxy.telemetry.log_writer import LogWriter, open_log_writer
from proxy.upstream import aiohttp_pool
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.base import Transport
from proxy.wiring import Service, open_service, open_transports
from tests.fakes.proxy_server import AUTH, HASHER, build_chat, build_provider, build_snapshot
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.recording_sink import RecordingSink
from tests.upstream.asking import build_request


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogWriter]:
    """A log in a file."""
    writer = open_log_writer(str(tmp_path / "requests.log"))
    yield writer
    writer.close()


def build_sample() -> Snapshot:
    """Return a snapshot with a simulator, a provider over HTTP and one that is switched off."""
    return build_snapshot(
        build_provider("simulator:", name="simulator", type="simulator", models=("sim-echo",)),
        build_provider("http://127.0.0.1:1/v1"),
        build_provider("http://127.0.0.1:1/v1", name="off", enabled=False),
    )


async def close_all(transports: dict[str, Transport]) -> None:
    """Close every transport."""
    for transport in transports.values():
        await transport.close()


@pytest.mark.usefixtures("no_leaks")
async def test_each_provider_in_use_has_its_transport() -> None:
    """The simulator needs no network, a provider that is switched off has none at all."""
    transports = open_transports(build_sample())
    kinds = {name: type(transport) for name, transport in transports.items()}
    await close_all(transports)
    assert kinds == {"simulator": SimulatorTransport, "up": AiohttpTransport}


@pytest.mark.usefixtures("no_leaks")
async def test_providers_share_no_transport() -> None:
    """Two providers have pools of their own, even with one address."""
    url = "http://127.0.0.1:1/v1"
    transports = open_transports(
        build_snapshot(build_provider(url, name="a"), build_provider(url, name="b"))
    )
    await close_all(transports)
    assert transports["a"] is not transports["b"]


@pytest.mark.usefixtures("no_leaks")
async def test_max_connections_holds_for_all_providers_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `max_connections: 1` a request to one provider keeps another's from being sent."""
    monkeypatch.setattr(aiohttp_pool, "POOL_WAIT_S", 0.05)

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        a, b = (build_provider(upstream.url, name=name) for name in "ab")
        transports = open_transports(build_snapshot(a, b), 1)
        held = await transports["a"].open(build_request(upstream), RecordingSink())
        with pytest.raises(UpstreamPoolFull):
            await transports["b"].open(build_request(upstream), RecordingSink())
        held.close()
        (await transports["b"].open(build_request(upstream), RecordingSink())).close()
        await close_all(transports)


@asynccontextmanager
async def opened(install: InstallSettings, log: LogWriter) -> AsyncIterator[Service]:
    """Open a service of the sample, and close it."""
    service = await open_service(install, build_sample(), HASHER, log)
    try:
        yield service
    finally:
        await service.close()


async def ask(app: App, body: Any) -> tuple[int, str]:
    """Return (status of a chat request to the application, text of its metrics afterwards)."""
    runner = build_runner(app, drain_s=0.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(url, headers=AUTH) as session:
            async with session.post("/v1/chat/completions", json=body) as answer:
                status = answer.status
            async with session.get("/metrics") as answer:
                return status, await answer.text()
    finally:
        await runner.cleanup()


async def test_a_request_reaches_log_and_metrics(state_dir: Path, log: LogWriter) -> None:
    """The application answers, and what it tells arrives in the log and under /metrics."""
    install = InstallSettings(state_dir=str(state_dir))
    async with opened(install, log) as service:
        status, metrics = await ask(service.app, build_chat(model="sim-echo"))
    assert status == 200
    assert log.flush()
    [line] = (state_dir.parent / "requests.log").read_text().splitlines()
    assert (json.loads(line)["provider"], json.loads(line)["outcome"]) == ("simulator", "completed")
    counted = [n for n in metrics.splitlines() if n.startswith("llm_proxy_requests_total{")]
    assert [line for line in counted if 'provider="simulator"' in line and line.endswith(" 1.0")]


async def test_the_log_level_holds_for_requests(state_dir: Path, log: LogWriter) -> None:
    """With level ERROR a good request is not written down."""
    install = InstallSettings(state_dir=str(state_dir), log_level="ERROR")
    async with opened(install, log) as service:
        status, _ = await ask(service.app, build_chat(model="sim-echo"))
    assert status == 200
    assert log.flush()
    assert (state_dir.parent / "requests.log").read_text() == ""


async def test_lost_log_lines_are_counted(state_dir: Path, log: LogWriter) -> None:
    """What the log had to drop shows in the metrics."""
    install = InstallSettings(state_dir=str(state_dir))
    async with opened(install, log) as service:
        assert log.on_dropped is not None
        log.on_dropped(7)
        _, metrics = await ask(service.app, build_chat(model="sim-echo"))
    assert "llm_proxy_log_lines_dropped_total 7.0" in metrics


async def test_counts_outlive_the_process(state_dir: Path, log: LogWriter) -> None:
    """A second service over the same state goes on counting where the first one stopped."""
    install = InstallSettings(state_dir=str(state_dir))
    for count in (1, 2):
        async with opened(install, log) as service:
            _, metrics = await ask(service.app, build_chat(model="sim-echo"))
        counted = [n for n in metrics.splitlines() if n.startswith("llm_proxy_requests_total{")]
        assert [line for line in counted if line.endswith(f" {count}.0")], counted


async def test_only_the_owner_enters_the_state_directory(tmp_path: Path, log: LogWriter) -> None:
    """It is made where it is missing, with the folders above it, for its owner alone."""
    path = tmp_path / "deep" / "state"
    async with opened(InstallSettings(state_dir=str(path)), log):
        assert path.stat().st_mode & 0o777 == 0o700


async def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path, log: LogWriter) -> None:
    """Metrics that could not be kept stop the start, before anything else is opened."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OSError):
        await open_service(InstallSettings(state_dir=str(path)), build_sample(), HASHER, log)
