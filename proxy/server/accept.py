"""
What both kinds of client connections share: how they begin, and how long they may wait.

They are `lean_connection.py` and `connection.py`.
"""

import asyncio

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay

from proxy.domain.errors import RequestTimeout
from proxy.pipeline.context import Runtime, build_request_id
from proxy.server.connection_counts import Admission, ConnectionCounts
from proxy.server.refusal import build_refusal
from proxy.server.tcp_state import hold_little, reset

HIGH_WATER_BYTES = 4096
"""Above this a writer is paused. One read from a provider may come on top, which is up to
256,000 bytes: so a client that reads nothing costs less than 256 KiB."""
KERNEL_BYTES = 128 * 1024
"""What the kernel may hold besides that it cannot send yet."""
IDLE_CONNECTION_S = 75.0
FAREWELL_S = 2.0
"""How long what a refused client still sends is dropped. Closing on unread bytes would reset
the connection, and take away the answer that says what was wrong."""


def accept(
    transport: asyncio.Transport, runtime: Runtime, counts: ConnectionCounts
) -> Admission | None:
    """Count a new connection and limit what it holds; reset it and return None: too many."""
    peer = transport.get_extra_info("peername")
    admission = counts.admit(peer[0] if peer else "", runtime.snapshot.settings)
    if admission is None:
        runtime.observer.connection_failed("connection_rejected")
        reset(transport)
        return None
    tcp_keepalive(transport)
    tcp_nodelay(transport, True)
    transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
    hold_little(transport, KERNEL_BYTES)
    return admission


def end_late_head(transport: asyncio.Transport, runtime: Runtime) -> None:
    """Tell a client that its head comes too late, and count it; nobody has asked for anything."""
    runtime.observer.connection_failed("head_timeout")
    transport.write(build_refusal(RequestTimeout(), build_request_id()))
