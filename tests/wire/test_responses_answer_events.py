"""A complete response, told as the stream that was asked for."""

import json
from typing import Any

import pytest
from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from proxy.domain.errors import UpstreamProtocolError
from proxy.wire.base import Ask
from proxy.wire.responses_answer_events import build_response_events
from proxy.wire.responses_stream import ResponsesStream
from tests.wire.response_events import CALL, MESSAGE, REASONING, response

THOUGHT = REASONING | {
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "content": [{"type": "reasoning_text", "text": "Let me see."}],
    "encrypted_content": "x",
}
REFUSAL = MESSAGE | {"id": "msg_2", "content": [{"type": "refusal", "refusal": "No."}]}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
CUSTOM = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "call_id": "call_2",
    "name": "run",
    "input": "ls",
}


def tell(**more: Any) -> tuple[dict[str, Any], bytes]:
    whole = response(
        more.pop("status", "completed"), THOUGHT, MESSAGE, CALL, REFUSAL, SEARCH, CUSTOM, **more
    )
    whole |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return whole, build_response_events(json.dumps(whole, indent=1).encode())


def read_events(stream: bytes) -> list[dict[str, Any]]:
    blocks = stream.decode().removesuffix("\n\n").split("\n\n")
    found = []
    for block in blocks:
        name, _, data = block.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def test_a_client_makes_the_same_response_of_it() -> None:
    """OpenAI's own accumulator takes every event, and ends with what was told."""
    whole, stream = tell()
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    last: Any = None
    for event in read_events(stream):
        typed: Any = construct_type(type_=ResponseStreamEvent, value=event)
        for handled in state.handle_event(typed):
            last = handled
    assert last.type == "response.completed"
    assert last.response.output_text == "Hi thére"
    assert json.loads(stream.rpartition(b"data: ")[2])["response"] == whole


def test_events_are_numbered_and_each_item_is_closed() -> None:
    """From 0, one after the other; what was added is done."""
    events = read_events(tell()[1])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [e["item"]["id"] for e in events if e["type"] == "response.output_item.added"]
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert added == [item["id"] for item in done]
    assert done == [THOUGHT, MESSAGE, CALL, REFUSAL, SEARCH, CUSTOM]
    begun = events[0]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)


def test_it_is_read_as_any_provider_s_stream() -> None:
    """Our own reader finds it good, with its usage."""
    _, stream = tell(status="incomplete")
    reader = ResponsesStream(Ask("responses", "m", {}), 1 << 20)
    assert reader.feed(stream) == stream
    assert reader.is_complete
    assert reader.usage is not None


@pytest.mark.parametrize("output", [None, 3, [3], [{}], [{"type": "message", "content": [{}]}]])
def test_what_is_no_response_is_refused(output: Any) -> None:
    """Members that must be there are missing, or are something else."""
    with pytest.raises(UpstreamProtocolError):
        build_response_events(json.dumps(response() | {"output": output}).encode())
