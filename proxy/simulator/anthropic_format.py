"""
Anthropic's format of answers: messages whole and as named events, and its errors.

Requests are read by `anthropic_ask.py`.

Source: Anthropic's Messages API, versions 2023-06-01 and 2026-10-21.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxy.simulator.signature import sign_thought
from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OVERLOADED = ("overloaded", "server_is_overloaded")
_MESSAGES = {
    "context_length_exceeded": "prompt is too long: 9001 tokens > 8192 maximum",
    "content_policy_violation": "Output blocked by content filtering policy",
    "insufficient_quota": "Your credit balance is too low to access the API.",
}
_REQUEST_ID = "req_simulator"


def encode_event(value: Mapping[str, Any]) -> bytes:
    """Return one event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), encode(value))


class AnthropicFormat:
    """Messages, and the events of their streams."""

    name = "anthropic"
    headers: Headers = (("request-id", _REQUEST_ID),)
    done = encode_event({"type": "message_stop"})
    broken_frame = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"oh\n\n'
    )
    has_usage_chunk = False
    usage_field = "usage"

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return the events that each chunk stands for, blocks opened and closed as needed."""
        stream = _Stream(chunks, usage)
        return [stream.encode(chunk) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a message, or how many tokens a prompt has."""
        if "choices" not in body:
            return encode(body)
        choice = body["choices"][0]
        message = choice["message"]
        refusal = message.get("refusal")
        reason = choice["finish_reason"]
        answer: dict[str, Any] = {
            "id": _name_message(body),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": _build_blocks(message),
            "stop_reason": "refusal" if refusal else _STOP_REASONS.get(reason),
            "stop_sequence": None,
        }
        if refusal:
            answer["stop_details"] = _explain(refusal)
        if "usage" in body:
            answer["usage"] = self.build_usage(body["usage"])
        return encode(answer)

    def build_usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return usage in which what came from a cache is not part of `input_tokens`."""
        thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
        counts = _count_input(usage) | {"output_tokens": usage.get("completion_tokens", 0)}
        if thought:
            counts["output_tokens_details"] = {"thinking_tokens": thought}
        return counts

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return Anthropic's error; an empty account is its 402."""
        if words.code == "insufficient_quota":
            status = 402
        return status, JSON_HEADERS + headers, encode(_build_error(words, status))

    def frame_error(self, words: Words) -> bytes:
        """Return the event `error`."""
        return encode_event(_build_error(words, 529 if words.code in _OVERLOADED else 500))


ANTHROPIC = AnthropicFormat()


class _Stream:
    """What has been begun so far: the message, a block, and in it a call or a thought."""

    def __init__(self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None) -> None:
        self._usage = usage
        self._bare_calls = _find_bare_calls(chunks)
        self._is_started = False
        self._index = -1
        self._kind = ""
        self._call = -1
        self._thought = ""
        self._refusal = ""

    def encode(self, chunk: Chunk) -> bytes:
        out = b"" if self._is_started else self._start(chunk)
        if not chunk["choices"]:
            return out + self._count(chunk.get("usage"))
        choice = chunk["choices"][0]
        delta = choice["delta"]
        if thought := delta.get("reasoning_content"):
            self._thought += thought
            out += self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            out += self._delta({"type": "thinking_delta", "thinking": thought})
        if text := delta.get("content"):
            out += self._open("text", {"type": "text", "text": ""})
            out += self._delta({"type": "text_delta", "text": text})
        self._refusal += delta.get("refusal") or ""
        for call in delta.get("tool_calls", ()):
            out += self._write_call(call)
        if choice["finish_reason"] is not None:
            out += self._end(choice["finish_reason"])
        return out

    def _start(self, chunk: Chunk) -> bytes:
        self._is_started = True
        message: dict[str, Any] = {
            "id": _name_message(chunk),
            "type": "message",
            "role": "assistant",
            "model": chunk["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        if self._usage is not None:
            message["usage"] = _count_input(self._usage) | {"output_tokens": 1}
        return encode_event({"type": "message_start", "message": message})

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        if self._kind == kind:
            return b""
        out = self._close()
        self._index += 1
        self._kind = kind
        out += encode_event(
            {"type": "content_block_start", "index": self._index, "content_block": block}
        )
        return out + encode_event({"type": "ping"}) if self._index == 0 else out

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        out = b""
        if self._kind == "thinking":
            signature = sign_thought(self._thought)
            out = self._delta({"type": "signature_delta", "signature": signature})
            self._thought = ""
        self._kind = ""
        return out + encode_event({"type": "content_block_stop", "index": self._index})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return encode_event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _write_call(self, call: Mapping[str, Any]) -> bytes:
        function = call["function"]
        if "id" in call:
            self._call = call.get("index", 0)
            block = {
                "type": "tool_use",
                "id": _name_call(call["id"]),
                "name": function["name"],
                "input": {},
            }
            return self._open(call["id"], block) + self._write_arguments("")
        return (
            b"" if self._call in self._bare_calls else self._write_arguments(function["arguments"])
        )

    def _write_arguments(self, text: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": text})

    def _end(self, reason: str) -> bytes:
        out = self._close()
        delta: dict[str, Any] = {
            "stop_reason": "refusal" if self._refusal else _STOP_REASONS[reason],
            "stop_sequence": None,
        }
        if self._refusal:
            delta["stop_details"] = _explain(self._refusal)
        event: dict[str, Any] = {"type": "message_delta", "delta": delta}
        if self._usage is not None:
            event["usage"] = ANTHROPIC.build_usage(self._usage)
        return out + encode_event(event)

    def _count(self, usage: Mapping[str, Any] | None) -> bytes:
        if usage is None:
            return b""
        counts = ANTHROPIC.build_usage(usage)
        return encode_event({"type": "message_delta", "delta": {}, "usage": counts})


def _build_blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if thought := message.get("reasoning_content"):
        blocks.append({"type": "thinking", "thinking": thought, "signature": sign_thought(thought)})
    if text := message.get("content"):
        blocks.append({"type": "text", "text": text})
    for call in message.get("tool_calls", ()):
        function = call["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": _name_call(call["id"]),
                "name": function["name"],
                "input": _read_arguments(function["arguments"]),
            }
        )
    return blocks


def _read_arguments(text: str) -> Any:
    """Return the arguments; those that a limit has cut are shown as none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _find_bare_calls(chunks: Sequence[Chunk]) -> set[int]:
    """Return the indices of the calls that have no arguments: their events carry no bytes."""
    whole: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                index = call.get("index", 0)
                whole[index] = whole.get(index, "") + call["function"]["arguments"]
    return {index for index, text in whole.items() if text == "{}"}


def _explain(refusal: str) -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": refusal}


def _name_message(answer: Mapping[str, Any]) -> str:
    return "msg_" + str(answer["id"]).partition("-")[2]


def _name_call(call_id: str) -> str:
    return "toolu_" + call_id.removeprefix("call_")


def _count_input(usage: Mapping[str, Any]) -> dict[str, Any]:
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    return {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
    }


def _detail(usage: Mapping[str, Any], group: str, name: str) -> Any:
    return usage.get(group, {}).get(name, 0)


def _build_error(words: Words, status: int) -> dict[str, Any]:
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    if words.code in _OVERLOADED:
        kind = "overloaded_error"
    message = _MESSAGES.get(words.code or "", words.message)
    error = {"type": kind, "message": message}
    return {"type": "error", "error": error, "request_id": _REQUEST_ID}
