"""Tests of `proxy/wire/responses_object.py`."""

import json
from typing import Any

from msgspec import Raw
from openai.types.responses import Response

from proxy.domain.events import Started
from proxy.domain.usage import Usage
from proxy.wire.responses_object import MAX_REPEATED_BYTES, ResponseObject
from tests.wire.responses_client import build_ask


def build(*started: Started, **fields: Any) -> dict[str, Any]:
    response = ResponseObject(build_ask(**fields))
    for each in started:
        response.note(each)
    body = response.build("completed", usage=Usage(1, 2))
    Response.model_validate_json(body)
    found: dict[str, Any] = json.loads(body)
    return found


def test_what_was_not_said_is_told_as_openai_tells_it() -> None:
    """Defaults where there are any, and null where nobody knows the provider's."""
    response = build()
    assert response.pop("id").startswith("resp_")
    assert response == {
        "object": "response",
        "created_at": 7,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "m",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": None,
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "metadata": {},
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 3,
        },
    }


def test_what_was_said_is_repeated() -> None:
    """What is an object is filled up with what was not said of it."""
    said = {
        "instructions": "Be brief.",
        "max_output_tokens": 8,
        "metadata": {"a": "b"},
        "previous_response_id": "resp_1",
        "store": False,
        "temperature": 0.5,
        "tool_choice": {"type": "function", "name": "f"},
    }
    response = build(
        **said,
        text={"verbosity": "low"},
        reasoning={"effort": "low"},
        tools=[{"type": "function", "name": "f"}],
    )
    assert {name: response[name] for name in said} == said
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response["reasoning"] == {"effort": "low", "summary": None}
    tool = {"type": "function", "name": "f", "parameters": None, "strict": None}
    assert response["tools"] == [tool]


def test_the_model_is_the_one_that_has_answered() -> None:
    """Where its provider says it, and in few words."""
    assert build(Started("x", "gpt"))["model"] == "gpt"
    assert build(Started("x", "g" * 1000))["model"] == "m"


def test_line_ends_of_a_request_are_none_of_an_events() -> None:
    """JSON may be written on many lines; an event's data is one."""
    ask = build_ask()
    ask.fields["metadata"] = Raw(b'{\r\n"a":\n"b"\r}')
    ask.fields["tools"] = Raw(b'[{\n"type":"function",\n"name":"f"}]')
    ask.fields["text"] = Raw(b'{\n"format":{"type":\n"text"}}')
    body = ResponseObject(ask).build("in_progress")
    assert b"\n" not in body
    assert b"\r" not in body
    assert json.loads(body)["metadata"] == {"a": "b"}


def test_what_is_long_is_not_repeated() -> None:
    """A stream has the response in it three times."""
    assert build(instructions="x" * MAX_REPEATED_BYTES)["instructions"] is None
    assert build(instructions="x" * 1000)["instructions"] == "x" * 1000


def test_what_cannot_be_read_is_left_as_if_unsaid() -> None:
    """A provider has been asked by then: no answer is lost for it."""
    assert build(text=1)["text"] == {"format": {"type": "text"}}
    assert build(tools=[1])["tools"] == []


def test_a_failure_and_a_reason_are_told() -> None:
    """With the id that the client knows."""
    response = ResponseObject(build_ask(), "resp_1")
    failed = json.loads(response.build("failed", error={"code": "server_error", "message": "x"}))
    assert (failed["id"], failed["status"]) == ("resp_1", "failed")
    assert failed["error"] == {"code": "server_error", "message": "x"}
    cut = json.loads(response.build("incomplete", reason="max_output_tokens"))
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
