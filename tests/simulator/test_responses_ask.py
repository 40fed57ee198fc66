"""Requests to the Responses API: what they ask, and what is wrong with them."""

from typing import Any

import pytest

from proxy.simulator.response_memory import ResponseMemory
from proxy.simulator.sealed_thought import seal_thought
from tests.simulator.asking import status_of
from tests.simulator.native import PIXEL
from tests.simulator.responses import FUNCTIONS, read_answer, response_plan

CALL = {"type": "function_call", "call_id": "c", "name": "now", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "noon"}


def said(plan: Any) -> str:
    """Return the text of a response."""
    text: str = read_answer(plan)["output"][-1]["content"][0]["text"]
    return text


def test_messages_of_every_form_are_read() -> None:
    """A text alone, a text in a message, parts, and what the assistant has said before."""
    for form in (
        "Hi",
        [{"role": "user", "content": "Hi"}],
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        [
            {"role": "developer", "content": "Be brief"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}]},
            {"role": "user", "content": "Hi"},
        ],
    ):
        assert said(response_plan("sim-echo", form)) == "Hi"


def test_pictures_and_documents_are_seen() -> None:
    """By their addresses, which are plain strings here, or in a `data:` URL."""
    parts = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
    ]
    text = said(response_plan("sim-look", [{"role": "user", "content": parts}]))
    assert text == "I see: image/png of 8 bytes, https://a.example/b.pdf."


def test_calls_and_their_results_are_read() -> None:
    """The result's text is what the model goes on from."""
    question = {"role": "user", "content": "What time is it?"}
    plan = response_plan("sim-tools", [question, CALL, RESULT], tools=FUNCTIONS)
    assert said(plan) == "The tool answered: noon"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"type": "function", "name": "weather"}, "weather"),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "weather"}],
            },
            "weather",
        ),
        ("required", "now"),
    ],
    ids=["one", "allowed", "any"],
)
def test_a_choice_of_tools_is_flat(choice: Any, name: str) -> None:
    """Names stand in it, not below it."""
    plan = response_plan("sim-echo", tools=FUNCTIONS, tool_choice=choice)
    assert read_answer(plan)["output"][0]["name"] == name


def test_the_answer_can_be_bound_to_a_schema() -> None:
    """Which stands in `text.format`."""
    schema = {"type": "object", "properties": {"a": {"const": 7}}, "required": ["a"]}
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    assert said(response_plan("sim-echo", text=wanted)) == '{"a":7}'


def test_thoughts_come_back_sealed_or_by_their_ids() -> None:
    """As they were handed out, or as they are kept here; nothing else is believed."""
    memory = ResponseMemory()
    asked: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}
    thought = read_answer(response_plan("sim-echo@2thoughts", memory=memory, **asked))["output"][0]
    question = {"role": "user", "content": "And?"}
    for item in (thought, {**thought, "encrypted_content": None}):
        assert said(response_plan("sim-echo", [item, question], memory=memory)) == "And?"
    sealed = {**thought, "id": "rs_unknown"}
    assert said(response_plan("sim-echo", [sealed, question])) == "And?"
    for item, status, code in (
        ({**sealed, "encrypted_content": "lp1.gemini.x"}, 400, "invalid_encrypted_content"),
        (
            {**sealed, "encrypted_content": seal_thought("a")[:-4] + "AAAA"},
            400,
            "invalid_encrypted_content",
        ),
        ({**sealed, "encrypted_content": None}, 404, "response_not_found"),
    ):
        plan = response_plan("sim-echo", [item, question], memory=memory)
        assert (status_of(plan), read_answer(plan)["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"fallbacks": ["m"]}, None),
        ({"messages": []}, None),
        ({"background": True}, "background"),
        ({"said": None}, None),
        ({"said": []}, "input"),
        ({"said": [{"type": "new_thing"}]}, "input"),
        ({"said": [{"role": "user"}]}, "input"),
        ({"said": [{"role": "robot", "content": "Hi"}]}, "input"),
        ({"said": [CALL]}, "input"),
        ({"said": [{"role": "user", "content": "Hi"}, RESULT]}, "input"),
        ({"said": [{"type": "function_call", "call_id": "c"}]}, "input"),
        ({"said": [{"role": "user", "content": [{"type": "image_url"}]}]}, "input"),
        ({"said": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input"),
        ({"said": [{"type": "item_reference", "id": "msg_x"}]}, "input"),
        ({"tools": [{"type": "function", "function": {"name": "nested"}}]}, "tools"),
        ({"tools": [{"type": "new_tool"}]}, "tools"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"previous_response_id": "resp_x"}, "previous_response_id"),
        ({"previous_response_id": "resp_x", "conversation": "c"}, "previous_response_id"),
        ({"temperature": 3}, "temperature"),
    ],
    ids=range(20),
)
def test_what_is_wrong_is_refused(fields: dict[str, Any], param: str | None) -> None:
    """As strictly as the real one, where that shows mistakes of who asks."""
    plan = response_plan("sim-echo", **fields)
    assert status_of(plan) in (400, 404)
    assert read_answer(plan)["error"]["param"] == param


def test_the_same_is_read_where_tokens_are_counted() -> None:
    """Earlier items and tools count as well."""
    memory = ResponseMemory()
    first = read_answer(response_plan("sim-echo", "one", memory=memory))

    def count(**fields: Any) -> int:
        plan = response_plan(
            "sim-echo", "two", path="/responses/input_tokens", memory=memory, **fields
        )
        found: int = read_answer(plan)["input_tokens"]
        return found

    assert count() == 1
    assert count(previous_response_id=first["id"]) == 3
    assert count(tools=FUNCTIONS[:1]) > 1
