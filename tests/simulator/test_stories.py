"""The stories are fit to be streamed for show."""

from proxy.simulator.stories import STORIES
from proxy.simulator.tokens import count_tokens


def test_stories_are_about_200_tokens() -> None:
    """Each story takes three to four seconds at sixty tokens a second."""
    assert all(180 <= count_tokens(story) <= 240 for story in STORIES)


def test_stories_hold_more_than_ascii() -> None:
    """Each story has characters of several bytes, so that splits inside them are met."""
    assert not any(story.isascii() for story in STORIES)
