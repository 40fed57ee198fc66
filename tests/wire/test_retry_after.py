"""Tests of `proxy/wire/retry_after.py`."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.retry_after import (
    LONGEST_S,
    find_said_wait,
    parse_duration,
    parse_limit_resets,
    parse_retry_after,
)

NOW_AT = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.fixture
def far_from_utc() -> Iterator[None]:
    """Run in a time zone in which a date taken for local time would be hours off."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Auckland"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250.5", "retry-after": "9"}, 0.2505),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "99999999999"}, LONGEST_S),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 -0000"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 09:28:30 +0200"}, 30.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed Oct 21 07:28:30 2015"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0.0),
    ],
    ids=str,
)
def test_a_wait_is_read_in_each_of_its_forms(
    far_from_utc: None, headers: dict[str, str], wait_s: float
) -> None:
    """Milliseconds, seconds, fractions and dates give seconds, whatever this machine's zone."""
    assert parse_retry_after(headers, NOW_AT) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "nan", "inf", "-inf", "Infinity", "-5", "1_0", "1e3", "٣", "0x10", "1,5", "5s"],
)
def test_what_is_no_wait_is_none(value: str) -> None:
    """Nothing that is not plainly a number or a date makes us wait."""
    assert parse_retry_after({"retry-after": value, "retry-after-ms": value}, NOW_AT) is None


def test_no_header_is_no_wait() -> None:
    """Without the headers the answer is None."""
    assert parse_retry_after({}, NOW_AT) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} [\d:]{1,12}.{0,9}"))
def test_any_text_is_bounded_or_none(value: str) -> None:
    """No header raises, and none makes us wait longer than a day."""
    wait_s = parse_retry_after({"retry-after": value}, NOW_AT)
    assert wait_s is None or 0.0 <= wait_s <= LONGEST_S


# --- headers of limits ------------------------------------------------------------------------

RESETS: dict[str, tuple[dict[str, str], float | None]] = {
    "openai tokens": (
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        360.0,
    ),
    "openai both": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-reset-tokens": "1s",
        },
        8.64,
    ),
    "openai neither": (
        {
            "x-ratelimit-remaining-requests": "10",
            "x-ratelimit-remaining-tokens": "812",
            "x-ratelimit-reset-requests": "8.64s",
            "x-ratelimit-reset-tokens": "59.2s",
        },
        None,
    ),
    "groq minute": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        7.66,
    ),
    "groq day": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-remaining-tokens": "5997",
            "x-ratelimit-reset-requests": "1h26m24s",
            "x-ratelimit-reset-tokens": "30ms",
        },
        5184.0,
    ),
    "azure": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-remaining-tokens": "9340",
            "x-ratelimit-reset-requests": "9",
        },
        9.0,
    ),
    "cerebras": (
        {
            "x-ratelimit-remaining-requests-day": "990",
            "x-ratelimit-remaining-tokens-minute": "0",
            "x-ratelimit-reset-requests-day": "33011.382867",
            "x-ratelimit-reset-tokens-minute": "11.382867",
        },
        11.382867,
    ),
    "anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2015-10-21T07:28:01Z",
            "anthropic-ratelimit-input-tokens-limit": "30000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2015-10-21T07:28:41Z",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2015-10-21T07:28:00Z",
        },
        41.0,
    ),
    "anthropic unified": ({"anthropic-ratelimit-unified-reset": "1445412780"}, 300.0),
    "openrouter": (
        {
            "x-ratelimit-limit": "20",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1445412510000",
        },
        30.0,
    ),
    "openrouter with a fraction": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1445412510.5"},
        30.5,
    ),
    "ietf draft": ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
    "nothing of what remains": (
        {"x-ratelimit-reset-requests": "23h10m0s", "x-ratelimit-reset-tokens": "5s"},
        5.0,
    ),
    "one used up, one untold": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "9s",
            "x-ratelimit-reset-tokens": "5s",
        },
        9.0,
    ),
    "one left, one untold": (
        {
            "x-ratelimit-remaining-requests": "7",
            "x-ratelimit-reset-requests": "9s",
            "x-ratelimit-reset-tokens": "50s",
        },
        50.0,
    ),
    "used up, but no reset that can be read": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "soon",
            "x-ratelimit-remaining-tokens": "3",
            "x-ratelimit-reset-tokens": "50s",
        },
        None,
    ),
    "remaining that cannot be read": (
        {"x-ratelimit-remaining-tokens": "few", "x-ratelimit-reset-tokens": "5s"},
        5.0,
    ),
    "in the past": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2015-10-21T07:00:00+00:00"},
        0.0,
    ),
    "another zone": ({"x-ratelimit-reset": "2015-10-21 09:28:30.25+02:00"}, 30.25),
    "nanoseconds": ({"x-ratelimit-reset": "2015-10-21t07:28:30.123456789z"}, 30.123456),
    "further than a day": ({"x-ratelimit-reset": "2016-01-01T00:00:00Z"}, LONGEST_S),
    "no such day": ({"x-ratelimit-reset": "2015-02-30T00:00:00Z"}, None),
    "before all time": ({"x-ratelimit-reset": "0001-01-01T00:00:00+23:59"}, 0.0),
    "other resets": ({"x-password-reset": "5s", "x-ratelimit-remaining": "0"}, None),
    "no headers": ({}, None),
}


@pytest.mark.parametrize("case", RESETS)
def test_the_limit_that_was_reached_tells_the_wait(far_from_utc: None, case: str) -> None:
    """Of used-up limits the last reset counts, of those that tell nothing left the first."""
    headers, wait_s = RESETS[case]
    assert parse_limit_resets(headers, NOW_AT) == (
        None if wait_s is None else pytest.approx(wait_s, abs=1e-5)
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("34.4s", 34.4),
        ("34.074824224s", 34.074824224),
        ("0s", 0.0),
        ("1s", 1.0),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("1h0m0.5s", 3600.5),
        ("1d", 86400.0),
        ("25h", LONGEST_S),
        (" 5 s ", 5.0),
        ("1M30S", 90.0),
        ("2 minutes 5 seconds", 125.0),
        ("", None),
        ("5", None),
        ("-5s", None),
        ("s", None),
        ("5x", None),
        ("5sx", None),
        ("5s later", None),
        ("1e3s", None),
        ("\u0663s", None),
        ("1s" * 7, None),
        ("9" * 10 + "s", None),
    ],
    ids=str,
)
def test_durations_are_read_and_nothing_else(text: str, seconds: float | None) -> None:
    """Hours to milliseconds, together or alone; what is no duration throughout is None."""
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Used 29000, Requested 2000. Please try again in 2s. Visit https://x.test",
            2.0,
        ),
        ("Limit 3, Used 3, Requested 1. Please try again in 20ms.", 0.02),
        (
            "Rate limit reached for model `m` on tokens per day (TPD): Limit 100000, Used 99337, "
            "Requested 1172. Please try again in 7m19.776s. Need more tokens?",
            439.776,
        ),
        (
            "Requests to the ChatCompletions_Create Operation have exceeded token rate limit of "
            "your current pricing tier. Please retry after 6 seconds. Please go here: x.test",
            6.0,
        ),
        ("* Quota exceeded for metric: x, limit: 20\nPlease retry in 36.429760048s.", 36.429760048),
        ("Try again after 1 minute", 60.0),
        ("try again in 1h 30m or pay", 5400.0),
        ("try again in 90 days", LONGEST_S),
        ("Please try again later.", None),
        ("Please retry after a brief wait.", None),
        ("Please try again in 5", None),
        ("try again in 5 steps", None),
        ("poetry in 5s", None),
        ("x" * 5000 + " try again in 5s", None),
        ("try again in " * 100_000, None),
        ("try again in " + "1 " * 100_000, None),
        ("", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wait_in_words_is_found(message: str, seconds: float | None) -> None:
    """The words of OpenAI, Groq, Azure and Gemini give seconds, vaguer ones give None."""
    assert find_said_wait(message) == (None if seconds is None else pytest.approx(seconds))


_ANY_WAIT = st.text(max_size=80) | st.from_regex(
    r"-?[0-9]{0,20}(\.[0-9]{0,20})?(ms|[dhmsZT:+ -]|e9|inf|nan){0,3}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})",
    fullmatch=True,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"{name}-{suffix}"
                for name in ("x-ratelimit-reset", "x-ratelimit-remaining")
                for suffix in ("requests", "tokens")
            ]
        ),
        _ANY_WAIT,
    ),
    st.floats(0.0, 1e11),
)
def test_any_headers_are_bounded_or_none(headers: dict[str, str], now_at: float) -> None:
    """Whatever a provider says of its limits, nothing raises and no wait is above a day."""
    wait_s = parse_limit_resets(headers, now_at)
    assert wait_s is None or 0.0 <= wait_s <= LONGEST_S


@given(_ANY_WAIT)
def test_any_words_are_bounded_or_none(text: str) -> None:
    """Whatever stands where a duration may stand, nothing raises and no wait is above a day."""
    for wait_s in (parse_duration(text), find_said_wait(f"Please try again in {text}")):
        assert wait_s is None or 0.0 <= wait_s <= LONGEST_S
