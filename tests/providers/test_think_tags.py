"""Tests of `proxy/providers/think_tags.py`."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.providers.think_tags import ThinkSplitter, split_whole

TEXTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think>", "a", "<b>", "\n", " ", "x" * 70])
).map("".join)


def split(*pieces: str) -> tuple[str, str]:
    """(reasoning, text) of a stream of these pieces."""
    splitter = ThinkSplitter()
    found = [splitter.feed(piece) for piece in pieces] + [splitter.finish()]
    return "".join(part.reasoning for part in found), "".join(part.text for part in found)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>why</think>so", "why", "so"),
        ("\n <think>\nwhy\n</think>\n\nso\n", "why\n", "so\n"),
        ("<think></think>so", "", "so"),
        ("<think>a <think> b</think>so", "a <think> b", "so"),
        ("<think>a < b </b></think>so", "a < b </b>", "so"),
        ("<think>cut", "cut", ""),
        ("<think>why</think>so </think> <think>x</think>", "why", "so </think> <think>x</think>"),
        ("plain", "", "plain"),
        ("<thin", "", "<thin"),
        ("<thinking>x</thinking>", "", "<thinking>x</thinking>"),
        ("a < b", "", "a < b"),
        ("Write <think>x</think>.", "", "Write <think>x</think>."),
        ("", "", ""),
        ("   ", "", "   "),
        (" " * 65 + "<think>x</think>", "", " " * 65 + "<think>x</think>"),
    ],
)
def test_a_block_at_the_start_is_reasoning(text: str, reasoning: str, answer: str) -> None:
    """Whole, in single characters and cut at each place, the text splits the same."""
    assert split(text) == (reasoning, answer)
    assert split(*text) == (reasoning, answer)
    for place in range(len(text)):
        assert split(text[:place], text[place:]) == (reasoning, answer)
    whole = split_whole(text)
    assert (whole.reasoning, whole.text) == (reasoning, answer) or " " * 65 in text


@given(TEXTS, st.lists(st.integers(0, 100)))
def test_any_cut_gives_the_same(text: str, places: list[int]) -> None:
    """However a text is cut, reasoning and answer are the same."""
    bounds = sorted({0, len(text), *(place for place in places if place < len(text))})
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    assert split(*pieces) == split(text)


@given(TEXTS)
def test_nothing_is_lost_but_tags_and_blanks(text: str) -> None:
    """Every other character is in one of the two, in its order: one tag of each kind may go."""
    reasoning, answer = split(text)
    kept, all_ = ("".join(part.split()) for part in (reasoning + answer, text))
    assert len(all_) - len(kept) in (0, 7, 8, 15)
    rest = iter(all_)
    assert all(character in rest for character in kept)


def test_ordinary_text_does_not_wait() -> None:
    """What cannot be a tag is given at once, and a possible tag waits for one character."""
    splitter = ThinkSplitter()
    assert splitter.feed("H").text == "H"
    assert splitter.feed("a <").text == "a "
    assert splitter.feed("b").text == "<b"
    assert splitter.feed("</thin").text == ""
    assert splitter.feed("g").text == "</thing"


def test_reasoning_does_not_wait() -> None:
    """Inside the block each piece is given as it comes."""
    splitter = ThinkSplitter()
    assert splitter.feed("<think>wh").reasoning == "wh"
    assert splitter.feed("y<").reasoning == "y"
    assert splitter.feed("/think>so").text == "so"


def test_a_block_without_its_beginning_ends_at_its_tag() -> None:
    """In a stream what was delivered stays text, in a whole answer it is reasoning."""
    assert split("why", "</think>", "\n\nso") == ("", "whyso")
    whole = split_whole("why</think>\n\nso")
    assert (whole.reasoning, whole.text) == ("why", "so")


def test_an_answer_about_the_tags_is_not_touched() -> None:
    """Tags that are opened inside a text belong to it, also when the close comes late."""
    pieces = ("Put it in <thi", "nk> and </thi", "nk>, then go on </think>.")
    assert split(*pieces) == ("", "".join(pieces))


def test_an_endless_possible_tag_is_bounded() -> None:
    """Blanks are held for a tag that may follow, but not without end."""
    splitter = ThinkSplitter()
    given_back = sum(len(splitter.feed(" ").text) for _ in range(10_000))
    assert given_back >= 10_000 - 70
