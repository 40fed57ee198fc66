"""A worker: serves one snapshot on its sockets until it is told to stop."""

import asyncio
import gc
import signal
from collections.abc import Callable

import uvloop
from aiohttp import web

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings
from proxy.server.app import build_runner
from proxy.telemetry.log_writer import LogWriter
from proxy.wiring import open_service

BACKLOG = 4096
DRAIN_S = 30.0
"""How long open requests may go on after the signal to stop."""


def run_worker(
    install: InstallSettings,
    snapshot: Snapshot,
    hasher: KeyHasher,
    log: LogWriter,
    on_ready: Callable[[], None],
) -> None:
    """
    Serve until SIGTERM or SIGINT; a second signal stops at once.

    Args:
        install: where to listen and to keep state.
        snapshot: what is served.
        hasher: the one that the snapshot's callers were made with.
        log: where request lines go; stays the caller's to close.
        on_ready: called when the sockets accept connections.

    Raises:
        OSError: an address cannot be listened on, or the state directory not be written.
    """
    uvloop.run(_serve(install, snapshot, hasher, log, on_ready))


async def _serve(
    install: InstallSettings,
    snapshot: Snapshot,
    hasher: KeyHasher,
    log: LogWriter,
    on_ready: Callable[[], None],
) -> None:
    service = await open_service(install, snapshot, hasher, log)
    runner = build_runner(service.app, DRAIN_S)
    try:
        await runner.setup()
        for host, port in install.listen:
            await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        _quieten_collector()
        stop = _stop_event()
        on_ready()
        await stop.wait()
    finally:
        await runner.cleanup()
        await service.close()


def _stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; the second signal ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take_signal() -> None:
        if stop.is_set():
            raise SystemExit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, take_signal)
    return stop


def _quieten_collector() -> None:
    """Keep the garbage collector from walking what will live as long as the process does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
