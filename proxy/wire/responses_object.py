"""The response object: what has been asked, repeated, and how far its answer has come."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from proxy.domain.events import Started
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import encode
from proxy.wire.new_id import build_id, keep_short

MAX_REPEATED_BYTES = 1024 * 1024
"""A field of the request that is longer is not repeated: a stream has the response three times."""
Status = Literal["in_progress", "completed", "incomplete", "failed"]

_NULL = Raw(b"null")
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Between JSON's values a line end is only a blank; in an event it would end the line."""
_BEFORE_MODEL = {
    "background": Raw(b"false"),
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
}
_BEHIND_OUTPUT = {
    "parallel_tool_calls": Raw(b"true"),
    "previous_response_id": _NULL,
    "prompt_cache_key": _NULL,
    "reasoning": Raw(b'{"effort":null,"summary":null}'),
    "safety_identifier": _NULL,
    "service_tier": _NULL,
    "store": Raw(b"true"),
    "temperature": _NULL,
    "text": Raw(b'{"format":{"type":"text"}}'),
    "tool_choice": Raw(b'"auto"'),
    "tools": Raw(b"[]"),
    "top_logprobs": Raw(b"0"),
    "top_p": _NULL,
    "truncation": Raw(b'"disabled"'),
    "user": _NULL,
    "metadata": Raw(b"{}"),
}
"""What the request has not said, as OpenAI says it; of numbers nobody knows the provider's."""
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_objects = msgspec.json.Decoder(list[dict[str, Raw]]).decode


class ResponseObject:
    """The one response of an answer, whose id and time stay the same for all of it."""

    def __init__(self, ask: Ask, response_id: str | None = None) -> None:
        """
        Args:
            ask: what was asked; it is repeated.
            response_id: one that the client knows already; None: it gets a new one.
        """
        self.id = response_id or build_id("resp_")
        self._created_at = ask.asked_at
        self._model = ask.model
        self._before = {name: _repeat(ask, name, raw) for name, raw in _BEFORE_MODEL.items()}
        self._behind = {name: _repeat(ask, name, raw) for name, raw in _BEHIND_OUTPUT.items()}

    def note(self, started: Started) -> None:
        """Take note of who has answered, where the provider says it."""
        self._model = keep_short(started.model) or self._model

    def build(
        self,
        status: Status,
        output: Sequence[object] = (),
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: dict[str, object] | None = None,
    ) -> bytes:
        """
        Return the object as JSON, on one line.

        Args:
            status: how far the answer is.
            output: its items.
            usage: tokens, None as long as the answer goes on.
            reason: why it is `incomplete`.
            error: why it has `failed`.

        Source: wire-formats §2.7; tests/wire/test_responses_object.py.
        """
        return encode(
            {
                "id": self.id,
                "object": "response",
                "created_at": self._created_at,
                "status": status,
                "error": error,
                "incomplete_details": None if reason is None else {"reason": reason},
                **self._before,
                "model": self._model,
                "output": output,
                **self._behind,
                "usage": None if usage is None else _build_usage(usage),
            }
        )


def _repeat(ask: Ask, name: str, unsaid: Raw) -> Raw:
    raw = ask.fields.get(name, unsaid)
    if raw == _NULL or len(memoryview(raw)) > MAX_REPEATED_BYTES:
        return unsaid
    said = Raw(bytes(raw).translate(_ONE_LINE))
    try:
        if name in ("text", "reasoning"):
            return Raw(encode({**_decode_object(unsaid), **_decode_object(said)}))
        if name == "tools":
            # Clients' types want these two, which requests may leave out.
            return Raw(
                encode([{"parameters": None, "strict": None} | t for t in _decode_tools(said)])
            )
    except (ValueError, RecursionError):
        return unsaid
    return said


def _decode_tools(raw: Raw) -> list[dict[str, object]]:
    return [dict(tool) for tool in _decode_objects(raw)]


def _build_usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
