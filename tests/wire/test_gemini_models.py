"""Tests of `proxy/wire/gemini_models.py`."""

import pytest
from google.genai import types

from proxy.domain.chat import Effort, Reasoning
from proxy.wire.gemini_models import build_thinking, read_model


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("gemini-2.5-flash", (2, 5)),
        ("gemini-3-pro-preview", (3, 0)),
        ("gemini-3.6-flash", (3, 6)),
        ("gemini-2.0-flash-001", (2, 0)),
        ("Gemini-1.5-Pro-002", (1, 5)),
        ("gemini-live-2.5-flash", (2, 5)),
        ("gemini-robotics-er-1.5-preview", (1, 5)),
        ("gemma-3-27b-it", (3, 0)),
        ("gemini-flash-latest", (99, 0)),
        ("gemini-embedding-001", (99, 0)),
        ("anything", (99, 0)),
        ("", (99, 0)),
    ],
)
def test_a_version_is_read_from_a_name(name: str, version: tuple[int, int]) -> None:
    """A name that tells no version is taken for the newest."""
    assert read_model(name).version == version


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        # JSON schema, sampling, penalties, thinking, signatures, a format beside tools
        ("gemini-2.0-flash", (False, True, True, False, False, False)),
        ("gemini-2.5-pro", (True, True, True, True, False, False)),
        ("gemini-3-pro-preview", (True, True, False, True, True, True)),
        ("gemini-3.5-flash", (True, True, False, True, True, True)),
        ("gemini-3.5-flash-lite", (True, False, False, True, True, True)),
        ("gemini-3.6-flash", (True, False, False, True, True, True)),
        ("gemini-flash-latest", (True, False, False, True, True, True)),
        ("gemma-3-27b-it", (False, True, True, False, False, True)),
    ],
)
def test_what_a_model_takes_goes_by_its_version(name: str, takes: tuple[bool, ...]) -> None:
    """Each generation has its own rules, and what is not known has those of the newest."""
    model = read_model(name)
    assert takes == (
        model.takes_json_schema,
        model.takes_sampling,
        model.takes_penalties,
        model.thinks,
        model.wants_signatures,
        model.formats_beside_tools,
    )


@pytest.mark.parametrize(
    ("name", "effort", "level"),
    [
        ("gemini-3-pro-preview", "none", "LOW"),
        ("gemini-3-pro-preview", "minimal", "LOW"),
        ("gemini-3-pro-preview", "medium", "HIGH"),
        ("gemini-3.1-pro", "medium", "MEDIUM"),
        ("gemini-3-flash", "none", "MINIMAL"),
        ("gemini-3-flash", "low", "LOW"),
        ("gemini-3-flash", "medium", "MEDIUM"),
        ("gemini-3-flash", "high", "HIGH"),
        ("gemini-flash-latest", "xhigh", "HIGH"),
        ("gemini-flash-latest", "max", "HIGH"),
    ],
)
def test_from_3_on_an_effort_is_a_level(name: str, effort: Effort, level: str) -> None:
    """The nearest level that the model has is asked for, and never a budget beside it."""
    config = build_thinking(read_model(name), Reasoning(effort))
    assert config == {"includeThoughts": effort != "none", "thinkingLevel": level}
    types.ThinkingConfig.model_validate(config)


@pytest.mark.parametrize(
    ("name", "reasoning", "budget"),
    [
        ("gemini-2.5-flash", Reasoning("none"), 0),
        ("gemini-2.5-pro", Reasoning("none"), 128),
        ("gemini-2.5-flash", Reasoning("low"), 1024),
        ("gemini-2.5-flash", Reasoning("medium"), 8192),
        ("gemini-2.5-flash", Reasoning("high"), 24_576),
        ("gemini-2.5-flash", Reasoning("max"), 24_576),
        ("gemini-2.5-flash", Reasoning(budget_tokens=50), 50),
        ("gemini-2.5-flash", Reasoning(budget_tokens=100_000), 24_576),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=50), 512),
        ("gemini-2.5-pro", Reasoning(budget_tokens=100_000), 32_768),
        ("gemini-2.5-pro", Reasoning(budget_tokens=0), 128),
        ("gemini-2.5-flash", Reasoning(is_adaptive=True), -1),
    ],
)
def test_2_5_takes_a_budget(name: str, reasoning: Reasoning, budget: int) -> None:
    """An effort becomes a number of tokens within what the model takes, and never a level."""
    config = build_thinking(read_model(name), reasoning)
    assert config is not None and "thinkingLevel" not in config
    assert config["thinkingBudget"] == budget


@pytest.mark.parametrize(
    ("budget", "level"), [(0, "MINIMAL"), (500, "LOW"), (4096, "MEDIUM"), (20_000, "HIGH")]
)
def test_from_3_on_a_budget_is_a_level(budget: int, level: str) -> None:
    """Clients that count tokens get the level that comes nearest."""
    config = build_thinking(read_model("gemini-3-flash"), Reasoning(budget_tokens=budget))
    assert config is not None and config["thinkingLevel"] == level


def test_thoughts_are_shown_where_they_are_wanted() -> None:
    """A model that is to see for itself is told no level, only whether it is to show them."""
    model = read_model("gemini-3-flash")
    assert build_thinking(model, Reasoning(is_adaptive=True)) == {"includeThoughts": True}
    hidden = build_thinking(model, Reasoning("high", shows=False))
    assert hidden is not None and hidden["includeThoughts"] is False


@pytest.mark.parametrize("name", ["gemini-2.0-flash", "gemma-3-27b-it"])
def test_what_does_not_think_is_told_nothing_of_it(name: str) -> None:
    """Older models and Gemma refuse a `thinkingConfig`."""
    assert build_thinking(read_model(name), Reasoning("high")) is None
