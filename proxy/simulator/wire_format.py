"""
How a provider writes its answers: what the simulator's drafts and faults ask of a wire format.

A draft is always planned as OpenAI would chunk it (see `chat.py`); a format says what bytes each
chunk is on the wire. Written from the vendors' formats, not from what this proxy reads of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from proxy.domain.errors import ProxyError

Chunk = Mapping[str, Any]
Headers = tuple[tuple[str, str], ...]
JSON_HEADERS: Headers = (("content-type", "application/json"),)


class Words(Struct, frozen=True):
    """What is wrong, in the four fields of OpenAI's error object."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


def describe_error(error: ProxyError) -> Words:
    """Return what an error says of itself."""
    return Words(error.message, error.type, error.param, error.code)


class WireFormat(Protocol):
    """One vendor's way to write answers."""

    name: str
    headers: Headers
    """What every answer carries besides its content type."""
    done: bytes
    """The event that ends a stream, b"" where there is none."""
    broken_frame: bytes
    """An event whose JSON never ends."""
    has_usage_chunk: bool
    """Usage comes in a chunk of its own, if it was asked for; else it always comes."""
    usage_field: str
    """Where the usage of a whole answer stands."""

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """
        Return the events of each chunk, as many items as there are chunks; b"" for none.

        Args:
            chunks: a whole stream as OpenAI would send it, or the beginning of one.
            usage: what the answer has used, in OpenAI's fields; None: it is not told.
        """

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a whole answer, given as OpenAI's."""

    def build_usage(self, usage: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what stands in `usage_field`."""

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return status, headers and body of an error that has no other answer around it."""

    def frame_error(self, words: Words) -> bytes:
        """Return the event by which a stream says that it has failed."""
