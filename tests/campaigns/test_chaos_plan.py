"""What the providers of the campaign of chaos do: the same for both sides, and true to its ends."""

from collections import Counter

import pytest

from campaigns.ground.chaos.plan import (
    CALM,
    HARMLESS,
    PROVIDERS,
    STEADY,
    Plan,
    build_text,
    choose_plan,
)
from tests.faults.fault_upstream import FINISH

TAGS = [f"tag-{number:08d}" for number in range(3000)]


def choose_all(model: str, provider: str, *, streams: bool) -> list[tuple[str, Plan]]:
    """Return the plans of many requests."""
    return [(tag, choose_plan(tag, provider, model, streams=streams)) for tag in TAGS]


@pytest.mark.parametrize("model", [*STEADY, CALM])
@pytest.mark.parametrize("streams", [True, False])
def test_a_steady_provider_answers_everything(model: str, streams: bool) -> None:
    """Whoever is steady for a model, and everybody for the calm one, gives only whole answers."""
    for provider in PROVIDERS if model == CALM else [STEADY[model]]:
        plans = choose_all(model, provider, streams=streams)
        assert {plan.fault for _, plan in plans} <= set(HARMLESS)
        assert all(plan.ends == {"whole"} for _, plan in plans)


@pytest.mark.parametrize("streams", [True, False])
def test_the_others_fail_in_every_way(streams: bool) -> None:
    """One in five fails, in each of the 15 ways; the same request always alike."""
    plans = choose_all("unsteady-one", "two", streams=streams)
    counts = Counter(plan.fault for _, plan in plans if plan.fault not in HARMLESS)
    assert len(counts) == 15
    assert 0.15 < counts.total() / len(plans) < 0.25
    assert plans == choose_all("unsteady-one", "two", streams=streams)


def test_what_is_shown_of_a_plan_is_as_it_says() -> None:
    """No text before the first piece: nothing; all said: perhaps whole; between: it breaks."""
    for tag, plan in choose_all("unsteady-one", "two", streams=True):
        sent = plan.answer[: plan.at]
        if "whole" in plan.ends:
            assert FINISH.strip() in sent
        if plan.ends == {"nothing"} and plan.fault in ("closed", "reset", "silent"):
            assert f"{tag} of two".encode() not in sent
        if "broken" in plan.ends:
            assert f"{tag} of".encode()[:-3] in sent or b"data: " in sent


def test_nothing_is_shown_of_an_answer_that_is_not_streamed() -> None:
    """What is read whole is whole, or nothing."""
    plans = choose_all("unsteady-one", "two", streams=False)
    assert {plan.ends for _, plan in plans} == {frozenset(("whole",)), frozenset(("nothing",))}


def test_texts_are_of_one_tag_and_one_provider() -> None:
    """No text is another's, nor the beginning of another's."""
    texts = {build_text(tag, name) for tag in TAGS[:3] for name in PROVIDERS}
    assert len(texts) == 9
    assert not any(one != other and one.startswith(other) for one in texts for other in texts)
