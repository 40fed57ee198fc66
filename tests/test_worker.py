"""A worker in this process: when it is ready, how it ends, what it says if it cannot start."""

import gc
import os
import resource
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.domain.settings import InstallSettings
from proxy.telemetry.log_writer import LogWriter, open_log_writer
from proxy.worker import run_worker
from tests.fakes.proxy_server import HASHER, build_provider, build_snapshot


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Undo what a worker does to this process's garbage collector and signals."""
    thresholds = gc.get_threshold()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogWriter]:
    """A log that is read by nobody."""
    writer = open_log_writer(str(tmp_path / "worker.log"))
    yield writer
    writer.close()


def run_until_ready(
    state_dir: Path,
    log: LogWriter,
    *listen: tuple[str, int],
    number: signal.Signals = signal.SIGTERM,
) -> list[str]:
    """Run a worker that is sent a signal as soon as it is ready; return the URLs it told."""
    told: list[str] = []

    def on_ready(urls: Sequence[str]) -> None:
        told.extend(urls)
        os.kill(os.getpid(), number)

    install = InstallSettings(listen=listen, state_dir=str(state_dir))
    snapshot = build_snapshot(build_provider("http://127.0.0.1:1/v1"))
    run_worker(install, snapshot, HASHER, log, on_ready)
    return told


def test_it_takes_all_the_files_it_may_have(state_dir: Path, log: LogWriter) -> None:
    """The soft limit of open files, which systems set low, does not bound its connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    try:
        run_until_ready(state_dir, log, ("127.0.0.1", 0))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(state_dir: Path, log: LogWriter, number: signal.Signals) -> None:
    """It tells its real address once it is ready, and returns after either signal."""
    [url] = run_until_ready(state_dir, log, ("127.0.0.1", 0), number=number)
    assert url.startswith("http://127.0.0.1:")
    port = int(url.rpartition(":")[2])
    with socket.socket() as probe:
        assert port > 0
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_ready_means_that_connections_are_accepted(state_dir: Path, log: LogWriter) -> None:
    """Every address is told, and each takes a connection at that moment."""
    accepted = []

    def on_ready(urls: Sequence[str]) -> None:
        for url in urls:
            host, _, port = url.removeprefix("http://").rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5):
                accepted.append(url)
        os.kill(os.getpid(), signal.SIGTERM)

    install = InstallSettings(listen=(("127.0.0.1", 0), ("127.0.0.1", 0)), state_dir=str(state_dir))
    snapshot = build_snapshot(build_provider("http://127.0.0.1:1/v1"))
    run_worker(install, snapshot, HASHER, log, on_ready)
    assert len(set(accepted)) == 2


def test_an_ipv6_address_is_written_as_a_url(state_dir: Path, log: LogWriter) -> None:
    """The host of a URL with colons stands in brackets."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    [url] = run_until_ready(state_dir, log, ("::1", 0))
    assert url.startswith("http://[::1]:")


def test_a_port_in_use_says_how_to_mend_it(state_dir: Path, log: LogWriter) -> None:
    """The error names the address, the reason and the options that help; all else is closed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="cannot be listened on") as refused:
            run_until_ready(state_dir, log, ("127.0.0.1", port))
    text = str(refused.value)
    assert text.startswith(f"127.0.0.1:{port} ")
    assert "Address already in use" in text
    assert "--port" in text
    # A second worker finds nothing of the first in its way.
    assert run_until_ready(state_dir, log, ("127.0.0.1", port)) == [f"http://127.0.0.1:{port}"]


def test_a_foreign_address_is_told(state_dir: Path, log: LogWriter) -> None:
    """An address that this machine does not have is named, with --host as the way out."""
    with pytest.raises(OSError, match=r"^192\.0\.2\.1:\d+ cannot .*--host"):
        run_until_ready(state_dir, log, ("192.0.2.1", 8000))


def test_a_state_directory_that_is_a_file_is_told(tmp_path: Path, log: LogWriter) -> None:
    """The error names the directory and the option that names another."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OSError, match="--state-dir") as refused:
        run_until_ready(path, log, ("127.0.0.1", 0))
    assert f"'{path}'" in str(refused.value)


def test_the_collector_is_quiet_while_it_serves(state_dir: Path, log: LogWriter) -> None:
    """What lives as long as the process is frozen by the time requests are served."""
    frozen = []

    def on_ready(urls: Sequence[str]) -> None:
        frozen.append(gc.get_freeze_count())
        os.kill(os.getpid(), signal.SIGTERM)

    install = InstallSettings(listen=(("127.0.0.1", 0),), state_dir=str(state_dir))
    run_worker(install, build_snapshot(), HASHER, log, on_ready)
    assert frozen[0] > 1000
