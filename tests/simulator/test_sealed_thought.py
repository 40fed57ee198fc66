"""Thoughts that nobody can read or change."""

import pytest

from proxy.simulator.sealed_thought import is_sealed, seal_thought


@pytest.mark.parametrize("text", ["", "I think", "caf\u00e9 \U0001f600"])
def test_what_was_sealed_is_known_again(text: str) -> None:
    """And cannot be read at a glance."""
    sealed = seal_thought(text)
    assert is_sealed(sealed)
    assert not text or text not in sealed


@pytest.mark.parametrize("content", ["", "gAAAA", "x", "lp1.gemini.abc", "gAAAAqqq", "\u00e9"])
def test_anything_else_is_not(content: str) -> None:
    """Other marks, other bytes, none at all."""
    assert not is_sealed(content)


def test_a_changed_thought_is_not() -> None:
    """One letter is enough."""
    sealed = seal_thought("I think")
    assert not is_sealed(sealed[:-5] + ("A" if sealed[-5] != "A" else "B") + sealed[-4:])
