"""The configuration and the upstream of campaigns about edits and deaths."""

from pathlib import Path

import pytest

from campaigns.ground.client import Answer
from campaigns.ground.edits import cut
from campaigns.ground.foretell import foretell
from campaigns.ground.paced import (
    EVENTS,
    LONG,
    MARKER,
    PROVIDERS,
    SLOW,
    Ground,
    build_model,
    judge_stream,
    read_version,
)
from campaigns.programs.flood_upstream import HEAD
from campaigns.programs.paced_upstream import END, WORD, build_answer, read_pace
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_is_valid_and_tells_itself_apart(version: int, tmp_path: Path) -> None:
    """Each has the same number of providers, its own model behind `live`, and one for `slow`."""
    path = tmp_path / "config.yaml"
    path.write_text(Ground(8000, 8001, tmp_path).build(version))
    snapshot = load_config(path, {}, KeyHasher(b"k"), now_at=0.0).snapshot
    assert len(snapshot.providers) == PROVIDERS
    assert [d.model for d in snapshot.groups["live"].deployments] == [build_model(version)]
    assert [d.model for d in snapshot.groups["slow"].deployments] == [SLOW]


def test_streams_move_to_the_other_provider_with_each_version(tmp_path: Path) -> None:
    """What is left behind is gone at times, so that streams outlive their provider's entry."""
    texts = [Ground(8000, 8001, tmp_path).build(version) for version in range(4)]
    assert ["name: one" in text for text in texts] == [True, True, False, True]
    assert ["name: two" in text for text in texts] == [True, False, True, True]


def test_without_a_marker_some_beginnings_pass(tmp_path: Path) -> None:
    """A beginning with half of the providers is foretold to pass, one with fewer to be refused."""
    # Where it lies is in the text, whose length decides which beginnings have half of them.
    text = Ground(8000, 8001, Path("/srv/ground")).build(3, has_marker=False)
    assert MARKER not in text
    passing = [percent for percent in range(1, 100) if foretell(cut(text, percent), tmp_path)]
    assert passing
    assert min(passing) > 50
    assert set(passing) != set(range(min(passing), 100))


def test_versions_are_read_from_names() -> None:
    """Only the model of a version tells one."""
    assert read_version(build_model(17)) == 17
    assert read_version("paced-20-200") is None
    assert read_version("version-x") is None


def test_a_paced_model_says_how_it_streams() -> None:
    """Its name holds the number of events and the pause; any other model is quick."""
    assert read_pace(SLOW) == (20, 0.2)
    assert read_pace(LONG) == (150, 0.2)
    assert read_pace("version-1") is None
    assert b'"content": "version-1"' in build_answer({"model": "version-1"})


def test_only_whole_streams_are_good() -> None:
    """A stream that lacks an event, its end or its status is complained about."""
    events = [b'data: {"a": 1}\n\n'] * (EVENTS + 1)
    whole = b"".join([*events, b"data: [DONE]\n\n"])
    assert judge_stream(Answer(200, whole, 1)) is None
    assert judge_stream(Answer(200, b"".join(events), 1))
    assert judge_stream(Answer(200, whole[16:], 1))
    assert judge_stream(Answer(503, whole, 1))
    assert (HEAD + WORD * EVENTS + END).count(b"data: ") == EVENTS + 2
