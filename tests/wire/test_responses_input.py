"""Tests of `proxy/wire/responses_input.py`."""

import json
from typing import Any

from msgspec import Raw
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from proxy.wire.responses_input import build_input_items
from tests.wire.responses_client import build_ask

_ITEMS: TypeAdapter[list[ResponseItem]] = TypeAdapter(list[ResponseItem])


def build(value: Any, *history: Any) -> list[dict[str, Any]]:
    ask = build_ask(input=value)
    ask.history = tuple(Raw(json.dumps(item).encode()) for item in history)
    body = build_input_items(ask)
    _ITEMS.validate_json(body)
    items: list[dict[str, Any]] = json.loads(body)
    return items


def test_a_text_becomes_the_message_that_it_stands_for() -> None:
    """With an id, as each item has one."""
    [item] = build("hi \u2013 there")
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hi \u2013 there"}],
    }


def test_items_get_what_they_lack() -> None:
    """What they have is kept as it came."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    thought = {"type": "reasoning", "summary": []}
    items = build(
        [
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": [{"type": "input_text", "text": "b"}], "id": "msg_own"},
            call,
            output,
            thought,
        ]
    )
    assert [item["id"].partition("_")[0] for item in items] == ["msg", "msg", "fc", "fco", "rs"]
    assert items[1]["id"] == "msg_own"
    said = {"type": "output_text", "text": "a", "annotations": []}
    assert items[0]["content"] == [said]
    assert {name: items[2][name] for name in call} == call


def test_what_led_to_it_before_comes_first() -> None:
    """Its ids are kept: clients may know them."""
    earlier = {
        "type": "message",
        "id": "msg_1",
        "role": "user",
        "content": [],
        "status": "completed",
    }
    items = build("now", earlier)
    assert items[0] == earlier
    assert items[1]["content"][0]["text"] == "now"
    ask = build_ask(input=None)
    assert build_input_items(ask) == b"[]"
    ask.fields.pop("input")
    assert build_input_items(ask) == b"[]"
