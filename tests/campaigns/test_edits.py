"""The ways in which campaigns edit a file."""

import os
from pathlib import Path

import pytest

from campaigns.ground import edits

GOOD = (
    edits.write_in_place,
    edits.write_in_pieces,
    edits.rename_over,
    edits.move_aside,
    edits.swap_data_link,
)
BAD = (edits.empty, edits.delete, edits.put_directory, edits.put_pipe, edits.put_loose_link)


@pytest.mark.parametrize("way", GOOD)
def test_every_way_gives_the_file_its_text(way: edits.Edit, tmp_path: Path) -> None:
    """Whatever way it was written before, the file then holds the new text."""
    path = tmp_path / "config.yaml"
    for other in GOOD:
        other(path, "old")
        way(path, f"new after {other.__name__}")
        assert path.read_text() == f"new after {other.__name__}"


@pytest.mark.parametrize("accident", BAD)
@pytest.mark.parametrize("way", GOOD)
def test_every_accident_can_be_mended(
    accident: edits.Accident, way: edits.Edit, tmp_path: Path
) -> None:
    """After an accident there is no text, and after clearing up any way of writing works."""
    path = tmp_path / "config.yaml"
    way(path, "old")
    accident(path)
    assert not path.is_file() or path.read_text() == ""
    edits.clear(path)
    way(path, "new")
    assert path.read_text() == "new"


def test_a_swapped_link_is_turned_in_one_step(tmp_path: Path) -> None:
    """The file stays a link; only the link of its directory is another one."""
    path = tmp_path / "config.yaml"
    edits.swap_data_link(path, "one")
    before = path.lstat().st_ino
    edits.clear(path)
    edits.swap_data_link(path, "two")
    assert (path.read_text(), path.lstat().st_ino) == ("two", before)


def test_another_name_is_the_same_file(tmp_path: Path) -> None:
    """What is written by the name in the other directory is what the file holds."""
    path = tmp_path / "config.yaml"
    edits.rename_over(path, "one")
    edits.write_by_other_name(path, "two")
    before = path.stat().st_ino
    edits.write_by_other_name(path, "three")
    assert (path.read_text(), path.stat().st_ino) == ("three", before)
    assert os.listdir(tmp_path / edits.ELSEWHERE) == ["config.yaml"]


def test_a_cut_is_a_beginning(tmp_path: Path) -> None:
    """So many percent of the characters are left, from the first one on."""
    assert edits.cut("0123456789", 30) == "012"
    assert edits.cut("0123456789", 99) == "012345678"
