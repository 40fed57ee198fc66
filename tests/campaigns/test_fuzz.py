"""What the page of the fuzz campaign tells."""

import msgspec

from campaigns.base import build_page
from campaigns.fuzz import build_result
from tests.campaigns.test_base import AT
from tests.faults.fuzz_run import Report

GOOD = Report("bodies", 7, 1000, 0, {200: 300, 400: 700}, 2.0, 1_500_000, {"a": "", "b": ""})
OTHER = Report("requests", 7, 1000, 90, {400: 910}, 4.0, 0, {"a": "", "b": ""})


def test_a_page_has_counts_rates_growth_and_seeds() -> None:
    """Everything that the runs were about stands above or in the table."""
    page = build_page(build_result([GOOD, OTHER]), AT)
    assert "1,000 bodies: 300 x 200, 700 x 400; closed without an answer: 0. 500 cases/s" in page
    assert "1,000 requests: 910 x 400; closed without an answer: 90. 250 cases/s" in page
    assert "memory grew by 1.5 MB" in page
    assert "| check | bodies, seed 7 | requests, seed 7 |" in page
    assert "**passed**, all 2 checks" in page


def test_what_one_run_has_found_fails_the_campaign() -> None:
    """A fault of any run stands in its cell, and its complaint names the seed."""
    bad = msgspec.structs.replace(OTHER, faults={"a": "case 5: a hang", "b": ""})
    assert build_result([GOOD, bad]).failures == ["a"]
    assert bad.complaint == "requests of seed 7\na: case 5: a hang"
    assert GOOD.complaint == ""
