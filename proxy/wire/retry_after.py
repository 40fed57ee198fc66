"""When a provider says that it may be asked again: its headers -> seconds."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_S = 24 * 3600.0


def parse_retry_after(headers: Mapping[str, str], now_at: float) -> float | None:
    """
    Return how long to wait, or None if the headers do not say.

    `retry-after-ms` goes before `retry-after`, which is seconds (also a fraction) or a date.

    Args:
        headers: names in lower case.
        now_at: epoch seconds, for dates.

    Returns:
        0 or more seconds, at most LONGEST_S.

    Source: RFC 9110 section 10.2.3; openai-python for `retry-after-ms`;
    tests/wire/test_retry_after.py.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000.0)
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds)
    try:
        return _bounded(parsedate_to_datetime(value).timestamp() - now_at)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    # NaN compares unequal to itself: a provider's "nan" is no number.
    return number if number == number else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)
