"""The guard: what looks cut off is refused, and what somebody means is let pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.guard import GuardFacts, decide_guard

FACTS = st.builds(GuardFacts, st.integers(0, 50), st.booleans())


def is_refused(before: GuardFacts | None, after: GuardFacts, **how: bool) -> bool:
    """Return whether a file is refused."""
    return decide_guard(before, after, source="config.yaml", **how).problem is not None


@pytest.mark.parametrize(
    ("before", "after", "is_wrong"),
    [(4, 0, True), (1, 0, True), (4, 1, True), (5, 2, True), (4, 2, False), (2, 1, False)],
)
def test_only_nothing_and_less_than_half_are_too_little(
    before: int, after: int, is_wrong: bool
) -> None:
    """Exactly half of the providers may go at once, more may not, and never all of them."""
    assert is_refused(GuardFacts(before, False), GuardFacts(after, False)) is is_wrong


def test_an_end_that_was_marked_stays_marked() -> None:
    """A file that has lost its marker is refused, also at a start; one may gain it."""
    marked, unmarked = GuardFacts(3, True), GuardFacts(3, False)
    assert is_refused(marked, unmarked)
    assert is_refused(marked, unmarked, is_start=True)
    assert not is_refused(unmarked, marked)


def test_a_start_says_that_much_is_missing() -> None:
    """At a start a shrunken file passes with a warning that names both numbers."""
    verdict = decide_guard(
        GuardFacts(9, False), GuardFacts(1, False), source="c.yaml", is_start=True
    )
    assert verdict.problem is None
    [warning] = verdict.warnings
    assert str(warning).startswith("c.yaml: only 1 of the 9 providers in service is left, ")


def test_the_refusal_says_how_to_mend_it() -> None:
    """The text names the file, the numbers and the command that lets it pass."""
    verdict = decide_guard(GuardFacts(4, False), GuardFacts(0, False), source="c.yaml")
    assert "none of the 4 providers in service is left" in str(verdict.problem)
    assert "llm-proxy reload --allow-shrink" in str(verdict.problem)


@given(FACTS)
def test_what_is_as_before_passes(facts: GuardFacts) -> None:
    """A file that is no poorer than the last one is never refused, nor is the first one."""
    assert not is_refused(facts, facts)
    assert not is_refused(None, facts)


@given(FACTS, FACTS)
def test_who_means_it_is_let_pass(before: GuardFacts, after: GuardFacts) -> None:
    """With allow_shrink nothing is refused."""
    assert not is_refused(before, after, allow_shrink=True)


@given(FACTS, FACTS, st.integers(0, 50))
def test_more_is_never_refused_where_less_passes(
    before: GuardFacts, after: GuardFacts, more: int
) -> None:
    """Providers that are added to a file which passes make no file that does not."""
    richer = GuardFacts(after.provider_count + more, True)
    assert is_refused(before, after) or not is_refused(before, richer)


@given(FACTS, FACTS, st.booleans())
def test_it_is_a_function(before: GuardFacts, after: GuardFacts, is_start: bool) -> None:
    """The same facts have the same verdict."""
    first, second = (decide_guard(before, after, source="c", is_start=is_start) for _ in range(2))
    assert first == second
