"""Tests of `proxy/wire/claude_models.py`."""

import pytest

from proxy.wire.claude_models import find_claude

OPUS_4_6, OPUS_4_7 = find_claude("claude-opus-4-6"), find_claude("claude-opus-4-7")


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("claude-2.1", "none"),
        ("claude-instant-1.2", "none"),
        ("claude-3-opus-20240229", "none"),
        ("claude-3-5-sonnet-20241022", "none"),
        ("claude-3-7-sonnet-latest", "budget"),
        ("claude-sonnet-4-20250514", "budget"),
        ("claude-sonnet-4@20250514", "budget"),
        ("claude-opus-4-1-20250805", "budget"),
        ("claude-haiku-4-5", "budget"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget"),
        ("anthropic/claude-sonnet-4.5", "budget"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-opus-4-7", "adaptive"),
        ("claude-sonnet-5", "adaptive"),
        ("claude-fable-5-2", "adaptive"),
        ("claude-sonnet-10-1-20301231", "adaptive"),
    ],
)
def test_a_name_tells_how_a_model_thinks(model: str, thinking: str) -> None:
    """Families, dates, prefixes of clouds and either spelling of a version are seen through."""
    assert find_claude(model).thinking == thinking
    assert find_claude(model.upper()) == find_claude(model)


@pytest.mark.parametrize("model", ["claude-mythos-preview", "my-gateway", "", "claude", "glm-4.6"])
def test_a_name_without_a_version_is_the_newest(model: str) -> None:
    """What is not known is sent least: no sampling, no budget."""
    assert find_claude(model) == find_claude("claude-opus-5-5")


def test_sampling_ends_with_4_7() -> None:
    """Newer models refuse it; those from 4.1 on take one of the two only."""
    assert OPUS_4_6.takes_sampling
    assert not OPUS_4_7.takes_sampling
    assert find_claude("claude-opus-4-20250514").takes_both
    assert not find_claude("claude-opus-4-1").takes_both


def test_schemas_begin_with_4_5() -> None:
    """Older models answer by a tool instead."""
    assert find_claude("claude-sonnet-4-5").takes_schemas
    assert not find_claude("claude-opus-4-1").takes_schemas


def test_efforts_and_display_grow_with_4_7() -> None:
    """What 4.6 does not know is not sent to it."""
    assert not OPUS_4_6.takes_xhigh
    assert not OPUS_4_6.takes_display
    assert OPUS_4_7.takes_xhigh
    assert OPUS_4_7.takes_display


def test_those_that_think_by_themselves_have_more_room() -> None:
    """An answer without a limit of its own is not used up by thoughts."""
    assert find_claude("claude-3-haiku-20240307").max_tokens == 4096
    assert OPUS_4_6.max_tokens > 4096
