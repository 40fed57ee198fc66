"""Anthropic's answer to how many tokens a prompt has, and our own estimate of it."""

from proxy.wire.base import Ask
from proxy.wire.json_text import encode
from proxy.wire.usage_estimate import count_files, estimate_usage

TOKENS_PER_FILE = 1600
"""What Anthropic says a picture of full size costs; of a document it is a page or two."""


def build_token_count(input_tokens: int) -> bytes:
    """Return the body of an answer to `count_tokens`."""
    return encode({"input_tokens": input_tokens})


def estimate_token_count(ask: Ask) -> int:
    """
    Return how many tokens a prompt has, as far as bytes can tell, rounded up.

    Agents shorten their prompts by this count: rather too many than too few, so that files
    count too, which an estimate of what is billed leaves out.

    Args:
        ask: what was asked; nothing but its prompt, its system prompt and its tools count.

    Source: wire-formats §2.8; tests/wire/test_anthropic_count.py.
    """
    return estimate_usage(ask, 0).input_tokens + TOKENS_PER_FILE * count_files(ask)
