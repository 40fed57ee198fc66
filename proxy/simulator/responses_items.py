"""The items that a response consists of, as OpenAI writes them when they are complete."""

from collections.abc import Mapping
from typing import Any

from proxy.simulator.response_memory import Item


def build_message(answer: Mapping[str, Any], text: str, *, is_refusal: bool) -> Item:
    """Return the item of what was said."""
    part: Item = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    if is_refusal:
        part = {"type": "refusal", "refusal": text}
    return {
        "id": name_part("msg", answer),
        "type": "message",
        "status": "completed",
        "content": [part],
        "role": "assistant",
    }


def build_call(
    answer: Mapping[str, Any], number: int, call_id: str, function: Mapping[str, Any]
) -> Item:
    """Return the item of a call."""
    return {
        "id": f"{name_part('fc', answer)}{number:02}",
        "type": "function_call",
        "status": "completed",
        "arguments": function["arguments"],
        "call_id": call_id,
        "name": function["name"],
    }


def name_part(prefix: str, answer: Mapping[str, Any]) -> str:
    """Return the id of a response or of an item of it."""
    return f"{prefix}_{str(answer['id']).partition('-')[2]}"
