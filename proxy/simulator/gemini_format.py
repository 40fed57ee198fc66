"""
Gemini's format of answers: candidates whole and in pieces, vectors, and its errors.

Requests are read by `gemini_ask.py`.

Source: Google's Generative Language API, v1beta.
"""

import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from proxy.simulator.signature import sign_thought
from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode

_FINISH_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    "context_length_exceeded": (
        "The input token count (9001) exceeds the maximum number of tokens allowed (8192)."
    ),
    "insufficient_quota": "Your prepayment credits are depleted.",
    "invalid_api_key": "API key not valid. Please pass a valid API key.",
}
_RPC = "type.googleapis.com/google.rpc."


def encode_frame(value: object) -> bytes:
    """Return one event of a stream."""
    return b"data: " + encode(value) + b"\n\n"


class GeminiFormat:
    """Answers of `generateContent` and its siblings."""

    name = "gemini"
    headers: Headers = ()
    done = b""
    broken_frame = b'data: {"candidates":[{"content":{"parts":[{"text":"oh\n\n'
    has_usage_chunk = False
    usage_field = "usageMetadata"

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return an answer with only the new parts for each chunk; calls come whole."""
        stream = _Stream(usage)
        return [stream.encode(chunk) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return candidates, vectors, or how many tokens a prompt has."""
        if "input_tokens" in body:
            return encode({"totalTokens": body["input_tokens"]})
        if "choices" not in body:
            vectors = [{"values": item["embedding"]} for item in body["data"]]
            return encode({"embeddings": vectors})
        candidates = [_build_candidate(choice) for choice in body["choices"]]
        answer: dict[str, Any] = {"candidates": candidates}
        if "usage" in body:
            answer["usageMetadata"] = self.build_usage(body["usage"])
        return encode(answer | _name_answer(body))

    def build_usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return usage in which thoughts are not part of `candidatesTokenCount`."""
        thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        counts = {
            "promptTokenCount": usage["prompt_tokens"],
            "candidatesTokenCount": usage.get("completion_tokens", 0) - thought,
            "totalTokenCount": usage["total_tokens"],
        }
        if thought:
            counts["thoughtsTokenCount"] = thought
        if cached:
            counts["cachedContentTokenCount"] = cached
        return counts

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return Google's error: the time to wait is in its body, a bad key is its 400."""
        details: list[dict[str, Any]] = []
        if words.code == "insufficient_quota":
            status = 402
        if words.code == "invalid_api_key":
            status = 400
            reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            details.append({"@type": _RPC + "ErrorInfo", **reason})
        wait_s = _read_wait(dict(headers))
        if wait_s is not None:
            details.append({"@type": _RPC + "RetryInfo", "retryDelay": f"{wait_s:g}s"})
        return status, JSON_HEADERS, encode(_build_error(words, status, details))

    def frame_error(self, words: Words) -> bytes:
        """Return an error in the place of an answer."""
        return encode_frame(_build_error(words, 503, []))


class _Stream:
    """What is held back of each candidate: a call until it is whole, what was thought."""

    def __init__(self, usage: Mapping[str, Any] | None) -> None:
        self._usage = usage
        self._calls: dict[int, dict[str, Any]] = {}
        self._thoughts: dict[int, str] = {}
        self._signed: set[int] = set()
        self._refusals: dict[int, str] = {}

    def encode(self, chunk: Chunk) -> bytes:
        if not chunk["choices"]:
            usage = chunk.get("usage")
            return b"" if usage is None else self._frame(chunk, [], GEMINI.build_usage(usage))
        choice = chunk["choices"][0]
        index, delta = choice["index"], choice["delta"]
        parts: list[dict[str, Any]] = []
        if thought := delta.get("reasoning_content"):
            self._thoughts[index] = self._thoughts.get(index, "") + thought
            parts.append({"text": thought, "thought": True})
        if text := delta.get("content"):
            parts.append({"text": text})
        if refusal := delta.get("refusal"):
            self._refusals[index] = self._refusals.get(index, "") + refusal
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                parts += self._take_call(index)
                self._calls[index] = {"name": call["function"]["name"], "arguments": ""}
            self._calls[index]["arguments"] += call["function"]["arguments"]
        if choice["finish_reason"] is not None:
            return self._end(chunk, index, parts, choice["finish_reason"])
        if not parts:
            return b""
        candidate = {"content": {"parts": parts, "role": "model"}, "index": index}
        return self._frame(chunk, [candidate], self._early_usage())

    def _take_call(self, index: int) -> list[dict[str, Any]]:
        """Return the call that is whole by now; the first one of a turn carries a signature."""
        call = self._calls.pop(index, None)
        if call is None:
            return []
        part = _build_call(call["name"], call["arguments"])
        if self._thoughts.get(index) and index not in self._signed:
            self._signed.add(index)
            part["thoughtSignature"] = sign_thought(self._thoughts[index])
        return [part]

    def _end(self, chunk: Chunk, index: int, parts: list[dict[str, Any]], reason: str) -> bytes:
        parts += self._take_call(index)
        candidate: dict[str, Any] = {"index": index}
        refusal = self._refusals.get(index)
        if refusal:
            candidate |= {"finishReason": "SAFETY", "finishMessage": refusal}
        else:
            if not parts:
                parts = [{"text": ""}]
                if thought := self._thoughts.get(index):
                    parts[0]["thoughtSignature"] = sign_thought(thought)
            candidate["content"] = {"parts": parts, "role": "model"}
            candidate["finishReason"] = _FINISH_REASONS[reason]
        usage = None if self._usage is None else GEMINI.build_usage(self._usage)
        return self._frame(chunk, [candidate], usage)

    def _early_usage(self) -> dict[str, Any] | None:
        if self._usage is None:
            return None
        prompt = self._usage["prompt_tokens"]
        return {"promptTokenCount": prompt, "totalTokenCount": prompt}

    def _frame(
        self, chunk: Chunk, candidates: list[dict[str, Any]], usage: Mapping[str, Any] | None
    ) -> bytes:
        answer: dict[str, Any] = {"candidates": candidates} if candidates else {}
        if usage is not None:
            answer["usageMetadata"] = usage
        return encode_frame(answer | _name_answer(chunk))


GEMINI = GeminiFormat()


def _build_candidate(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    candidate: dict[str, Any] = {"index": choice["index"]}
    if refusal := message.get("refusal"):
        return candidate | {"finishReason": "SAFETY", "finishMessage": refusal}
    parts: list[dict[str, Any]] = []
    thought = message.get("reasoning_content")
    if thought:
        parts.append({"text": thought, "thought": True})
    if text := message.get("content"):
        parts.append({"text": text})
    calls = message.get("tool_calls", ())
    parts += [
        _build_call(call["function"]["name"], call["function"]["arguments"]) for call in calls
    ]
    if thought and len(parts) > 1:
        parts[1]["thoughtSignature"] = sign_thought(thought)
    candidate["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    if choice["finish_reason"] is not None:
        candidate["finishReason"] = _FINISH_REASONS[choice["finish_reason"]]
    return candidate


def _build_call(name: str, arguments: str) -> dict[str, Any]:
    """Return the part of a call; without arguments there are no `args` at all."""
    if arguments == "{}":
        return {"functionCall": {"name": name}}
    try:
        values = msgspec.json.decode(arguments)
    except msgspec.DecodeError:  # a limit has cut them
        values = {}
    return {"functionCall": {"name": name, "args": values}}


def _name_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    identity = str(answer["id"]).partition("-")[2]
    return {"modelVersion": answer["model"], "responseId": identity}


def _read_wait(headers: Mapping[str, str]) -> float | None:
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    wait = headers.get("retry-after")
    if wait is None or wait.isdigit():
        return None if wait is None else float(wait)
    return max(parsedate_to_datetime(wait).timestamp() - time.time(), 0)


def _build_error(words: Words, status: int, details: list[dict[str, Any]]) -> dict[str, Any]:
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    message = _MESSAGES.get(words.code or "", words.message)
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = details
    return {"error": error}
