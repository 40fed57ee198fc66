"""Tests of `proxy/wire/responses_thought.py`."""

from base64 import urlsafe_b64encode

import pytest
from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.wire.responses_thought import (
    CallSignature,
    unwrap_thought,
    wrap_call_signature,
    wrap_thought,
)
from proxy.wire.thought_signature import MARK

THOUGHTS = [
    Thought("Let me see \u2013 é", "anthropic", "c2ln"),
    Thought("", "anthropic", "aGlkZGVu", is_redacted=True),
    Thought("So.", "openai"),
    Thought("So.", "gemini", "c2ln"),
    Thought("", "openai", extra=Raw(b'[{"type":"reasoning.encrypted","data":"x"}]')),
]


@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize("thought", THOUGHTS, ids=["signed", "redacted", "bare", "gemini", "extra"])
def test_a_thought_comes_back_as_it_was(thought: Thought, is_shown: bool) -> None:
    """With its text from the summary where it was shown, and from itself where it was not."""
    encrypted = wrap_thought(thought, is_shown=is_shown)
    assert encrypted.startswith(MARK)
    assert unwrap_thought(encrypted, thought.text if is_shown else "") == thought


def test_a_text_that_is_shown_is_not_sent_twice() -> None:
    """What stands in the summary is not in what is kept beside it."""
    thought = Thought("word" * 100, "openai")
    assert len(wrap_thought(thought, is_shown=True)) < 100
    assert len(wrap_thought(thought, is_shown=False)) > 400


def test_the_signature_of_a_call_is_told_from_a_thoughts() -> None:
    """It belongs to the call behind it."""
    assert unwrap_thought(wrap_call_signature("c2ln"), "") == CallSignature("c2ln")


@pytest.mark.parametrize(
    "encrypted",
    [
        None,
        "",
        "gAAAAABopenais",
        MARK,
        MARK + "no base64",
        MARK + urlsafe_b64encode(b"{}").decode(),
        MARK + urlsafe_b64encode(b'{"maker":"nobody"}').decode(),
        MARK + urlsafe_b64encode(b"[" * 100_000).decode(),
        MARK + urlsafe_b64encode(b'{"maker":"gemini","isOfCall":true}').decode(),
    ],
    ids=["none", "empty", "openai", "mark", "text", "object", "maker", "deep", "call"],
)
def test_what_is_not_ours_is_nobodys(encrypted: str | None) -> None:
    """OpenAI's own content, and whatever else stands there, becomes no thought."""
    assert unwrap_thought(encrypted, "a summary") is None
