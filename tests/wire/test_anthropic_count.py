"""Tests of `proxy/wire/anthropic_count.py`."""

from anthropic.types import MessageTokensCount
from msgspec import Raw

from proxy.wire.anthropic_count import TOKENS_PER_FILE, build_token_count, estimate_token_count
from proxy.wire.base import Ask


def estimated(**fields: bytes) -> int:
    return estimate_token_count(
        Ask("count_tokens", "m", {name: Raw(raw) for name, raw in fields.items()})
    )


def test_the_answer_is_what_the_sdk_reads() -> None:
    """Anthropic's own type takes the answer."""
    body = build_token_count(123)
    assert body == b'{"input_tokens":123}'
    assert MessageTokensCount.model_validate_json(body).input_tokens == 123


def test_prompt_system_and_tools_count_rounded_up() -> None:
    """Four bytes are a token, and a rest of one byte is one more; settings do not count."""
    assert estimated(messages=b"x" * 9, system=b"x" * 4, tools=b"x" * 4) == 5
    assert estimated(messages=b"x" * 8, thinking=b"x" * 400) == 2


def test_an_embedded_picture_counts_as_one_of_full_size() -> None:
    """The bytes of a file say nothing about its tokens, and none at all would be too few."""
    image = b'{"type":"base64","media_type":"image/png","data":"' + b"A" * 100_000 + b'"}'
    assert TOKENS_PER_FILE < estimated(messages=b"[" + image + b"]") < TOKENS_PER_FILE + 100
