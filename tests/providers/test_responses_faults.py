"""
Every fault that the simulator can play, where client and provider speak the Responses API.

What a client is told of it must be what a client of chat completions is told.
"""

import json

import pytest

from proxy.simulator.fault_kind import Fault
from tests.providers.matrix import QUESTION, Asking, facing
from tests.providers.test_hub_faults import OWN_WORDS, PLAYED, find_ending

CHOICES_ONLY = frozenset(("u10-no-done", "u10-done-only"))
"""There is no `[DONE]` here: the last event is the end, or there is none."""
ENDS = (b"response.completed", b"response.incomplete")


async def find_response_ending(asking: Asking, fault: Fault) -> tuple[int, str | None]:
    """Return the status that a client sees, and the code of the error if there is one."""
    body = asking.client.ask(f"{fault.model}@1mb", QUESTION)
    if fault.shape != "answer":
        body = asking.client.stream(body)
    status, _, answer = await asking.ask(body)
    if status != 200:
        return status, json.loads(answer)["error"]["code"]
    if fault.shape == "answer":
        return status, None
    *_, before, last = answer.strip().split(b"\n\n")
    name = last.partition(b"\n")[0].removeprefix(b"event: ")
    if name in ENDS:
        return status, None
    assert name == b"response.failed"
    code: str = json.loads(before.partition(b"data: ")[2])["code"]
    return status, code


@pytest.mark.parametrize(
    "fault",
    [each for each in PLAYED if not each.formats and each.name not in CHOICES_ONLY],
    ids=lambda fault: fault.name,
)
async def test_a_fault_is_told_as_in_chat_completions(fault: Fault) -> None:
    """Before content by a status, after it by the last two events."""
    model = (f"{fault.model}@1mb",)
    async with facing("chat completions", "openai", model) as asking:
        wanted = await find_ending(asking, fault)
    async with facing("responses", "openai", model) as asking:
        status, code = await find_response_ending(asking, fault)
    assert (status, wanted[1] if fault.name in OWN_WORDS else code) == wanted


async def test_a_response_that_failed_is_an_error() -> None:
    """Its status is 200, but nothing of it has been shown."""
    model = "sim-fault-u19-failed"
    async with facing("responses", "openai", (model,)) as asking:
        for body in (
            asking.client.ask(model, "Hi"),
            asking.client.stream({"model": model, "input": "Hi"}),
        ):
            status, _, answer = await asking.ask(body)
            assert status == 502
            assert json.loads(answer)["error"]["code"] == "upstream_server_error"
