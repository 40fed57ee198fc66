"""Tests of `proxy/providers/openai_models.py`."""

import pytest

from proxy.providers.openai_models import fit_to_model

ALL = (
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "presence_penalty",
    "reasoning_effort",
    "stop",
    "temperature",
    "top_logprobs",
    "top_p",
)
SAMPLING = ["frequency_penalty", "logprobs", "presence_penalty", "temperature", "top_p"]


@pytest.mark.parametrize(
    ("model", "dropped"),
    [
        ("gpt-4o", ["reasoning_effort"]),
        ("gpt-4.1-mini", ["reasoning_effort"]),
        ("gpt-3.5-turbo", ["reasoning_effort"]),
        ("gpt-35-turbo", ["reasoning_effort"]),
        ("chatgpt-4o-latest", ["reasoning_effort"]),
        ("ft:gpt-4o-mini:org::id", ["reasoning_effort"]),
        ("gpt-5-chat-latest", ["reasoning_effort"]),
        ("gpt-5", SAMPLING),
        ("gpt-5.4-mini", SAMPLING),
        ("gpt-6", SAMPLING),
        ("gpt-10", SAMPLING),
        ("o1", SAMPLING),
        ("o3-pro", [*SAMPLING, "stop"]),
        ("o4-mini-2025-04-16", [*SAMPLING, "stop"]),
        ("my-deployment", []),
        ("gpt-oss-120b", []),
        ("openai/gpt-4o", []),
    ],
)
def test_models_get_what_they_take(model: str, dropped: list[str]) -> None:
    """What the model of that name would refuse is taken out and named; all else stays."""
    fields = dict.fromkeys(ALL, b"1")
    named: list[str] = []
    fit_to_model(fields, model, named)
    assert named == dropped
    gone = {*dropped, "top_logprobs"} if "logprobs" in dropped else set(dropped)
    assert set(fields) == set(ALL) - gone


def test_what_is_not_there_is_not_named() -> None:
    """A request that has none of it loses nothing."""
    fields, named = {"messages": b"[]"}, list[str]()
    fit_to_model(fields, "o3", named)
    assert (fields, named) == ({"messages": b"[]"}, [])
