"""Rate limits in the words of OpenAI's headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.openai_rate_headers import build_duration, build_rate_headers


def test_a_limit_is_told_in_three_headers() -> None:
    """The names and the form that SDKs and dashboards know."""
    assert build_rate_headers(4000, 3999, 0.03) == {
        "x-ratelimit-limit-requests": "4000",
        "x-ratelimit-remaining-requests": "3999",
        "x-ratelimit-reset-requests": "30ms",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.1201, "121ms"),
        (0.9999, "1s"),
        (1.0, "1s"),
        (1.0000000001, "1s"),
        (1.2, "2s"),
        (59.5, "1m0s"),
        (360.0, "6m0s"),
        (3599.1, "1h0m0s"),
        (3661.0, "1h1m1s"),
        (90_000.0, "25h0m0s"),
    ],
)
def test_durations_look_like_openais(seconds: float, text: str) -> None:
    """`120ms`, `1s`, `6m0s`: milliseconds below a second, whole seconds above, rounded up."""
    assert build_duration(seconds) == text


@given(st.floats(0.0, 1e6))
def test_a_duration_is_never_too_short(seconds: float) -> None:
    """Read back it is at least what it stands for, and less than a second more."""
    text = build_duration(seconds)
    if text.endswith("ms"):
        read_s = int(text[:-2]) / 1000
    else:
        parts = text.replace("h", ":").replace("m", ":").removesuffix("s").split(":")
        read_s = sum(int(part) * 60**power for power, part in enumerate(reversed(parts)))
    assert -1e-5 <= read_s - seconds < 1.0
