"""Token counts of an answer whose provider has told none: estimated from bytes."""

import re

from proxy.domain.usage import Usage
from proxy.wire.base import Ask

BYTES_PER_TOKEN = 4

_PROMPT_FIELDS = ("messages", "prompt", "input", "tools", "functions")
_EMBEDDED_FILE = re.compile(rb'"data:[\w.+-]{1,64}/[\w.+-]{1,64};base64,[A-Za-z0-9+/=]*"')


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
    prompt_bytes = sum(_count_prompt(bytes(ask.fields.get(name, b""))) for name in _PROMPT_FIELDS)
    return Usage(
        input_tokens=_to_tokens(prompt_bytes),
        output_tokens=_to_tokens(said_bytes),
        source="estimated",
    )


def _count_prompt(text: bytes) -> int:
    if b";base64," not in text:
        return len(text)
    return len(text) - sum(len(found.group()) for found in _EMBEDDED_FILE.finditer(text))


def _to_tokens(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)
