"""
Every fault that the simulator can play, in the formats of Anthropic, Gemini, Azure and Cohere.

What a client is told of a fault must not depend on the format that the provider speaks. Left out
are faults that never end: which clock ends them is the pipeline's business, not a format's.
"""

import json

import pytest

from proxy.simulator.fault_kind import Fault
from proxy.simulator.faults import FAULTS
from tests.providers.matrix import QUESTION, Asking, facing

WITHOUT_END = {
    *("u4-black-hole", "u6-headers-then-silence", "u8-stall-after-content", "u9-drip"),
    "u17-endless",
}
OWN_WORDS = {"u27-content-filter", "u27-bad-param"}
"""Refusals whose code is told in each vendor's own words, or not at all."""
UNASKED = {"u35-choice-open"}
"""It adds a choice that nobody has asked for."""
WORDS_ONLY = {"cohere": {"u19-error-in-200", "u19-error-first", "u20-error-later"}}
"""Errors without a status, from those whose errors have no code either: just an error."""
PLAYED = [
    fault
    for fault in FAULTS.values()
    if "http" in fault.faces and fault.name not in WITHOUT_END | UNASKED
]


async def find_ending(asking: Asking, fault: Fault) -> tuple[int, str | None]:
    """Return the status that a client sees, and the code of the error if there is one."""
    client = asking.client
    body = client.ask(f"{fault.model}@1mb", QUESTION)
    if fault.shape != "answer":
        body = client.stream(body)
    status, _, answer = await asking.ask(body)
    if status != 200:
        return status, _read_code(answer)
    is_whole = fault.shape == "answer" or b"[DONE]" in answer or b"message_stop" in answer
    return status, None if is_whole else _read_code(answer.rstrip().rsplit(b"\n", 1)[-1])


def _read_code(answer: bytes) -> str | None:
    error = json.loads(answer.removeprefix(b"data: "))["error"]
    found = error.get("code") or error.get("details", {}).get("error_code")
    return None if found is None else str(found)


@pytest.mark.parametrize("fault", PLAYED, ids=lambda fault: fault.name)
async def test_a_fault_is_the_same_in_every_format(fault: Fault) -> None:
    """Both kinds of clients are told what they would be told of a provider like OpenAI."""
    model = (f"{fault.model}@1mb",)
    async with facing("chat completions", "openai", model) as asking:
        wanted = await find_ending(asking, fault)
    for provider in ("anthropic", "gemini", "azure", "cohere", "ollama"):
        if fault.formats and provider not in fault.formats:
            continue
        for client in ("chat completions", "messages"):
            async with facing(client, provider, model) as asking:
                status, code = await find_ending(asking, fault)
            if fault.name in WORDS_ONLY.get(provider, ()):
                assert status in (200, 502) and code == "upstream_server_error"
            else:
                assert (status, wanted[1] if fault.name in OWN_WORDS else code) == wanted
