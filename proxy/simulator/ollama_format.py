"""
Ollama's format of answers: lines of JSON and whole objects, vectors, and its errors.

Requests are read by `ollama_ask.py`.

Source: Ollama's API documentation, `docs/api.md`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode

_BUSY = "server busy, please try again.  maximum pending requests exceeded"
_MESSAGES = {
    "context_length_exceeded": "the input length exceeds the context length",
    "insufficient_quota": "you have exceeded your current quota, upgrade to continue",
    "invalid_api_key": "unauthorized",
    "overloaded": _BUSY,
    "server_is_overloaded": _BUSY,
}
_TIMES_NS = {
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 1_000_000,
    "eval_duration": 3_000_000,
}


def encode_line(value: object) -> bytes:
    """Return one line of a stream."""
    return encode(value) + b"\n"


class OllamaFormat:
    """Answers of `/api/chat`, or of `/api/generate`, where text stands in `response`."""

    name = "ollama"
    headers: Headers = ()
    done = b""
    broken_frame = b'{"model":"broken","message":{"role":"assistant","content":"oh\n'
    has_usage_chunk = False
    usage_field = "usage"

    def __init__(self, *, is_chat: bool) -> None:
        self._is_chat = is_chat

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return a line for each chunk that says something; calls come whole, at the end."""
        calls: dict[int, dict[str, str]] = {}
        return [self._encode_chunk(chunk, calls, usage) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a whole answer, or vectors."""
        if "choices" not in body:
            vectors = [item["embedding"] for item in body["data"]]
            counts = (
                {"prompt_eval_count": body["usage"]["prompt_tokens"]} if "usage" in body else {}
            )
            times = {"total_duration": 5_000_000, "load_duration": 1_000_000}
            return encode({"model": body["model"], "embeddings": vectors, **times, **counts})
        choice = body["choices"][0]
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls", ())]
        ids = [call["id"] for call in message.get("tool_calls", ())]
        said = self._say(
            message.get("content") or message.get("refusal") or "",
            message.get("reasoning_content") or "",
            [_build_call(*each) for each in zip(ids, calls, strict=True)],
        )
        end = {"done": False}
        if choice["finish_reason"] is not None:
            end = _build_end(choice["finish_reason"], body.get("usage"))
        return encode(_name(body) | said | end)

    def build_usage(self, usage: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the counts; they stand beside the answer, and not in an object of their own."""
        return {
            "prompt_eval_count": usage["prompt_tokens"],
            "eval_count": usage.get("completion_tokens", 0),
        }

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return Ollama's error, which is a text; a full queue is its 503."""
        if words.code in ("overloaded", "server_is_overloaded"):
            status = 503
        return status, JSON_HEADERS + headers, encode({"error": _find_words(words)})

    def frame_error(self, words: Words) -> bytes:
        """Return the same as a line."""
        return encode_line({"error": _find_words(words)})

    def _encode_chunk(
        self,
        chunk: Chunk,
        calls: dict[int, dict[str, str]],
        usage: Mapping[str, Any] | None,
    ) -> bytes:
        if not chunk["choices"]:
            return b""
        choice = chunk["choices"][0]
        delta = choice["delta"]
        for call in delta.get("tool_calls", ()):
            index, function = call.get("index", len(calls)), call["function"]
            if "id" in call:
                calls[index] = {"id": call["id"], "name": function["name"], "arguments": ""}
            calls[index]["arguments"] += function["arguments"]
        if choice["finish_reason"] is not None:
            return self._end(chunk, calls, choice["finish_reason"], usage)
        text = delta.get("content") or delta.get("refusal") or ""
        thought = delta.get("reasoning_content") or ""
        if not text and not thought:
            return b""
        return encode_line(_name(chunk) | self._say(text, thought, []) | {"done": False})

    def _end(
        self,
        chunk: Chunk,
        calls: Mapping[int, dict[str, str]],
        reason: str,
        usage: Mapping[str, Any] | None,
    ) -> bytes:
        out = b""
        if calls:
            made = [_build_call(call["id"], call) for call in calls.values()]
            out = encode_line(_name(chunk) | self._say("", "", made) | {"done": False})
        return out + encode_line(_name(chunk) | self._say("", "", []) | _build_end(reason, usage))

    def _say(self, text: str, thought: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": text}
        if not self._is_chat:
            said = {"response": text}
        if thought:
            said["thinking"] = thought
        if calls and self._is_chat:
            said["tool_calls"] = calls
        return {"message": said} if self._is_chat else said


OLLAMA = OllamaFormat(is_chat=True)
OLLAMA_GENERATE = OllamaFormat(is_chat=False)


def _name(answer: Mapping[str, Any]) -> dict[str, Any]:
    moment = datetime.fromtimestamp(answer["created"], UTC)
    return {"model": answer["model"], "created_at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def _build_end(reason: str, usage: Mapping[str, Any] | None) -> dict[str, Any]:
    end: dict[str, Any] = {
        "done": True,
        "done_reason": "length" if reason == "length" else "stop",
        **_TIMES_NS,
    }
    return end if usage is None else end | dict(OLLAMA.build_usage(usage))


def _build_call(call_id: str, function: Mapping[str, str]) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(function["arguments"])
    except msgspec.DecodeError:  # a limit has cut them
        arguments = {}
    return {"id": call_id, "function": {"name": function["name"], "arguments": arguments}}


def _find_words(words: Words) -> str:
    return _MESSAGES.get(words.code or "", words.message)
