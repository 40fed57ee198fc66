"""What is noted of answers that pass in OpenAI's format."""

from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.providers.quirks import open_repair
from proxy.providers.thought_notes import NotedRepair
from proxy.wire.kept_reasoning import MOST_BYTES
from tests.wire.chunks import chunk


def note(*values: dict[str, Any]) -> list[KeptReasoning]:
    """Return what is kept after these events or answers, as they were repaired."""
    kept: list[KeptReasoning] = []
    inner = open_repair("regular")
    assert inner is not None
    repair = NotedRepair(inner, kept)
    for value in values:
        repair(value)
    repair.finish()
    return kept


def call(call_id: str | None = "a", index: int = 0) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    made = {"index": index, "id": call_id, "type": "function", "function": function}
    return {"tool_calls": [made]}


def test_a_stream_with_calls_is_noted() -> None:
    """Its thoughts are joined, whichever name they came under, and every call is named once."""
    kept = note(
        chunk({"role": "assistant", "reasoning_content": "I "}),
        chunk({"reasoning": "see"}),
        chunk(call("a")),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}),
        chunk(call("b", 1)),
        chunk({}, "tool_calls"),
    )
    (one,) = kept
    assert one.thoughts == (Thought("I see", "openai"),)
    assert (one.maker, one.call_ids) == ("openai", ("a", "b"))


def test_a_whole_answer_is_noted() -> None:
    """Of a message the same."""
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", **call()}
    value = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    assert note(value)[0].thoughts == (Thought("hm", "openai"),)


def test_details_are_kept_as_one_list() -> None:
    """OpenRouter's pieces are joined by their index."""
    pieces = [{"type": "reasoning.text", "text": "a", "index": 0}]
    more = [{"type": "reasoning.text", "text": "b", "index": 0}]
    kept = note(
        chunk({"reasoning_details": pieces}),
        chunk({"reasoning_details": more, **call()}, "tool_calls"),
    )
    details = Raw(b'[{"type":"reasoning.text","text":"ab","index":0}]')
    assert bytes(kept[0].thoughts[0].extra or b"") == bytes(details)


def test_it_is_known_where_nothing_was_thought() -> None:
    """A turn with calls alone is noted, so that nothing is missing of it later."""
    (one,) = note(chunk(call()), chunk({}, "tool_calls"))
    assert (one.thoughts, one.call_ids) == ((), ("a",))


@pytest.mark.parametrize(
    "values",
    [
        (chunk({"reasoning_content": "hm"}), chunk({"content": "x"}, "stop")),
        (chunk({"reasoning_content": "hm"}), chunk(call())),
        (chunk({"reasoning_content": "x" * (MOST_BYTES + 1)}), chunk(call(), "tool_calls")),
        (*(chunk(call(f"c{n}", n)) for n in range(30_000)), chunk({}, "tool_calls")),
        ({"choices": "none"},),
        ({"choices": [3, {"index": "x", "delta": 3}]},),
        (chunk({"reasoning_content": 3, "reasoning_details": 3, "tool_calls": [3]}, "stop"),),
    ],
    ids=["no call", "no end", "too long", "too many", "no list", "no choice", "odd members"],
)
def test_nothing_else_is_noted(values: tuple[dict[str, Any], ...]) -> None:
    """Without calls, without an end, or of no known shape: nothing, and no error."""
    assert note(*values) == []
