"""How the simulator's tests ask in the formats of Anthropic, Gemini, Azure and Cohere."""

import json
from typing import Any

from proxy.simulator.generator import build_plan
from proxy.simulator.plan import Plan
from tests.simulator.asking import NOW, body_of

VERSION = {"anthropic-version": "2023-06-01"}
CITY: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
NONE: Any = {"type": "object", "properties": {}}
USER = [{"role": "user", "content": "Is it sunny in Lisbon?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Is it sunny in Lisbon?"}]}]
TOOLS = [{"name": "now", "input_schema": NONE}, {"name": "weather", "input_schema": CITY}]
DECLARED = [
    {
        "functionDeclarations": [
            {"name": "now"},
            {"name": "weather", "parametersJsonSchema": CITY},
        ]
    }
]
COHERES: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "now", "parameters": NONE}},
    {"type": "function", "function": {"name": "weather", "parameters": CITY}},
]
PIXEL = "iVBORw0KGgo="


def messages_plan(model: str, path: str = "/v1/messages", **fields: Any) -> Plan:
    """Return the plan for a request in Anthropic's format."""
    body = {"model": model, "max_tokens": 1000, "messages": USER, **fields}
    return build_plan(
        "POST", path, json.dumps(body).encode(), created_at=NOW, face="http", headers=VERSION
    )


def gemini_plan(
    model: str, method: str = "generateContent", query: str = "alt=sse", **fields: Any
) -> Plan:
    """Return the plan for a request in Gemini's format."""
    body = {"contents": CONTENTS, **fields}
    path = f"/v1beta/models/{model}:{method}"
    return build_plan(
        "POST", f"{path}?{query}", json.dumps(body).encode(), created_at=NOW, face="http"
    )


def gemini_stream(model: str, **fields: Any) -> Plan:
    """Return the plan for a stream in Gemini's format."""
    return gemini_plan(model, "streamGenerateContent", **fields)


def cohere_plan(model: str, **fields: Any) -> Plan:
    """Return the plan for a chat in Cohere's format."""
    body = json.dumps({"model": model, "messages": USER, **fields}).encode()
    return build_plan("POST", "/v2/chat", body, created_at=NOW, face="http")


def events_of(plan: Plan) -> list[Any]:
    """Return the JSON of every event, of which each is named by its type where it is named."""
    events = []
    for frame in body_of(plan).split(b"\n\n")[:-1]:
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
        events.append(json.loads(fields[b"data"]))
        if b"event" in fields:
            assert fields[b"event"].decode() == events[-1]["type"]
    return events
