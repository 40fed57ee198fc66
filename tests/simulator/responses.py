"""How the simulator's tests ask for responses."""

import json
from typing import Any

from proxy.simulator.generator import build_plan
from proxy.simulator.plan import Plan
from proxy.simulator.response_memory import ResponseMemory
from tests.simulator.asking import NOW, body_of
from tests.simulator.native import CITY, NONE

INPUT = "Is it sunny in Lisbon?"
FUNCTIONS: list[dict[str, Any]] = [
    {"type": "function", "name": "now", "parameters": NONE, "strict": True},
    {"type": "function", "name": "weather", "parameters": CITY},
]


def response_plan(
    model: str,
    said: Any = INPUT,
    *,
    memory: ResponseMemory | None = None,
    path: str = "/v1/responses",
    **fields: Any,
) -> Plan:
    """Return the plan for a response."""
    body = {"model": model, "input": said, **fields}
    return build_plan(
        "POST", path, json.dumps(body).encode(), created_at=NOW, face="http", memory=memory
    )


def look_plan(method: str, rest: str, memory: ResponseMemory) -> Plan:
    """Return the plan for a question about an earlier response."""
    target = f"/v1/responses/{rest}"
    return build_plan(method, target, b"", created_at=NOW, face="http", memory=memory)


def read_answer(plan: Plan) -> dict[str, Any]:
    """Return the plan's body as JSON."""
    answer: dict[str, Any] = json.loads(body_of(plan))
    return answer
