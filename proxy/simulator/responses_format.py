"""
OpenAI's Responses API as it answers: response objects, whole and as the events of a stream.

Requests are read by `responses_ask.py`. A format is made for each request, because a response
repeats what was asked.

Source: OpenAI's API reference, "Responses" and "Streaming events".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxy.simulator.openai_format import encode_error
from proxy.simulator.response_memory import Item, KeptResponse, ResponseMemory
from proxy.simulator.responses_items import build_call, build_message, name_part
from proxy.simulator.responses_shapes import ResponseAsked
from proxy.simulator.responses_stream import ResponseEvents, encode_event
from proxy.simulator.sealed_thought import seal_thought
from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED = ("instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "user")
encode = msgspec.json.encode


class ResponsesFormat:
    """One response to one request; without a request only its errors are written."""

    name = "responses"
    headers: Headers = (("openai-version", "2020-10-01"), ("x-request-id", "req_simulator"))
    done = b""
    broken_frame = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
        b'"item_id":"msg_broken","output_index":0,"content_index":0,"delta":"oh\n\n'
    )
    has_usage_chunk = False
    usage_field = "usage"

    def __init__(
        self,
        asked: ResponseAsked | None = None,
        items: Sequence[Item] = (),
        memory: ResponseMemory | None = None,
    ) -> None:
        """
        Answer one request.

        Args:
            asked: what is repeated in the response.
            items: all that led to it.
            memory: keeps the response; None: nobody does.
        """
        self._asked = asked
        self._items = list(items)
        self._memory = memory

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return the events of each chunk; the last one ends the response."""
        stream = ResponseEvents(self, None if usage is None else self.build_usage(usage))
        return [stream.encode(chunk) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a response, or how many tokens an input has."""
        if "choices" not in body:
            return encode({"object": "response.input_tokens", **body})
        choice = body["choices"][0]
        usage = self.build_usage(body["usage"]) if "usage" in body else None
        output = self._build_output(body, choice["message"])
        return encode(self.finish(body, output, choice["finish_reason"], usage))

    def build_usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return usage by this API's names, both details in it."""
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": usage.get("completion_tokens", 0),
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": usage.get("total_tokens", 0),
        }

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return OpenAI's error object."""
        return status, JSON_HEADERS + headers, encode_error(words)

    def frame_error(self, words: Words) -> bytes:
        """Return the event `error`, in which the error object stands."""
        return encode_event({"type": "error", "sequence_number": 0, "error": words})

    def begin(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response as it is before it says anything."""
        asked = self._asked or ResponseAsked(model=answer["model"])
        told = msgspec.to_builtins(asked)
        return {
            "id": name_part("resp", answer),
            "object": "response",
            "created_at": answer.get("created", 0),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            **{name: told[name] for name in _ECHOED},
            "model": answer["model"],
            "output": [],
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "reasoning": {"effort": None, "summary": None, **(told["reasoning"] or {})},
            "store": asked.store is not False,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "text": {"format": {"type": "text"}, **_without_nulls(told["text"])},
            "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [],
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": asked.truncation or "disabled",
            "usage": None,
            "metadata": asked.metadata or {},
        }

    def finish(
        self,
        answer: Mapping[str, Any],
        output: list[Item],
        reason: str | None,
        usage: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the response as it is in the end, and have it kept."""
        response = {**self.begin(answer), "status": "completed", "output": output, "usage": usage}
        if reason in _REASONS:
            response["status"] = "incomplete"
            response["incomplete_details"] = {"reason": _REASONS[reason]}
        if self._memory is not None:
            self._memory.keep(KeptResponse(response, self._items))
        return response

    def fail(self, answer: Mapping[str, Any], words: Words) -> dict[str, Any]:
        """Return the response as it is if it could not be made."""
        error = {"code": words.code, "message": words.message}
        return {**self.begin(answer), "status": "failed", "error": error}

    def build_thought(self, answer: Mapping[str, Any], text: str) -> Item:
        """Return the item of a thought: what of it is shown, and what is sealed."""
        asked = self._asked
        shows = asked is not None and asked.reasoning is not None and asked.reasoning.summary
        seals = asked is not None and "reasoning.encrypted_content" in (asked.include or ())
        item: Item = {
            "id": name_part("rs", answer),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}] if shows else [],
        }
        return {**item, "encrypted_content": seal_thought(text)} if seals else item

    def _build_output(self, answer: Mapping[str, Any], message: Mapping[str, Any]) -> list[Item]:
        output = []
        if thought := message.get("reasoning_content"):
            output.append(self.build_thought(answer, thought))
        calls = message.get("tool_calls", ())
        for number, call in enumerate(calls):
            output.append(build_call(answer, number, call["id"], call["function"]))
        if not calls:
            refusal = message.get("refusal")
            text = refusal or message.get("content")
            if text:
                output.append(build_message(answer, text, is_refusal=bool(refusal)))
        return output


RESPONSES = ResponsesFormat()


def _without_nulls(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: each for name, each in (value or {}).items() if each is not None}
