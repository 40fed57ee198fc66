"""Requests in Gemini's format: what is taken, and what is refused as the real one would."""

import base64
import json
from typing import Any

import pytest

from proxy.simulator.generator import build_plan
from proxy.simulator.plan import Plan
from tests.simulator.asking import NOW, answer_of, status_of
from tests.simulator.native import CITY, CONTENTS, DECLARED, PIXEL, gemini_plan

CALL: Any = {"functionCall": {"name": "now"}}
RESULT: Any = {"functionResponse": {"name": "now", "response": {"result": "noon"}}}


def said(model: str = "sim-echo", **fields: Any) -> Any:
    (candidate,) = answer_of(gemini_plan(model, **fields))["candidates"]
    return candidate["content"]["parts"]


def loop(call: dict[str, Any], *results: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *CONTENTS,
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": list(results)},
    ]


def test_both_ways_to_write_names_are_taken() -> None:
    """Camel case and snake case mean the same, but for the names of a client's own."""
    asked: dict[str, Any] = {
        "system_instruction": {"parts": [{"text": "be kind"}]},
        "generation_config": {"max_output_tokens": 2},
        "tools": [{"function_declarations": [{"name": "f_g", "parameters": {"type": "OBJECT"}}]}],
    }
    assert said(**asked) == [{"text": "Is it"}]


def test_a_tool_loop_ends_in_a_text() -> None:
    """A result that follows its call is read, and answered with words."""
    (part,) = said("sim-tools", contents=loop(CALL, RESULT), tools=DECLARED)
    assert part["text"] == "The tool answered: noon"


def test_a_picture_in_a_result_is_seen() -> None:
    """What a tool has drawn stands within its result."""
    picture = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
    result = {"functionResponse": {**RESULT["functionResponse"], "parts": [picture]}}
    (part,) = said("sim-look", contents=loop(CALL, result), tools=DECLARED)
    assert part["text"].startswith("I see: image/png of ")


def test_signatures_must_come_back() -> None:
    """A call that was thought about needs its signature, or the value that stands for one."""
    model = "sim-tools@3thoughts"
    _, call = said(model, tools=DECLARED)
    bypass = base64.b64encode(b"skip_thought_signature_validator").decode()
    for signature, status in (
        (call["thoughtSignature"], 200),
        (bypass, 200),
        (base64.b64encode(b"foreign").decode(), 400),
        (None, 400),
    ):
        part = {**CALL} if signature is None else {**CALL, "thoughtSignature": signature}
        plan = gemini_plan(model, contents=loop(part, RESULT), tools=DECLARED)
        assert status_of(plan) == status


def test_pictures_are_seen() -> None:
    """`sim-look` says what was shown to it: by bytes and by address."""
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"fileData": {"fileUri": "gs://a/b.png"}},
    ]
    (part,) = said("sim-look", contents=[{"role": "user", "parts": parts}])
    assert part["text"] == "I see: image/png of 8 bytes, gs://a/b.png."


@pytest.mark.parametrize("name", ["responseSchema", "responseJsonSchema"])
def test_the_schema_is_kept_to(name: str) -> None:
    """With a schema, of either kind, the answer is JSON that fits it."""
    kind = "STRING" if name == "responseSchema" else "string"
    schema = {"type": "object", "properties": {"a": {"type": kind}}, "required": ["a"]}
    config = {"responseMimeType": "application/json", name: schema}
    (part,) = said(generationConfig=config)
    assert list(json.loads(part["text"])) == ["a"]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"mode": "ANY"}, "now"),
        ({"mode": "ANY", "allowedFunctionNames": ["weather"]}, "weather"),
        ({"mode": "NONE"}, None),
        ({"mode": "AUTO"}, "now"),
    ],
)
def test_the_tool_choice_is_kept_to(config: dict[str, Any], name: str | None) -> None:
    """Tools are called as the mode says."""
    parts = said("sim-tools", tools=DECLARED, toolConfig={"functionCallingConfig": config})
    called = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    assert called == [name] * (name is not None)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"contents": []},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"role": "user", "parts": [{}]}]},
        {"contents": loop(CALL)},
        {"contents": loop(CALL, {"text": "no result"})},
        {"contents": loop(CALL, RESULT, RESULT)},
        {"contents": loop(CALL, RESULT)[:2]},
        {"generationConfig": {"stopSequences": ["a"] * 6}},
        {"generationConfig": {"max_tokens": 5}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}},
        {"generationConfig": {"responseSchema": CITY}},
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "parameters": {**CITY, "additionalProperties": False}}
                    ]
                }
            ]
        },
        {"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["now"]}}},
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any]) -> None:
    """What the real one refuses is an INVALID_ARGUMENT."""
    plan = gemini_plan("sim-echo", **fields)
    assert (status_of(plan), answer_of(plan)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_prompts_are_counted() -> None:
    """`countTokens` counts contents, or those of a whole request."""
    counted = answer_of(gemini_plan("sim-echo", "countTokens"))
    assert counted == {"totalTokens": 6}
    plan = gemini_plan(
        "sim-echo",
        "countTokens",
        contents=None,
        generateContentRequest={"contents": CONTENTS, "model": "models/sim-echo"},
    )
    assert answer_of(plan) == counted


def test_texts_become_vectors() -> None:
    """`batchEmbedContents` gives one vector for each request, as long as it was asked for."""
    requests = [
        {
            "model": "models/sim-embed",
            "content": {"parts": [{"text": text}]},
            "outputDimensionality": 8,
        }
        for text in ("one", "two")
    ]
    path = "batchEmbedContents"
    plan = gemini_plan("sim-embed", path, contents=None, requests=requests)
    assert status_of(plan) == 400
    plan = _embed(requests)
    vectors = answer_of(plan)["embeddings"]
    assert [len(vector["values"]) for vector in vectors] == [8, 8]
    requests[0]["model"] = "models/other"
    assert status_of(_embed(requests)) == 400


def _embed(requests: list[dict[str, Any]]) -> Plan:
    body = json.dumps({"requests": requests}).encode()
    path = "/v1beta/models/sim-embed:batchEmbedContents"
    return build_plan("POST", path, body, created_at=NOW, face="http")
