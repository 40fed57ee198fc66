"""
The in-process simulator and the real transport over HTTP report faults alike.

So what is tested against the one holds for the other.
"""

import asyncio

import pytest

from proxy.domain.errors import ProxyError
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.simulator.fault_kind import Fault
from proxy.simulator.faults import FAULTS
from proxy.simulator.server import RunningSimulator
from proxy.simulator.transport import SimulatorTransport
from proxy.upstream.base import Transport
from proxy.upstream.factory import open_transport
from tests.fakes.proxy_server import build_provider
from tests.simulator.asking import WEATHER, chat_body
from tests.simulator.recording import RecordingSink

pytestmark = pytest.mark.usefixtures("no_leaks")
BOTH = [fault for fault in FAULTS.values() if len(fault.faces) == 2]
WITHOUT_END = {"u6-headers-then-silence", "u8-stall-after-content", "u9-drip", "u17-endless"}


async def _observe(transport: Transport, url: str, fault: Fault) -> tuple[object, ...]:
    """Return what a caller sees of a fault: status or error, ending, and length of the body."""
    request = OutboundRequest(
        provider="sim",
        method="POST",
        url=url,
        headers={"Content-Type": "application/json"},
        body=chat_body(
            fault.model, stream=fault.shape != "answer", tools=[WEATHER], metadata=_SMALL
        ),
        streams=True,
        clocks=Clocks(headers_s=0.5),
    )
    sink = RecordingSink()
    try:
        opened = await transport.open(request, sink)
    except ProxyError as error:
        return type(error), error.code
    opened.resume()
    if fault.name in WITHOUT_END:
        events = 0 if fault.name.startswith("u6") else 3
        await sink.wait_events(events)
        opened.close()
        lengths = [len(event) for event in sink.body.split(b"\n\n")[:events]]
        return opened.head.status, sink.endings, lengths
    await asyncio.wait_for(sink.finished.wait(), 10)
    head = (opened.head.status, opened.head.media_type, opened.head.headers.get("retry-after"))
    return *head, opened.head.headers.get("location"), type(sink.error), len(sink.body)


_SMALL = {"sim": {"size_mb": 1, "gap_ms": 1}}


@pytest.mark.parametrize("fault", BOTH, ids=lambda fault: fault.name)
async def test_faces_agree(simulator: RunningSimulator, fault: Fault) -> None:
    """Status, headers that count, ending and body are the same on both faces."""
    inside = SimulatorTransport()
    outside = open_transport(build_provider(simulator.url))
    try:
        seen_inside = await _observe(inside, "simulator:/chat/completions", fault)
        url = f"{simulator.url}/v1/chat/completions"
        seen_outside = await _observe(outside, url, fault)
    finally:
        await inside.close()
        await outside.close()
    if fault.name == "u21-429-date":
        seen_inside = seen_inside[:2] + seen_inside[3:]
        seen_outside = seen_outside[:2] + seen_outside[3:]
    assert seen_outside == seen_inside
