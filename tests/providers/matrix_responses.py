"""How a client of the Responses API asks, and how its SDK's types read what it gets."""

import json
from typing import Any, ClassVar

from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.fakes.proxy_server import KEY
from tests.providers.hub_reading import values_of
from tests.providers.matrix_clients import ADDRESS, FUNCTIONS, PIXEL, SCHEMA, Body, Read

EVENT: Any = ResponseStreamEvent
_EVENTS: TypeAdapter[Any] = TypeAdapter(EVENT)


class Responses:
    """OpenAI's responses."""

    name = "responses"
    path = "/responses"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "completed"

    def ask(self, model: str, text: str) -> Body:
        return {"model": model, "input": [{"role": "user", "content": text}]}

    def stream(self, body: Body) -> Body:
        return body | {"stream": True}

    def offer_tools(self, body: Body) -> Body:
        functions = [{"name": name, "parameters": FUNCTIONS[name]} for name in FUNCTIONS]
        return body | {"tools": [{"type": "function", **each} for each in functions]}

    def answer_calls(self, body: Body, read: Read) -> Body:
        results = [
            {"type": "function_call_output", "call_id": call_id, "output": "noon"}
            for call_id, _, _ in read.calls
        ]
        return body | {"input": [*body["input"], *read.said["output"], *results]}

    def want_thoughts(self, body: Body) -> Body:
        return body | {
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }

    def want_json(self, body: Body) -> Body:
        wanted = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        return body | {"text": {"format": wanted}}

    def show(self, model: str, *, by_address: bool) -> Body:
        url = ADDRESS if by_address else f"data:image/png;base64,{PIXEL}"
        parts = [{"type": "input_text", "text": "?"}, {"type": "input_image", "image_url": url}]
        return {"model": model, "input": [{"role": "user", "content": parts}]}

    def read_whole(self, body: bytes) -> Read:
        return self._read(Response.model_validate_json(body))

    def read_stream(self, body: bytes) -> Read:
        state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
        for number, value in enumerate(values_of(body)):
            assert value["sequence_number"] == number
            _EVENTS.validate_python(value)
            state.handle_event(construct_type_unchecked(value=value, type_=EVENT))
        assert value["type"] == "response.completed"
        return self._read(state._completed_response)

    def is_rate_limit(self, error: Body) -> bool:
        return bool(error["error"]["code"] == "rate_limit_exceeded")

    def _read(self, answer: Any) -> Read:
        calls = [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in answer.output
            if item.type == "function_call"
        ]
        thoughts = [
            part.text for item in answer.output if item.type == "reasoning" for part in item.summary
        ]
        output = [item.to_dict() for item in answer.output]
        for item in output:
            item.pop("parsed_arguments", None)
            for part in item.get("content") or ():
                part.pop("parsed", None)
        finish = "tool_calls" if calls else answer.status
        tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        said = {"output": output}
        return Read(answer.output_text, finish, tokens, calls, "".join(thoughts), said)
