"""A worker: serves one snapshot on its sockets until it is told to stop."""

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvloop
from aiohttp import web

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.server.app import build_runner
from proxy.server.runner import ServerRunner
from proxy.telemetry.log_writer import LogWriter
from proxy.wiring import Service, open_service

BACKLOG = 4096
DRAIN_S = 30.0
"""How long open requests may go on after the signal to stop."""


def run_worker(
    install: InstallSettings,
    snapshot: Snapshot,
    hasher: KeyHasher,
    log: LogWriter,
    on_ready: Callable[[Sequence[str]], None],
) -> None:
    """
    Serve until SIGTERM or SIGINT, then let open requests end; a second signal cuts them.

    Args:
        install: where to listen, and where state is kept.
        snapshot: what is served.
        hasher: the one that the snapshot's callers were made with.
        log: where request lines go; stays the caller's to close.
        on_ready: called with the URLs of the sockets when they accept connections.

    Raises:
        OSError: an address cannot be listened on, or the state directory not be written; its
            text says how to mend that.
        SystemExit: with status 1, after a second signal.
    """
    _allow_files()
    uvloop.run(_serve(install, snapshot, hasher, log, on_ready))


async def _serve(
    install: InstallSettings,
    snapshot: Snapshot,
    hasher: KeyHasher,
    log: LogWriter,
    on_ready: Callable[[Sequence[str]], None],
) -> None:
    service = await _open_service(install, snapshot, hasher, log)
    runner = build_runner(service.app, DRAIN_S)
    signals = _Signals(runner)
    try:
        await runner.setup()
        for host, port in install.listen:
            await _listen(runner, host, port)
        _quieten_collector()
        on_ready([_build_url(address) for address in runner.addresses])
        await signals.stop.wait()
    finally:
        await runner.cleanup()
        await service.close()
    if signals.is_hurried:
        raise SystemExit(1)


class _Signals:
    """The first SIGTERM or SIGINT sets `stop`, the next one cuts the requests still open."""

    def __init__(self, runner: ServerRunner) -> None:
        self.stop = asyncio.Event()
        self.is_hurried = False
        self._runner = runner
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take)

    def _take(self) -> None:
        if self.stop.is_set():
            self.is_hurried = True
            self._runner.cut()
        self.stop.set()


async def _open_service(
    install: InstallSettings, snapshot: Snapshot, hasher: KeyHasher, log: LogWriter
) -> Service:
    try:
        return await open_service(install, snapshot, hasher, log)
    except OSError as error:
        raise OSError(
            f"the state directory '{install.state_dir}' cannot be used: {error.strerror}. "
            "Mend its rights, or name another one with --state-dir."
        ) from error


async def _listen(runner: ServerRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError as error:
        # The loop's own text repeats the address; names that do not resolve have no errno.
        is_system = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno or 0) if is_system else error.strerror
        raise OSError(
            f"{host}:{port} cannot be listened on: {reason}. Stop what uses it, or choose "
            "another address with --host and --port."
        ) from error


def _build_url(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_files() -> None:
    """Have as many open files as the system lets this process have: it often begins with 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Systems that refuse this leave what there is, and `find_room` in server/runner.py keeps to it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _quieten_collector() -> None:
    """Keep the garbage collector from walking what will live as long as the process does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
