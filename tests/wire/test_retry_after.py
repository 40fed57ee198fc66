"""Tests of `proxy/wire/retry_after.py`."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.retry_after import LONGEST_S, parse_retry_after

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
