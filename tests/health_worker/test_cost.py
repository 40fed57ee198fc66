"""Tests of `health_worker/cost.py`: what probes by completions may cost."""

from hypothesis import given
from hypothesis import strategies as st

from health_worker.cost import ANSWER_TOKENS, DAY_S, PROMPT_TOKENS, Spending, price_probe
from proxy.domain.catalog import ModelInfo, Provider
from proxy.domain.health import ProbeSettings


def build_provider(
    cap: int, prompt: int | None = 1_000_000, answer: int | None = 2_000_000
) -> Provider:
    """A provider with prices in millionths of a dollar for a million tokens, and a cap."""
    info = ModelInfo(
        input_usd_micros_per_million_tokens=prompt, output_usd_micros_per_million_tokens=answer
    )
    probe = ProbeSettings("completion", None, cap)
    return Provider("p", "openai", "", models=("*", "m"), model_info={"m": info}, probe=probe)


ONE = PROMPT_TOKENS + 2 * ANSWER_TOKENS
"""What one probe is booked at, at the prices above."""


def test_probes_are_paid_for_until_the_cap_is_reached() -> None:
    """What would go beyond the cap is refused, and not booked."""
    spending, provider = Spending(), build_provider(2 * ONE + 1)
    assert spending.book(provider, 0.0) is None
    assert spending.book(provider, 60.0) is None
    assert spending.book(provider, 120.0) == "probe_max_usd_per_day is spent"
    assert spending.count_spent("p", 120.0) == 2 * ONE


def test_spending_is_over_after_a_day() -> None:
    """What was spent more than 24 hours ago leaves room for more."""
    spending, provider = Spending(), build_provider(ONE)
    assert spending.book(provider, 1000.0) is None
    assert spending.book(provider, 1000.0 + DAY_S - 1.0) is not None
    assert spending.book(provider, 1000.0 + DAY_S + 3600.0) is None


def test_what_costs_nobody_knows_how_much_is_refused() -> None:
    """Without both prices, or a model to ask, nothing is spent."""
    spending = Spending()
    for provider in (build_provider(10**9, None), build_provider(10**9, answer=None)):
        assert spending.book(provider, 0.0) == "the price of a token is not known"
    anything = Provider("p", "openai", "", models=("*",), probe=ProbeSettings("completion"))
    assert spending.book(anything, 0.0) == "no model to ask for a token"
    assert spending.count_spent("p", 0.0) == 0


def test_a_fraction_is_booked_as_a_whole() -> None:
    """A probe is never booked at less than it costs, however cheap a token is."""
    assert price_probe(build_provider(1, 1, 0), "m") == 1
    assert price_probe(build_provider(1, 0, 0), "m") == 0


@given(
    st.lists(st.floats(0.0, 4 * DAY_S), max_size=200).map(sorted),
    st.integers(0, 20 * ONE),
)
def test_no_day_costs_more_than_the_cap(times_s: list[float], cap: int) -> None:
    """Within any 24 hours, wherever they begin, no more is booked than the cap."""
    spending, provider = Spending(), build_provider(cap)
    paid = [now_s for now_s in times_s if spending.book(provider, now_s) is None]
    for begin_s in paid:
        within = [now_s for now_s in paid if begin_s <= now_s < begin_s + DAY_S]
        assert len(within) * ONE <= cap
