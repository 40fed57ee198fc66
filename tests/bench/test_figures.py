"""Tests of how figures are printed."""

import pytest

from bench.budgets import find_figure
from bench.figures import FIGURES


def test_names_are_unique() -> None:
    """No two figures share a name."""
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("requests_per_s", 7912.4, "7,912"),
        ("p50_ms", 0.25, "0.250"),
        ("rss_idle_mb", 41.26, "41.3"),
    ],
)
def test_a_figure_prints_with_its_own_digits(name: str, value: float, expected: str) -> None:
    """Rates are whole numbers with separators, latencies have three digits, memory has one."""
    assert expected == find_figure(name).format(value)
