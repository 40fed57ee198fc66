"""How clients of Ollama ask, chat and generate, and how their SDK's types read what they get."""

import json
from typing import Any, ClassVar

from ollama import ChatResponse, GenerateResponse

from tests.fakes.proxy_server import KEY
from tests.providers.hub_reading import values_of
from tests.providers.matrix_clients import FUNCTIONS, PIXEL, SCHEMA, Body, NoSuchField, Read


class OllamaChat:
    """Ollama's chat."""

    name = "ollama chat"
    path = "/api/chat"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "stop"

    def ask(self, model: str, text: str) -> Body:
        messages = [{"role": "user", "content": text}]
        return {"model": model, "messages": messages, "stream": False}

    def stream(self, body: Body) -> Body:
        # As most of its clients do it: a stream is what is asked for by saying nothing.
        return {name: value for name, value in body.items() if name != "stream"}

    def offer_tools(self, body: Body) -> Body:
        functions = [{"name": name, "parameters": FUNCTIONS[name]} for name in FUNCTIONS]
        return body | {"tools": [{"type": "function", "function": each} for each in functions]}

    def answer_calls(self, body: Body, read: Read) -> Body:
        results = [
            {"role": "tool", "tool_name": name, "content": "noon"} for _, name, _ in read.calls
        ]
        return body | {"messages": [*body["messages"], read.said, *results]}

    def want_thoughts(self, body: Body) -> Body:
        return body | {"think": "high"}

    def want_json(self, body: Body) -> Body:
        return body | {"format": SCHEMA}

    def show(self, model: str, *, by_address: bool) -> Body:
        if by_address:
            raise NoSuchField
        messages = [{"role": "user", "content": "?", "images": [PIXEL]}]
        return {"model": model, "messages": messages, "stream": False}

    def read_whole(self, body: bytes) -> Read:
        ChatResponse.model_validate_json(body)
        return self._read([json.loads(body)])

    def read_stream(self, body: bytes) -> Read:
        for line in body.splitlines():
            ChatResponse.model_validate_json(line)
        return self._read(list(values_of(body)))

    def is_rate_limit(self, error: Body) -> bool:
        return "Too Many Requests" in error["error"]

    def _read(self, lines: list[Body]) -> Read:
        *before, last = lines
        assert last["done"] and not any(line["done"] for line in before)
        messages = [line["message"] for line in lines]
        text = "".join(message["content"] for message in messages)
        thoughts = "".join(message.get("thinking", "") for message in messages)
        made = [call for message in messages for call in message.get("tool_calls", ())]
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in made
        ]
        said: dict[str, Any] = {"role": "assistant", "content": text}
        if thoughts:
            said["thinking"] = thoughts
        if made:
            said["tool_calls"] = made
        finish = "tool_calls" if calls else last["done_reason"]
        tokens = (last["prompt_eval_count"], last["eval_count"])
        return Read(text, finish, tokens, calls, thoughts, said)


class OllamaGenerate:
    """Ollama's generate, of one prompt."""

    name = "ollama generate"
    path = "/api/generate"
    headers: ClassVar[dict[str, str]] = {"Authorization": f"Bearer {KEY}"}
    finished = "stop"

    def ask(self, model: str, text: str) -> Body:
        return {"model": model, "prompt": text, "stream": False}

    def stream(self, body: Body) -> Body:
        return {name: value for name, value in body.items() if name != "stream"}

    def offer_tools(self, body: Body) -> Body:
        raise NoSuchField

    def answer_calls(self, body: Body, read: Read) -> Body:
        raise NoSuchField

    def want_thoughts(self, body: Body) -> Body:
        raise NoSuchField

    def want_json(self, body: Body) -> Body:
        return body | {"format": SCHEMA}

    def show(self, model: str, *, by_address: bool) -> Body:
        if by_address:
            raise NoSuchField
        return {"model": model, "prompt": "?", "images": [PIXEL], "stream": False}

    def read_whole(self, body: bytes) -> Read:
        return self._read([body])

    def read_stream(self, body: bytes) -> Read:
        return self._read(body.splitlines())

    def is_rate_limit(self, error: Body) -> bool:
        return "Too Many Requests" in error["error"]

    def _read(self, lines: list[bytes]) -> Read:
        *before, last = [GenerateResponse.model_validate_json(line) for line in lines]
        assert last.done and not any(each.done for each in before)
        text = "".join(each.response or "" for each in (*before, last))
        assert last.prompt_eval_count is not None and last.eval_count is not None
        return Read(text, last.done_reason, (last.prompt_eval_count, last.eval_count))
