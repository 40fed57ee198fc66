"""Requests in Anthropic's format have a shape, and nothing else in them."""

import msgspec
import pytest

from proxy.simulator.anthropic_shapes import CountAsked, MessagesAsked, Turn

LEAST = b'"model":"m","messages":[{"role":"user","content":"hi"}]'


def test_a_request_without_a_limit_can_only_be_counted() -> None:
    """`max_tokens` is needed for an answer, and unknown to a count."""
    assert msgspec.json.decode(b"{" + LEAST + b"}", type=CountAsked).model == "m"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"{" + LEAST + b"}", type=MessagesAsked)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"max_tokens":1,' + LEAST + b"}", type=CountAsked)


def test_a_text_is_a_block() -> None:
    """Content that is a text reads as one block of text."""
    (block,) = Turn("user", "hi").blocks
    assert (block.type, block.text) == ("text", "hi")
