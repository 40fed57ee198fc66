"""Texts suit the format and the name of their property."""

import random

import pytest

from proxy.simulator.schema_text import write_text

SAID = "What is the weather in Porto today?"


@pytest.mark.parametrize(
    ("name", "format_", "text"),
    [
        ("when", "date", "2026-11-20"),
        ("city", None, "Porto"),
        ("City", None, "Porto"),
        ("query", None, SAID),
        ("unit", None, "celsius"),
        ("contact", "email", "someone@example.com"),
    ],
)
def test_format_then_name_decide(name: str, format_: str | None, text: str) -> None:
    """A format decides first, then the name with what the user said."""
    assert write_text(name, format_, SAID, random.Random(1)) == text


def test_without_a_hint_there_is_still_a_text() -> None:
    """With nothing to go by, a text comes anyway, the same for the same chance."""
    assert write_text("city", None, "", random.Random(1)) == "Lisbon"
    texts = {write_text("other", "unknown", "", random.Random(1)) for _ in range(3)}
    assert len(texts) == 1
    assert all(texts)
