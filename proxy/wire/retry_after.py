"""When a provider says that it may be asked again: its headers -> seconds."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_S = 24 * 3600.0

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_LONGEST_DATE = 64


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
    milliseconds = _read_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _bound(milliseconds / 1000.0)
    value = headers.get("retry-after", "")
    seconds = _read_number(value)
    if seconds is None:
        seconds = _read_date(value, now_at)
    return None if seconds is None else _bound(seconds)


def _read_number(text: str) -> float | None:
    # float() alone would take "inf", "nan", "1_0" and digits of any script.
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _read_date(text: str, now_at: float) -> float | None:
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            # "-0000", or no zone at all: HTTP's dates are UTC, never this machine's zone.
            date = date.replace(tzinfo=UTC)
        return date.timestamp() - now_at
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bound(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)
