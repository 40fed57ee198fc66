"""Splitting and counting agree, for any text."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.tokens import count_tokens, split_tokens


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    """No character is lost or changed by splitting."""
    assert "".join(split_tokens(text)) == text


@given(st.text())
def test_counting_is_splitting(text: str) -> None:
    """The count is the number of tokens, each of which has at least one character."""
    tokens = split_tokens(text)
    assert count_tokens(text) == len(tokens)
    assert all(tokens)


def test_words_and_marks_are_tokens() -> None:
    """A word takes the space before it; a mark is a token; long words are broken."""
    assert split_tokens("Olá, big world!\n") == ["Olá", ",", " big", " world", "!", "\n"]
    assert split_tokens("x" * 20) == ["x" * 16, "x" * 4]
