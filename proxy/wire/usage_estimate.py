"""Token counts of an answer whose provider has told none: estimated from bytes."""

import re
from collections.abc import Iterator

from proxy.domain.usage import Usage
from proxy.wire.base import Ask

BYTES_PER_TOKEN = 4

_PROMPT_FIELDS = ("messages", "prompt", "input", "tools", "functions", "system", "instructions")
_EMBEDDED_FILE = re.compile(rb'"data:[\w.+-]{1,64}/[\w.+-]{1,64};base64,[A-Za-z0-9+/=]*"')
# Anthropic's clients write a file as {"type": "base64", "media_type": ..., "data": ...}.
_EMBEDDED_SOURCE = re.compile(rb'"data"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}"[A-Za-z0-9+/=]{64,}"')
PICTURE_LIST = re.compile(
    rb'"images"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}\[[ \t\r\n]{0,8}"[A-Za-z0-9+/=", \t\r\n]*\]'
)
"""How Ollama's clients write pictures: as Base64 beside the text of a message."""


def estimate_usage(ask: Ask, said_bytes: int) -> Usage:
    """
    Return what an answer has consumed, as far as bytes can tell.

    Args:
        ask: what was asked; its prompt counts as JSON, without files embedded as base64,
            whose size says nothing about tokens.
        said_bytes: text, reasoning and arguments of tool calls that were delivered.

    Returns:
        A quarter of the bytes on either side, rounded up, marked as estimated.

    Source: reliability row U34; tests/wire/test_usage_estimate.py.
    """
    prompt_bytes = sum(len(text) - sum(_measure_files(text)) for text in _list_prompts(ask))
    return Usage(
        input_tokens=_to_tokens(prompt_bytes),
        output_tokens=_to_tokens(said_bytes),
        source="estimated",
    )


def count_files(ask: Ask) -> int:
    """Return how many files are embedded in a prompt as Base64."""
    return sum(sum(1 for _ in _measure_files(text)) for text in _list_prompts(ask))


def _list_prompts(ask: Ask) -> list[bytes]:
    said = [bytes(ask.fields[name]) for name in _PROMPT_FIELDS if name in ask.fields]
    return said + [bytes(item) for item in ask.history]


def _measure_files(text: bytes) -> Iterator[int]:
    """Give the bytes of each embedded file; most prompts have none, which is seen at a glance."""
    if b";base64," in text:
        yield from (len(found.group()) for found in _EMBEDDED_FILE.finditer(text))
    if b'"base64"' in text:
        yield from (len(found.group()) for found in _EMBEDDED_SOURCE.finditer(text))
    if b'"images"' in text:
        yield from (len(found.group()) for found in PICTURE_LIST.finditer(text))


def _to_tokens(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)
