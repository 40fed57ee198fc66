"""What unquoted words of YAML mean."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.node import Scalar
from proxy.config.scalar import RefusedScalar, read_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("no", False),
        ("On", True),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.0e+3", 1000.0),
        ("1e3", "1e3"),
        ("gpt-4", "gpt-4"),
        ("gpt-4-2024-08-06", "gpt-4-2024-08-06"),
        ("127.0.0.1", "127.0.0.1"),
        ("=", "="),
    ],
)
def test_plain_words(text: str, value: Scalar) -> None:
    """Words mean what YAML 1.1 says, with their exact type."""
    read = read_plain(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "0123",
        "0x1f",
        "0b1",
        "1_000",
        "1:30",
        "12:30:45",
        "1:30.5",
        ".inf",
        "-.Inf",
        ".nan",
        "1.0e+999",
        "9" * 5000,
        "2024-01-01",
        "2024-01-01 10:00:00",
        "<<",
    ],
)
def test_words_with_a_surprising_meaning_are_refused(text: str) -> None:
    """Octal, base 60, infinite and endless numbers, dates and merge keys are not read."""
    assert isinstance(read_plain(text), RefusedScalar)


@given(st.text(alphabet="0123456789+-._:eExXoObBinfaINFATtZz~ <=", max_size=40))
def test_any_word_is_read_or_refused(text: str) -> None:
    """No word makes the reader fail, and no number that comes out is infinite."""
    value = read_plain(text)
    assert not isinstance(value, float) or math.isfinite(value)
