"""The table of faults is complete, playable, and the one that the documentation shows."""

from pathlib import Path

import pytest

from proxy.simulator.fault_kind import Fault
from proxy.simulator.faults import FAULTS, build_fault_table, find_fault
from tests.simulator.asking import WEATHER, answer_of, chat_body, chat_plan, plan_of, status_of
from tests.simulator.native import (
    COHERES,
    DECLARED,
    TOOLS,
    cohere_plan,
    gemini_plan,
    messages_plan,
)
from tests.simulator.responses import FUNCTIONS, response_plan

DOCS = Path(__file__).parents[2] / "docs" / "simulator.md"
ROWS = {1, *range(3, 28), *range(30, 36), 40} - {2, 28, 29}


def has_place(fault: Fault) -> bool:
    """Return whether OpenAI's chats have what a fault spoils."""
    return not fault.formats or "openai" in fault.formats


def test_documentation_shows_the_table() -> None:
    """docs/simulator.md holds the table exactly as the code writes it."""
    assert build_fault_table() in DOCS.read_text()


def test_every_row_has_a_fault() -> None:
    """Each row of the catalogue that a name can choose is there, named after its row."""
    assert {int(fault.row[1:]) for fault in FAULTS.values() if fault.row != "-"} == ROWS
    for fault in FAULTS.values():
        prefix = "quirk" if fault.row == "-" else fault.row.lower()
        assert fault.name.startswith(f"{prefix}-")


def test_names_are_found_with_and_without_prefix() -> None:
    """A fault is found by its own name and by its model's name."""
    fault = FAULTS["u24-500"]
    assert find_fault("u24-500") is fault
    assert find_fault("sim-fault-u24-500") is fault
    assert find_fault("u99-flood") is None


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("stream", [True, False])
def test_faults_are_played_where_their_row_says(fault: Fault, stream: bool) -> None:
    """A fault is played where it has its place; elsewhere a 400 says why not."""
    body = chat_body(fault.model, stream=stream, tools=[WEATHER])
    fits = fault.shape in ("any", "stream" if stream else "answer")
    for face in ("in-process", "http"):
        plan = plan_of(body, face=face)
        assert (plan.fault == fault.name) == (fits and face in fault.faces and has_place(fault))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_can_be_chosen_for_any_model(fault: Fault) -> None:
    """`metadata.sim.fault` spoils the answer of a model that is good otherwise."""
    plan = chat_plan(
        "sim-tools",
        stream=fault.shape != "answer",
        tools=[WEATHER],
        metadata={"sim": {"fault": fault.name, "size_mb": 1}},
    )
    assert plan.fault == (fault.name if "http" in fault.faces and has_place(fault) else None)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_are_played_in_every_format_that_has_their_place(fault: Fault) -> None:
    """Formats of other vendors play the same faults, or say in which formats they are."""
    streams = fault.shape != "answer"
    method = "streamGenerateContent" if streams else "generateContent"
    plans = {
        "anthropic": messages_plan(fault.model, stream=streams, tools=TOOLS),
        "gemini": gemini_plan(fault.model, method, tools=DECLARED),
        "cohere": cohere_plan(fault.model, stream=streams, tools=COHERES),
        "responses": response_plan(fault.model, stream=streams, tools=FUNCTIONS),
    }
    for name, plan in plans.items():
        if "http" not in fault.faces or (fault.formats and name not in fault.formats):
            assert status_of(plan) == 400
            answer = answer_of(plan)
            assert fault.name in answer.get("error", answer)["message"]
        else:
            assert plan.fault == fault.name
