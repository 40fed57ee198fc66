"""The events of one streamed response: items are opened, filled and closed, one after the other."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from proxy.simulator.response_memory import Item
from proxy.simulator.responses_items import build_call, build_message
from proxy.simulator.wire_format import Chunk

_SHELL = {"status": "in_progress"}
_EVENTS = {
    "thought": "response.reasoning_summary_text",
    "text": "response.output_text",
    "refusal": "response.refusal",
    "call": "response.function_call_arguments",
}
"""How the events of what an item says begin."""


class Responder(Protocol):
    """What a stream is written from: a `ResponsesFormat`, which knows the request."""

    def begin(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response as it is before it says anything."""

    def finish(
        self,
        answer: Mapping[str, Any],
        output: list[Item],
        reason: str | None,
        usage: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the response as it is in the end."""

    def build_thought(self, answer: Mapping[str, Any], text: str) -> Item:
        """Return the item of a thought."""


def encode_event(value: Mapping[str, Any]) -> bytes:
    """Return one event, named by its type."""
    name: str = value["type"]
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


class ResponseEvents:
    """What has been begun so far: the response, and an item of it."""

    def __init__(self, responder: Responder, usage: Mapping[str, Any] | None) -> None:
        self._responder = responder
        self._usage = usage
        self._number = 0
        self._output: list[Item] = []
        self._kind = ""
        """Of the item that is open, "" where none is."""
        self._item_id = ""
        self._is_shown = True
        """What it says is told in events; thoughts may be hidden."""
        self._text = ""
        self._call: dict[str, Any] = {}
        self._is_started = False

    def encode(self, chunk: Chunk) -> bytes:
        """Return the events of one chunk."""
        out = b"" if self._is_started else self._start(chunk)
        if not chunk["choices"]:
            return out
        choice = chunk["choices"][0]
        delta = choice["delta"]
        if thought := delta.get("reasoning_content"):
            out += self._open("thought", chunk) + self._say(thought)
        for kind, name in (("text", "content"), ("refusal", "refusal")):
            if text := delta.get(name):
                out += self._open(kind, chunk) + self._say(text)
        for call in delta.get("tool_calls", ()):
            out += self._take_call(chunk, call)
        if choice["finish_reason"] is not None:
            out += self._close(chunk) + self._finish(chunk, choice["finish_reason"])
        return out

    def _start(self, chunk: Chunk) -> bytes:
        self._is_started = True
        response = self._responder.begin(chunk)
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def _finish(self, chunk: Chunk, reason: str) -> bytes:
        response = self._responder.finish(chunk, self._output, reason, self._usage)
        return self._event(f"response.{response['status']}", response=response)

    def _take_call(self, chunk: Chunk, call: Mapping[str, Any]) -> bytes:
        out = b""
        if "id" in call:
            out = self._close(chunk)
            self._call = {"id": call["id"], "name": call["function"]["name"]}
            out += self._open("call", chunk)
        if arguments := call["function"]["arguments"]:
            out += self._say(arguments)
        return out

    def _open(self, kind: str, chunk: Chunk) -> bytes:
        if self._kind == kind:
            return b""
        out = self._close(chunk)
        self._kind, self._text = kind, ""
        item = self._build_item(chunk)
        self._item_id = item["id"]
        self._is_shown = kind != "thought" or bool(item["summary"])
        if kind == "call":
            return out + self._added(item | _SHELL)
        if kind == "thought":
            out += self._added(item | {"summary": []})
            if not self._is_shown:
                return out
            part = {"type": "summary_text", "text": ""}
            return out + self._event("response.reasoning_summary_part.added", **self._at(part=part))
        out += self._added(item | _SHELL | {"content": []})
        part = item["content"][0]
        return out + self._event("response.content_part.added", **self._at(part=part))

    def _added(self, item: Item) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _say(self, text: str) -> bytes:
        self._text += text
        if not self._is_shown:
            return b""
        more: dict[str, Any] = {"logprobs": []} if self._kind == "text" else {}
        return self._event(f"{_EVENTS[self._kind]}.delta", **self._at(delta=text, **more))

    def _close(self, chunk: Chunk) -> bytes:
        if not self._kind:
            return b""
        item, name = self._build_item(chunk), _EVENTS[self._kind]
        out = b""
        if self._kind == "call":
            told = {"name": item["name"], "arguments": item["arguments"]}
            out = self._event(f"{name}.done", **self._at(**told))
        elif self._is_shown and self._kind == "thought":
            out = self._event(f"{name}.done", **self._at(text=self._text))
            part = item["summary"][0]
            out += self._event("response.reasoning_summary_part.done", **self._at(part=part))
        elif self._is_shown:
            part = item["content"][0]
            told = {key: part[key] for key in ("text", "logprobs", "refusal") if key in part}
            out = self._event(f"{name}.done", **self._at(**told))
            out += self._event("response.content_part.done", **self._at(part=part))
        out += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._kind = ""
        return out

    def _build_item(self, chunk: Chunk) -> Item:
        """Return the item that is open with all that it has said so far."""
        if self._kind == "thought":
            return self._responder.build_thought(chunk, self._text)
        if self._kind == "call":
            number = sum(1 for item in self._output if item["type"] == "function_call")
            function = {"name": self._call["name"], "arguments": self._text}
            return build_call(chunk, number, self._call["id"], function)
        return build_message(chunk, self._text, is_refusal=self._kind == "refusal")

    def _at(self, **fields: Any) -> dict[str, Any]:
        """Return the fields of an event about a part of the item that is open."""
        at: dict[str, Any] = {"item_id": self._item_id, "output_index": len(self._output)}
        if self._kind == "thought":
            at["summary_index"] = 0
        elif self._kind != "call":
            at["content_index"] = 0
        return at | fields

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return encode_event({"type": kind, "sequence_number": number, **fields})
