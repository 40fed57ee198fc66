"""When a provider says that it may be asked again, in each of its dialects -> seconds."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 24 * 3600.0

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_LONGEST_VALUE = 64
_LEAST_EPOCH_S = 1e9
_LEAST_EPOCH_MS = 1e11
"""No limit is that many seconds long: such a number is a point in time."""

_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNITS = "milliseconds?|ms|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|[dhms]"
# Possessive: no unit begins with a digit, so digits are never worth giving back.
_PART = re.compile(rf"([0-9]{{1,9}}+(?:\.[0-9]{{1,15}}+)?) ?({_UNITS})(?![a-z])", re.ASCII)
_PARTS = rf"(?:{_PART.pattern} ?){{1,6}}"
_DURATION = re.compile(_PARTS, re.ASCII)
_SAID = re.compile(rf"\b(?:try again|retry) (?:in|after) ({_PARTS})", re.ASCII)
_MOST_SAID = 4096
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


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


def parse_limit_resets(headers: Mapping[str, str], now_at: float) -> float | None:
    """
    Return how long until the limit that was reached lets requests through, None if untold.

    Headers such as `x-ratelimit-reset-tokens` and `anthropic-ratelimit-tokens-reset` come for
    every limit, reached or not; the same name with `remaining` tells what is left of it. The
    limits with nothing left count, and the last of them to be reset: before, the others are
    no help. Where there is none, those count of which nothing is said to remain or not, and
    the first of them: a wait that is too short costs one refused request, one that is too
    long a key that works, and many resets are those of a day.

    Args:
        headers: names in lower case. A value is a duration (`1s`, `6m0s`, `120ms`), a number
            of seconds, seconds or milliseconds since the epoch, or a time of RFC 3339.
        now_at: epoch seconds, for points in time.

    Returns:
        0 or more seconds, at most LONGEST_S.

    Source: wire-formats §8; tests/wire/test_retry_after.py has the headers of each provider.
    """
    used_up: list[float] = []
    untold: list[float] = []
    for name, value in headers.items():
        if "limit" not in name or "reset" not in name:
            continue
        wait_s = _read_reset(value, now_at)
        if wait_s is None:
            continue
        remaining = _read_number(headers.get(name.replace("reset", "remaining"), ""))
        if remaining is None:
            untold.append(wait_s)
        elif remaining == 0.0:
            used_up.append(wait_s)
    return max(used_up) if used_up else min(untold, default=None)


def parse_duration(text: str) -> float | None:
    """
    Return the seconds of a duration such as `34.4s`, `6m0s` or `120ms`, None if it is none.

    Returns:
        0 or more seconds, at most LONGEST_S.

    Source: protobuf's JSON of `Duration`, OpenAI's guide to rate limits.
    """
    text = text.strip().lower()
    is_duration = len(text) <= _LONGEST_VALUE and _DURATION.fullmatch(text)
    return _sum_parts(text) if is_duration else None


def find_said_wait(message: str) -> float | None:
    """
    Return the wait that an error's words name, None if they name none.

    Args:
        message: any text; "Please try again in 1.2s", "Please retry after 6 seconds".

    Returns:
        0 or more seconds, at most LONGEST_S.

    Source: the 429s of OpenAI, Groq, Azure and Gemini; tests/wire/test_retry_after.py.
    """
    found = _SAID.search(message[:_MOST_SAID].lower())
    return None if found is None else _sum_parts(found[1])


def _read_reset(text: str, now_at: float) -> float | None:
    number = _read_number(text)
    if number is None:
        wait_s = parse_duration(text)
        return _read_time(text, now_at) if wait_s is None else wait_s
    if number >= _LEAST_EPOCH_MS:
        number = number / 1000.0 - now_at
    elif number >= _LEAST_EPOCH_S:
        number -= now_at
    return _bound(number)


def _read_number(text: str) -> float | None:
    # float() alone would take "inf", "nan", "1_0" and digits of any script.
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _sum_parts(text: str) -> float:
    seconds = 0.0
    for number, unit in _PART.findall(text):
        seconds += float(number) * _UNIT_S["ms" if unit.startswith(("ms", "mil")) else unit[0]]
    return _bound(seconds)


def _read_time(text: str, now_at: float) -> float | None:
    text = text.strip().upper()
    if len(text) > _LONGEST_VALUE or not _TIME.fullmatch(text):
        return None
    try:
        return _bound(datetime.fromisoformat(text).timestamp() - now_at)
    except (ValueError, OverflowError):
        return None


def _read_date(text: str, now_at: float) -> float | None:
    if not text or len(text) > _LONGEST_VALUE:
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
