"""Tests of `proxy/wire/thought_signature.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.chat import Maker
from proxy.wire.thought_signature import (
    MARK,
    split_call_signature,
    unwrap_signature,
    wrap_call_signature,
    wrap_signature,
)

MAKERS: tuple[Maker, ...] = ("anthropic", "gemini", "openai")


def test_a_signature_of_anthropics_stays_as_it_is() -> None:
    """Its maker gets back the very bytes that it has signed."""
    assert wrap_signature("anthropic", "EqQBCkYIARgC+/=") == "EqQBCkYIARgC+/="
    assert unwrap_signature("EqQBCkYIARgC+/=") == ("anthropic", "EqQBCkYIARgC+/=")


@given(st.sampled_from(MAKERS), st.none() | st.text(min_size=1))
def test_what_is_wrapped_comes_back(maker: Maker, signature: str | None) -> None:
    """Maker and signature survive the way to the client and back, full stops and all."""
    if maker == "anthropic" and signature is not None and signature.startswith(MARK):
        return
    assert unwrap_signature(wrap_signature(maker, signature)) == (maker, signature)


def test_a_thought_without_a_signature_is_told_from_a_signed_one() -> None:
    """The mark names its maker even where there is nothing to wrap."""
    assert wrap_signature("openai", None) == "lp1.openai."
    assert wrap_signature("anthropic", None) == "lp1.anthropic."
    assert unwrap_signature("lp1.openai.") == ("openai", None)
    assert unwrap_signature("") == ("anthropic", None)


@pytest.mark.parametrize("shown", ["lp1.", "lp1.openai", "lp1.nobody.abc", "lp1..abc"])
def test_a_mark_that_is_not_ours_is_taken_for_anthropics(shown: str) -> None:
    """Nothing that a client sends is taken for a maker that does not exist."""
    assert unwrap_signature(shown) == ("anthropic", shown)


def test_the_signature_of_a_call_is_told_from_that_of_a_thought() -> None:
    """Both are Gemini's, and each goes back to where it has come from."""
    shown = wrap_call_signature("EpwC+/=")
    assert split_call_signature(*unwrap_signature(shown)) == (None, "EpwC+/=")
    shown = wrap_signature("gemini", "EpwC+/=")
    assert split_call_signature(*unwrap_signature(shown)) == ("EpwC+/=", None)
    assert split_call_signature("openai", "call.x") == ("call.x", None)
    assert split_call_signature("gemini", None) == (None, None)
