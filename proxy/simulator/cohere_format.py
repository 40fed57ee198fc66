"""
Cohere's format of answers: messages whole and as events, vectors, and its errors.

Requests are read by `cohere_ask.py`.

Source: Cohere's API, version 2.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode

_FINISH_REASONS = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
}
_MESSAGES = {
    "context_length_exceeded": (
        "too many tokens: total number of tokens in the prompt cannot exceed 8192 - received 9001."
    ),
    "insufficient_quota": "Please add or update your payment method at the billing page.",
    "invalid_api_key": "invalid api token",
}
_Kind = Literal["text", "thinking"]


def encode_event(value: Mapping[str, Any]) -> bytes:
    """Return one event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), encode(value))


class CohereFormat:
    """Answers of `/v2/chat` and `/v2/embed`."""

    name = "cohere"
    headers: Headers = ()
    done = b""
    broken_frame = (
        b'event: content-delta\ndata: {"type":"content-delta","index":0,'
        b'"delta":{"message":{"content":{"text":"oh\n\n'
    )
    has_usage_chunk = False
    usage_field = "usage"

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return the events that each chunk stands for, blocks begun and ended as needed."""
        stream = _Stream(usage)
        return [stream.encode(chunk) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a message, or vectors."""
        if "choices" not in body:
            return encode(self._build_vectors(body))
        choice = body["choices"][0]
        reason = choice["finish_reason"]
        answer: dict[str, Any] = {
            "id": _name_answer(body),
            "message": _build_message(choice["message"]),
        }
        if reason is not None:
            answer["finish_reason"] = _FINISH_REASONS[reason]
        if "usage" in body:
            answer["usage"] = self.build_usage(body["usage"])
        return encode(answer)

    def build_usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return usage of which the template around the prompt is not billed."""
        inputs, outputs = usage["prompt_tokens"], usage.get("completion_tokens", 0)
        counts: dict[str, Any] = {
            "billed_units": {"input_tokens": inputs - 1, "output_tokens": outputs},
            "tokens": {"input_tokens": inputs, "output_tokens": outputs},
        }
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return counts | {"cached_tokens": cached} if cached else counts

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return Cohere's error, which is nothing but words; an empty account is its 402."""
        if words.code == "insufficient_quota":
            status = 402
        return status, JSON_HEADERS + headers, encode({"id": "simulator", "message": _say(words)})

    def frame_error(self, words: Words) -> bytes:
        """Return the end of a stream that has failed."""
        delta = {"error": _say(words), "finish_reason": "ERROR"}
        return encode_event({"type": "message-end", "delta": delta})

    def _build_vectors(self, body: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "id": "simulator",
            "embeddings": {"float": [item["embedding"] for item in body["data"]]},
            "response_type": "embeddings_by_type",
        }
        if "usage" in body:
            billed = {"input_tokens": body["usage"]["prompt_tokens"]}
            answer["meta"] = {"api_version": {"version": "2"}, "billed_units": billed}
        return answer


COHERE = CohereFormat()


class _Stream:
    """What has been begun so far: the message, a block of content, a call."""

    def __init__(self, usage: Mapping[str, Any] | None) -> None:
        self._usage = usage
        self._has_started = False
        self._block: _Kind | None = None
        self._blocks = -1
        self._calls = -1
        self._in_call = False
        self._held = ""
        self._has_arguments = False

    def encode(self, chunk: Chunk) -> bytes:
        out: list[dict[str, Any]] = []
        if not chunk["choices"]:
            # A chunk with nothing but usage: what was told before is told anew.
            self._usage = chunk.get("usage") or self._usage
            return b""
        if not self._has_started:
            self._has_started = True
            message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
            start = {"type": "message-start", "id": _name_answer(chunk)}
            out.append({**start, "delta": {"message": message}})
        choice = chunk["choices"][0]
        delta = choice["delta"]
        if thought := delta.get("reasoning_content"):
            self._say("thinking", thought, out)
        if text := delta.get("content") or delta.get("refusal"):
            self._say("text", text, out)
        for call in delta.get("tool_calls", ()):
            self._call(call, out)
        if choice["finish_reason"] is not None:
            self._end_open(out)
            end: dict[str, Any] = {"finish_reason": _FINISH_REASONS[choice["finish_reason"]]}
            if self._usage is not None:
                end["usage"] = COHERE.build_usage(self._usage)
            out.append({"type": "message-end", "id": _name_answer(chunk), "delta": end})
        return b"".join([encode_event(event) for event in out])

    def _say(self, kind: _Kind, text: str, out: list[dict[str, Any]]) -> None:
        if self._block != kind:
            self._end_open(out)
            self._block = kind
            self._blocks += 1
            out.append(self._content("content-start", {"type": kind, kind: ""}))
        out.append(self._content("content-delta", {kind: text}))

    def _content(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        return {"type": name, "index": self._blocks, "delta": {"message": {"content": content}}}

    def _call(self, call: Mapping[str, Any], out: list[dict[str, Any]]) -> None:
        function = call["function"]
        if "id" in call:
            self._end_open(out)
            self._in_call, self._held, self._has_arguments = True, "", False
            self._calls += 1
            named = {"name": function["name"], "arguments": ""}
            begun = {"id": call["id"], "type": "function", "function": named}
            out.append(self._piece("tool-call-start", begun))
        self._held += function["arguments"]
        # Without arguments nothing more is told of a call.
        if self._has_arguments or self._held not in ("", "{", "{}"):
            self._tell_arguments(out)

    def _tell_arguments(self, out: list[dict[str, Any]]) -> None:
        if self._held:
            out.append(self._piece("tool-call-delta", {"function": {"arguments": self._held}}))
        self._held, self._has_arguments = "", True

    def _piece(self, name: str, call: dict[str, Any]) -> dict[str, Any]:
        return {"type": name, "index": self._calls, "delta": {"message": {"tool_calls": call}}}

    def _end_open(self, out: list[dict[str, Any]]) -> None:
        if self._block is not None:
            out.append({"type": "content-end", "index": self._blocks})
        if self._in_call:
            if self._held == "{":  # a limit has cut them
                self._tell_arguments(out)
            out.append({"type": "tool-call-end", "index": self._calls})
        self._block, self._in_call = None, False


def _build_message(message: Mapping[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if thought := message.get("reasoning_content"):
        content.append({"type": "thinking", "thinking": thought})
    if text := message.get("content") or message.get("refusal"):
        content.append({"type": "text", "text": text})
    built: dict[str, Any] = {"role": "assistant"}
    if content:
        built["content"] = content
    if calls := message.get("tool_calls"):
        built["tool_calls"] = [_build_call(call) for call in calls]
    return built


def _build_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call; without arguments it has the text `null` for them."""
    function = dict(call["function"])
    if function["arguments"] == "{}":
        function["arguments"] = "null"
    return {"id": call["id"], "type": "function", "function": function}


def _name_answer(answer: Mapping[str, Any]) -> str:
    return str(answer["id"]).partition("-")[2]


def _say(words: Words) -> str:
    return _MESSAGES.get(words.code or "", words.message)
