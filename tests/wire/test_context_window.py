"""A window grows in few steps, holds the request and its answer, and never leaves its bounds."""

import pytest

from proxy.wire.context_window import (
    TOKENS_PER_PICTURE,
    USUAL_ANSWER_TOKENS,
    WindowBounds,
    choose_window,
)

BOUNDS = WindowBounds(8192, 131_072)


@pytest.mark.parametrize(
    ("prompt_bytes", "pictures", "answer", "asked", "window"),
    [
        (10, 0, None, None, 8192),
        (3 * (8192 - USUAL_ANSWER_TOKENS), 0, None, None, 8192),
        (3 * (8192 - USUAL_ANSWER_TOKENS) + 1, 0, None, None, 16_384),
        (3 * 8000, 0, 192, None, 8192),
        (3 * 8000, 0, 193, None, 16_384),
        (0, 3, 8192 - 3 * TOKENS_PER_PICTURE, None, 8192),
        (0, 3, 8193 - 3 * TOKENS_PER_PICTURE, None, 16_384),
        (10, 0, None, 40_000, 40_000),
        (10, 0, None, 2048, 8192),
        (10, 0, None, 1_000_000, 131_072),
        (90_000_000, 0, None, None, 131_072),
        (10, 0, 2**31 - 1, None, 131_072),
    ],
)
def test_the_window_holds_what_is_needed(
    prompt_bytes: int, pictures: int, answer: int | None, asked: int | None, window: int
) -> None:
    """It is doubled until all fits, is not below what was asked for, and ends at its bound."""
    assert choose_window(prompt_bytes, pictures, answer, asked, BOUNDS) == window


def test_a_model_with_less_goes_before_the_lowest_bound() -> None:
    """A model that knows fewer tokens than the least that is asked for is not asked for more."""
    assert choose_window(10, 0, None, None, WindowBounds(8192, 2048)) == 2048
