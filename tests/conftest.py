"""
Fixtures that every folder of tests may use: a free port, a state directory, a leak check.

The hooks have the watch of `canaries.py` look on while each test runs; where several processes
run them (`make test`), each one's watch tells what it has found to the process that reports.
What belongs to one floor stands in that folder's own conftest.py.
"""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from proxy.pipeline import call, context, incoming, record, stream_answer
from tests.canaries import RAN_BEFORE, WATCH, install
from tests.fakes import proxy_server
from tests.fakes.ports import find_port
from tests.fakes.redis_server import RedisServer
from tests.leaks import leaving_nothing
from tests.running_clock import RunningLoop, RunningTime

# Made-up cases have no clocks of their own: 0.2 s each is soon over where a machine stumbles.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

_UNINSTALL = pytest.StashKey[Callable[[], None]]()
_LEFT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Have the watch look on from before the first fixture."""
    config.addinivalue_line("markers", "both_loops: also on uvloop, which workers run on")
    config.addinivalue_line("markers", "both_transports: over our own transport and aiohttp's")
    config.addinivalue_line("markers", "both_connections: over a lean one and over aiohttp's")
    config.stash[_UNINSTALL] = install(WATCH)
    config.stash[_LEFT] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have tests that are marked `both_connections` run once over each."""
    if metafunc.definition.get_closest_marker("both_connections"):
        metafunc.parametrize("connection_kind", ("lean", "aiohttp"), indirect=True)


@pytest.fixture(autouse=True)
def connection_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make it what plain requests are served by in every proxy that a test begins."""
    kind = str(getattr(request, "param", "lean"))
    monkeypatch.setattr(proxy_server, "CONNECTION", kind)
    return kind


@pytest.fixture(autouse=True, scope="session")
def one_clock() -> Iterator[None]:
    """Have the pipeline's stopwatches go by the clock of the loops: its timers begin with them."""
    RunningTime.monotonic()  # its file is open from here on, and no test's
    with pytest.MonkeyPatch.context() as patch:
        for module in (call, context, incoming, record, stream_answer):
            patch.setattr(module, "time", RunningTime())
        yield


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """
    Have tests run on the standard library's loop; those marked `both_loops` on uvloop too.

    The first goes by a clock that leaves out what the machine stood still; uvloop has its own.
    """
    if item.get_closest_marker("both_loops"):
        return {"asyncio": RunningLoop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": RunningLoop}


def pytest_collection_finish(session: pytest.Session) -> None:
    """
    Have the collector pass over what is there for good: modules, and thousands of tests.

    Each of its rounds takes half a second else, and tests that look for rings ask for hundreds.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the watch away, for whoever runs several sessions in one process."""
    config.stash[_UNINSTALL]()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Tell the watch which test it is that runs."""
    WATCH.test = nodeid


def pytest_warning_recorded(
    warning_message: warnings.WarningMessage, when: str, nodeid: str
) -> None:
    """Show the watch every warning; the process that reports is told of each one once more."""
    WATCH.test = nodeid or WATCH.test
    WATCH.see(f"a warning ({when})", str(warning_message.message))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the watch what the test printed, and fail the test if a canary was seen."""
    report = yield
    if report.passed:
        # What a failure prints is for people at a test run, and shows values on purpose.
        for title, text in report.sections:
            if title in (f"Captured stdout {report.when}", f"Captured stderr {report.when}"):
                WATCH.see(title, text)
        if found := WATCH.take_findings(item.nodeid):
            report.outcome = "failed"
            report.longrepr = "\n".join(["a canary was seen:", *found])
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Show the watch every file that was left, and fail the session if a canary is in one."""
    config = session.config
    told: dict[str, Any] | None = getattr(config, "workeroutput", None)
    WATCH.test = "the whole session"
    # The files of all processes lie below the folder of the one that reports.
    if told is None and (folder := _base_folder(config)) is not None:
        WATCH.see_files(folder)
    found = WATCH.take_findings()
    WATCH.test = RAN_BEFORE
    if told is not None:
        told["canaries"] = found
        return
    config.stash[_LEFT] += found
    if config.stash[_LEFT] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what the watch of a process that ran tests has found where it could fail none."""
    node.config.stash[_LEFT] += getattr(node, "workeroutput", {}).get("canaries", [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name what the watch has found where no single test could be failed for it."""
    if found := config.stash[_LEFT]:
        terminalreporter.section("canaries were seen", red=True)
        for finding in dict.fromkeys(found):
            terminalreporter.line(finding)


def _base_folder(config: pytest.Config) -> Path | None:
    """Return the session's temporary directory, None if no test asked for one."""
    factory = getattr(config, "_tmp_path_factory", None)
    folder: Path | None = getattr(factory, "_basetemp", None)
    return folder if folder is not None and folder.exists() else None


@pytest.fixture
def loopback_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    return find_port()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return an empty directory that only its owner can enter, as a server's state asks."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="session")
def _session_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_session_redis: RedisServer) -> RedisServer:
    """Return the Redis that all tests of a session share, empty; it must not be ended."""
    _session_redis.command("FLUSHALL")
    _session_redis.command("SCRIPT", "FLUSH")
    return _session_redis


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """Return a Redis that is this test's alone, to be killed, frozen or turned about."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """
    Fail a test that leaves tasks or open descriptors behind, after 5 s of grace.

    A module opts in with `pytestmark = pytest.mark.usefixtures("no_leaks")`: named there, it
    is set up before the fixtures that a test asks for and looks after they have closed.
    """
    async with leaving_nothing():
        yield
