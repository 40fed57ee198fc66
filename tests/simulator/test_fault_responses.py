"""Faults that only responses have."""

from proxy.simulator.fault_responses import RESPONSE_FAULTS
from tests.simulator.asking import chat_plan, status_of
from tests.simulator.responses import response_plan


def test_they_are_refused_elsewhere() -> None:
    """A chat completion has no status of its own."""
    for fault in RESPONSE_FAULTS:
        assert status_of(chat_plan(fault.model)) == 400
        assert response_plan(fault.model).fault == fault.name
