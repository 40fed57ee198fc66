"""How a client of each dialect asks, and how its SDK's types read what it gets."""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from anthropic.types import Message
from openai._models import construct_type_unchecked
from openai.types import Completion
from openai.types.chat import ChatCompletion

from tests.fakes.proxy_server import KEY
from tests.providers.hub_reading import accumulate_chat, accumulate_message, values_of
from tests.simulator.native import CITY, NONE

PIXEL = "iVBORw0KGgo="
ADDRESS = "https://example.test/cat.png"
FUNCTIONS = {"now": NONE, "weather": CITY}
SCHEMA: Any = {
    "type": "object",
    "properties": {"ok": {"const": True}},
    "required": ["ok"],
    "additionalProperties": False,
}

Body = dict[str, Any]


class NoSuchField(Exception):
    """The dialect has no way to ask for that."""


@dataclass
class Read:
    """
    What a client has got: text, calls as (id, name, arguments), thoughts, tokens in and out.

    `said` is all of it as the client sends it back with the next request.
    """

    text: str
    finish: str | None
    tokens: tuple[int, int]
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    thoughts: str = ""
    said: Body = field(default_factory=dict, compare=False)


class Client(Protocol):
    """One dialect of clients."""

    name: str
    path: str
    headers: ClassVar[dict[str, str]]
    finished: str
    """The finish reason of an answer that has come to its end by itself."""

    def ask(self, model: str, text: str) -> Body:
        """Return a request with one message, or prompt."""

    def stream(self, body: Body) -> Body:
        """Return the same request for a stream with usage."""

    def offer_tools(self, body: Body) -> Body:
        """Return the same request with both functions on offer."""

    def answer_calls(self, body: Body, read: Read) -> Body:
        """Return the request that follows the calls, each of which has been answered by `noon`."""

    def want_thoughts(self, body: Body) -> Body:
        """Return the same request for an answer that is thought about first."""

    def want_json(self, body: Body) -> Body:
        """Return the same request for an answer that fits the schema."""

    def show(self, model: str, *, by_address: bool) -> Body:
        """Return a request with a picture in it."""

    def read_whole(self, body: bytes) -> Read:
        """Return what a whole answer says."""

    def read_stream(self, body: bytes) -> Read:
        """Return what a stream says, which must have ended properly."""

    def is_rate_limit(self, error: Body) -> bool:
        """True if the error's body says in this dialect that there were too many requests."""


class Chat:
    """OpenAI's chat completions."""

    name = "chat completions"
    path = "/chat/completions"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "stop"

    def ask(self, model: str, text: str) -> Body:
        return {"model": model, "messages": [{"role": "user", "content": text}]}

    def stream(self, body: Body) -> Body:
        return body | {"stream": True, "stream_options": {"include_usage": True}}

    def offer_tools(self, body: Body) -> Body:
        functions = [{"name": name, "parameters": FUNCTIONS[name]} for name in FUNCTIONS]
        return body | {"tools": [{"type": "function", "function": each} for each in functions]}

    def answer_calls(self, body: Body, read: Read) -> Body:
        results = [
            {"role": "tool", "tool_call_id": call_id, "content": "noon"}
            for call_id, _, _ in read.calls
        ]
        return body | {"messages": [*body["messages"], read.said, *results]}

    def want_thoughts(self, body: Body) -> Body:
        return body | {"reasoning_effort": "high"}

    def want_json(self, body: Body) -> Body:
        schema = {"name": "answer", "schema": SCHEMA, "strict": True}
        return body | {"response_format": {"type": "json_schema", "json_schema": schema}}

    def show(self, model: str, *, by_address: bool) -> Body:
        url = ADDRESS if by_address else f"data:image/png;base64,{PIXEL}"
        parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
        return {"model": model, "messages": [{"role": "user", "content": parts}]}

    def read_whole(self, body: bytes) -> Read:
        return self._read(ChatCompletion.model_validate_json(body))

    def read_stream(self, body: bytes) -> Read:
        assert body.endswith(b"data: [DONE]\n\n")
        return self._read(accumulate_chat(body))

    def is_rate_limit(self, error: Body) -> bool:
        return bool(error["error"]["code"] == "rate_limit_exceeded")

    def _read(self, answer: Any) -> Read:
        (choice,) = answer.choices
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or ()
        ]
        tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        said = choice.message.to_dict()
        said.pop("parsed", None)
        for call in said.get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        thoughts = said.get("reasoning_content", "")
        text = choice.message.content or ""
        return Read(text, choice.finish_reason, tokens, calls, thoughts, said)


class Messages:
    """Anthropic's messages."""

    name = "messages"
    path = "/messages"
    headers: ClassVar[dict[str, str]] = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    finished = "end_turn"

    def ask(self, model: str, text: str) -> Body:
        messages = [{"role": "user", "content": text}]
        return {"model": model, "max_tokens": 1000, "messages": messages}

    def stream(self, body: Body) -> Body:
        return body | {"stream": True}

    def offer_tools(self, body: Body) -> Body:
        tools = [{"name": name, "input_schema": FUNCTIONS[name]} for name in FUNCTIONS]
        return body | {"tools": tools}

    def answer_calls(self, body: Body, read: Read) -> Body:
        results = [
            {"type": "tool_result", "tool_use_id": call_id, "content": "noon"}
            for call_id, _, _ in read.calls
        ]
        turns = [read.said, {"role": "user", "content": results}]
        return body | {"messages": [*body["messages"], *turns]}

    def want_thoughts(self, body: Body) -> Body:
        return body | {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}

    def want_json(self, body: Body) -> Body:
        wanted = {"type": "json_schema", "schema": SCHEMA}
        return body | {"output_config": {"format": wanted}}

    def show(self, model: str, *, by_address: bool) -> Body:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        if by_address:
            source = {"type": "url", "url": ADDRESS}
        parts = [{"type": "text", "text": "?"}, {"type": "image", "source": source}]
        messages = [{"role": "user", "content": parts}]
        return {"model": model, "max_tokens": 1000, "messages": messages}

    def read_whole(self, body: bytes) -> Read:
        return self._read(Message.model_validate_json(body))

    def read_stream(self, body: bytes) -> Read:
        assert body.rstrip().endswith(b"}")
        assert list(values_of(body))[-1] == {"type": "message_stop"}
        return self._read(accumulate_message(body))

    def is_rate_limit(self, error: Body) -> bool:
        return bool(error["type"] == "error" and error["error"]["type"] == "rate_limit_error")

    def _read(self, answer: Any) -> Read:
        texts = [block.text for block in answer.content if block.type == "text"]
        calls = [
            (block.id, block.name, block.input)
            for block in answer.content
            if block.type == "tool_use"
        ]
        tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        thoughts = [block.thinking for block in answer.content if block.type == "thinking"]
        said = {"role": "assistant", "content": [block.to_dict() for block in answer.content]}
        text = "".join(texts)
        return Read(text, answer.stop_reason, tokens, calls, "".join(thoughts), said)


class Completions:
    """OpenAI's older completions, which are of text alone."""

    name = "completions"
    path = "/completions"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "stop"

    def ask(self, model: str, text: str) -> Body:
        return {"model": model, "prompt": text, "max_tokens": 1000}

    def stream(self, body: Body) -> Body:
        return body | {"stream": True, "stream_options": {"include_usage": True}}

    def offer_tools(self, body: Body) -> Body:
        raise NoSuchField

    def answer_calls(self, body: Body, read: Read) -> Body:
        raise NoSuchField

    def want_thoughts(self, body: Body) -> Body:
        raise NoSuchField

    def want_json(self, body: Body) -> Body:
        raise NoSuchField

    def show(self, model: str, *, by_address: bool) -> Body:
        raise NoSuchField

    def read_whole(self, body: bytes) -> Read:
        answer = Completion.model_validate_json(body)
        (choice,) = answer.choices
        assert answer.usage is not None
        tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        return Read(choice.text, choice.finish_reason, tokens)

    def read_stream(self, body: bytes) -> Read:
        assert body.endswith(b"data: [DONE]\n\n")
        chunks: list[Any] = [
            construct_type_unchecked(value=value, type_=Completion) for value in values_of(body)
        ]
        choices = [choice for chunk in chunks for choice in chunk.choices]
        usage = chunks[-1].usage
        return Read(
            "".join([choice.text for choice in choices]),
            choices[-1].finish_reason,
            (usage.prompt_tokens, usage.completion_tokens),
        )

    def is_rate_limit(self, error: Body) -> bool:
        return bool(error["error"]["code"] == "rate_limit_exceeded")


class Generate:
    """Cohere's old generate, which is of text alone."""

    name = "generate"
    path = "/generate"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "COMPLETE"

    def ask(self, model: str, text: str) -> Body:
        return {"model": model, "prompt": text, "max_tokens": 1000}

    def stream(self, body: Body) -> Body:
        return body | {"stream": True}

    def offer_tools(self, body: Body) -> Body:
        raise NoSuchField

    def answer_calls(self, body: Body, read: Read) -> Body:
        raise NoSuchField

    def want_thoughts(self, body: Body) -> Body:
        raise NoSuchField

    def want_json(self, body: Body) -> Body:
        raise NoSuchField

    def show(self, model: str, *, by_address: bool) -> Body:
        raise NoSuchField

    def read_whole(self, body: bytes) -> Read:
        return self._read(json.loads(body))

    def read_stream(self, body: bytes) -> Read:
        *lines, last = values_of(body)
        assert last["event_type"] == "stream-end" and last["is_finished"]
        assert not any(line["is_finished"] for line in lines)
        read = self._read(last["response"])
        assert read.text == "".join([line["text"] for line in lines])
        return read

    def is_rate_limit(self, error: Body) -> bool:
        return bool(error["code"] == "rate_limit_exceeded")

    def _read(self, answer: Body) -> Read:
        (generation,) = answer["generations"]
        counts = answer["meta"]["tokens"]
        tokens = (counts["input_tokens"], counts["output_tokens"])
        return Read(generation["text"], generation["finish_reason"], tokens)
