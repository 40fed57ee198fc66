"""Answers in Ollama's format: lines, whole answers, vectors, lists and errors."""

import json
from typing import Any

import pytest

from proxy.simulator.generator import build_plan
from proxy.simulator.plan import Head, Plan
from tests.simulator.asking import NOW, answer_of, body_of, status_of
from tests.simulator.native import COHERES, USER

NOTHING: dict[str, Any] = {"model": "sim-echo", "message": {"role": "assistant", "content": ""}}


def ask(model: str, path: str = "/api/chat", method: str = "POST", **fields: Any) -> Plan:
    body = json.dumps({"model": model, **fields}).encode()
    return build_plan(method, path, body, created_at=NOW, face="http")


def lines_of(plan: Plan) -> list[Any]:
    body = body_of(plan)
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def test_a_stream_is_lines_and_the_last_one_counts() -> None:
    """Each token is a line, thoughts in a field of their own; times and counts stand at the end."""
    plan = ask("sim-echo@2thoughts", messages=USER)
    (head,) = [step for step in plan.steps if isinstance(step, Head)]
    assert dict(head.headers)["content-type"] == "application/x-ndjson"
    *said, last = lines_of(plan)
    assert "".join(line["message"]["content"] for line in said) == USER[0]["content"]
    assert "".join(line["message"].get("thinking", "") for line in said) == " Let me"
    assert not any(line["done"] for line in said)
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (6, 8)
    assert last["total_duration"] >= last["eval_duration"] > 0


def test_calls_come_whole() -> None:
    """All of a turn in one line, their arguments as objects."""
    lines = lines_of(ask("sim-tools@2calls", messages=USER, tools=COHERES))
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    assert [call["function"] for call in calls] == [
        {"name": "now", "arguments": {}},
        {"name": "weather", "arguments": {"city": "Lisbon"}},
    ]
    whole = answer_of(ask("sim-tools@2calls", messages=USER, tools=COHERES, stream=False))
    made = [call["function"] for call in whole["message"]["tool_calls"]]
    assert made == [call["function"] for call in calls]


def test_generated_text_stands_in_response() -> None:
    """Whole and as a stream."""
    whole = answer_of(ask("sim-echo", "/api/generate", prompt="a b", stream=False))
    assert (whole["response"], whole["done"], whole["eval_count"]) == ("a b", True, 2)
    lines = lines_of(ask("sim-echo", "/api/generate", prompt="a b"))
    assert "".join(line["response"] for line in lines) == "a b"


def test_a_limit_is_its_reason() -> None:
    """`num_predict` ends an answer with `length`."""
    plan = ask("sim-echo", messages=USER, options={"num_predict": 1}, stream=False)
    assert answer_of(plan)["done_reason"] == "length"


def test_vectors_lists_and_what_it_is() -> None:
    """What else clients ask of such a server."""
    vectors = answer_of(ask("sim-embed", "/api/embed", input=["a", "b"], dimensions=2))
    assert [len(vector) for vector in vectors["embeddings"]] == [2, 2]
    assert vectors["prompt_eval_count"] == 2
    names = [each["name"] for each in answer_of(ask("", "/api/tags", "GET"))["models"]]
    assert "sim-echo" in names
    assert answer_of(ask("", "/api/version", "GET"))["version"]
    assert "tools" in answer_of(ask("sim-echo", "/api/show"))["capabilities"]
    assert status_of(ask("nobody", "/api/show")) == 404


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("sim-nobody", 404, "does not exist"),
        ("sim-fault-u23-503", 503, ""),
        ("sim-fault-u27-context-length", 400, "the input length exceeds the context length"),
        ("sim-fault-u25-401", 401, "unauthorized"),
    ],
)
def test_an_error_is_a_text(model: str, status: int, words: str) -> None:
    """The status and a few words are all there is."""
    plan = ask(model, messages=USER)
    assert status_of(plan) == status
    assert words in answer_of(plan)["error"]


def test_an_error_in_a_stream_is_a_line() -> None:
    """Behind what was said before it."""
    *said, last = lines_of(ask("sim-fault-u20-error-later", messages=USER))
    assert said
    assert last["error"].startswith("server busy")
