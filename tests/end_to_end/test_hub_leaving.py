"""Clients that leave a translated answer before its end."""

import asyncio
import time

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.end_to_end.asking import ASK
from tests.end_to_end.hub import FAULTS
from tests.end_to_end.served import LEAVE_PROMISE_S, PROMPT, SLACK, ServedProxy, ServedSimulator

pytestmark = pytest.mark.usefixtures("no_leaks")


async def check_work_has_ended(
    hub: ServedProxy, simulator: ServedSimulator, mark: int, left_at: float
) -> None:
    """Fail unless the provider was let go of at once and the log says who left."""
    [entry] = await simulator.read_ledger(ended=1)
    line = await asyncio.to_thread(hub.wait_for_request, mark, outcome="client_closed")
    assert entry["outcome"] == "client_closed"
    assert entry["ended_at"] - left_at <= LEAVE_PROMISE_S * SLACK
    assert line["level"] == "INFO"


async def test_leaving_chat_ends_the_providers_work(
    hub_sdk: AsyncOpenAI, hub: ServedProxy, simulator: ServedSimulator, maker: str
) -> None:
    """The provider's connection is closed within 100 ms, whatever format it speaks."""
    await simulator.clear_ledger()
    mark = hub.mark
    stream = await hub_sdk.chat.completions.create(
        model=f"{maker}/{FAULTS['endless']}", messages=ASK, stream=True
    )
    chunks = aiter(stream)
    for _ in range(3):
        await anext(chunks)
    left_at = time.time()
    await stream.close()
    await check_work_has_ended(hub, simulator, mark, left_at)


async def test_leaving_messages_ends_the_providers_work(
    claude_sdk: AsyncAnthropic, hub: ServedProxy, simulator: ServedSimulator, maker: str
) -> None:
    """The same for clients who speak Anthropic's format."""
    await simulator.clear_ledger()
    mark = hub.mark
    stream = await claude_sdk.messages.create(
        model=f"{maker}/{FAULTS['endless']}",
        max_tokens=2000,
        messages=[{"role": "user", "content": PROMPT}],
        stream=True,
    )
    events = aiter(stream)
    for _ in range(4):
        await anext(events)
    left_at = time.time()
    await stream.close()
    await check_work_has_ended(hub, simulator, mark, left_at)
