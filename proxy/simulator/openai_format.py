"""OpenAI's own format: drafts are in it already, so there is nothing to translate."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode


def encode_frame(value: object) -> bytes:
    """Return one event of an event stream."""
    return b"data: " + encode(value) + b"\n\n"


def encode_error(words: Words) -> bytes:
    """Return OpenAI's error object."""
    return encode({"error": words})


class OpenAIFormat:
    """Chunks and bodies as they were planned."""

    name = "openai"
    headers: Headers = ()
    done = b"data: [DONE]\n\n"
    broken_frame = b'data: {"id":"broken","choices":[{"index":0,"delta":{"content":"oh\n\n'
    has_usage_chunk = True
    usage_field = "usage"

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return one event for each chunk."""
        return [encode_frame(chunk) for chunk in chunks]

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return it as JSON."""
        return encode(body)

    def build_usage(self, usage: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return it as it is."""
        return usage

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return it under the status that it has."""
        return status, JSON_HEADERS + headers, encode_error(words)

    def frame_error(self, words: Words) -> bytes:
        """Return the error object as an event."""
        return b"data: " + encode_error(words) + b"\n\n"


OPENAI = OpenAIFormat()
