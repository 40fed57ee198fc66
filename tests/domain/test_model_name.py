"""What passes for a model's name."""

import pytest

from proxy.domain.model_name import MAX_NAME_CHARACTERS, is_plain_name


@pytest.mark.parametrize("text", ["gpt-4o", "a/b:c@d", "*", "x" * MAX_NAME_CHARACTERS])
def test_short_printable_words_are_names(text: str) -> None:
    """Whatever is short, printable ASCII and without blanks passes."""
    assert is_plain_name(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a\nb", "a\x00", "\uff47pt-4", "x" * (MAX_NAME_CHARACTERS + 1)]
)
def test_all_else_is_none(text: str) -> None:
    """Nothing that is empty, long, blank inside, unprintable or not ASCII passes."""
    assert not is_plain_name(text)
