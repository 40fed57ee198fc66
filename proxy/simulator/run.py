"""Runs the HTTP simulator as a program, until it is told to stop; the command line calls it."""

import asyncio
import signal
import sys

import uvloop

from proxy.domain.secret import Secret
from proxy.simulator.knobs import NO_KNOBS, Knobs
from proxy.simulator.server import SimulatorOptions, open_simulator


def run_simulator(
    host: str, port: int, *, api_key: str | None = None, knobs: Knobs = NO_KNOBS
) -> None:
    """Serve until SIGINT or SIGTERM; OSError if the address cannot be listened on."""
    secret = Secret(api_key) if api_key else None
    uvloop.run(_serve(host, port, SimulatorOptions(secret, knobs)))


async def _serve(host: str, port: int, options: SimulatorOptions) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    simulator = await open_simulator(host, port, options)
    try:
        sys.stdout.write(f"Simulator on {simulator.url}/v1 (stop it with Ctrl-C)\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await simulator.close()
