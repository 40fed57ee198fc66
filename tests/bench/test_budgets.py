"""Tests of the limits: what meets them and how they carry over to another machine."""

import itertools

import pytest

from bench.budgets import (
    AIM,
    BUDGETS,
    MUST,
    WITH_AIOHTTP,
    WITH_REDIS,
    find_figure,
    is_close,
    is_met,
    scale_limit,
)


def test_every_budget_names_a_figure_and_has_the_limit_that_must_be_met() -> None:
    """Each budget belongs to a known figure and has a limit that must be met."""
    for budget in BUDGETS:
        assert find_figure(budget.figure).name == budget.figure
        assert MUST in budget.limits


def test_an_aim_never_asks_for_less_and_aiohttp_never_for_more() -> None:
    """What should be is at least what must be, and that at least what aiohttp's client must."""
    for budget in BUDGETS:
        figure = find_figure(budget.figure)
        stages = (WITH_AIOHTTP, MUST, AIM)
        limits = [budget.limits[stage] for stage in stages if stage in budget.limits]
        assert all(is_met(figure, hard, easy) for easy, hard in itertools.pairwise(limits))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("requests_per_s", 12_000),
        ("cpu_us_per_request", 80),
        ("cpu_us_per_chunk", 20),
        ("chunks_per_s", 85_000),
        ("p50_ms", 0.08),
        ("ttft_ms", 0.5),
        ("rss_idle_mb", 60),
        ("rss_busy_mb", 85),
        ("start_s", 1.0),
        ("chat_anthropic_cpu_us_per_chunk", 60),
        ("messages_openai_cpu_us_per_chunk", 60),
        ("chat_gemini_cpu_us_per_chunk", 60),
    ],
)
def test_what_must_be_is_with_the_own_client(name: str, limit: float) -> None:
    """The limits that a run is judged by are those for the proxy's own client."""
    (budget,) = (budget for budget in BUDGETS if budget.figure == name)
    assert budget.limits[MUST] == limit


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("cpu_us_per_request", 150.0, True),
        ("cpu_us_per_request", 150.1, False),
        ("requests_per_s", 150.0, True),
        ("requests_per_s", 149.9, False),
    ],
)
def test_the_limit_itself_is_allowed(name: str, value: float, expected: bool) -> None:
    """A figure meets a limit from the better side up to the limit itself."""
    assert expected == is_met(find_figure(name), value, 150.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("cpu_us_per_request", 109.0, True),
        ("cpu_us_per_request", 111.0, False),
        ("requests_per_s", 91.0, True),
        ("requests_per_s", 89.0, False),
    ],
)
def test_redis_may_cost_a_tenth(name: str, value: float, expected: bool) -> None:
    """A tenth more time, or a tenth fewer requests, than without; of figures that are known."""
    assert name in WITH_REDIS
    assert is_close(find_figure(name), value, 100.0) == expected


def test_a_limit_scales_with_the_pass_through() -> None:
    """Where the pass-through takes twice the CPU, twice the CPU is allowed."""
    assert scale_limit("cpu_us_per_request", 150.0, 252.0) == pytest.approx(300.0)
    assert scale_limit("p50_ms", 0.16, 0.26) == pytest.approx(0.32)


@pytest.mark.parametrize(("name", "bare"), [("rss_idle_mb", 40.0), ("requests_per_s", None)])
def test_a_limit_does_not_scale_without_reason(name: str, bare: float | None) -> None:
    """Memory does not follow the speed of a machine, and nothing scales without the yardstick."""
    assert scale_limit(name, 60.0, bare) is None
