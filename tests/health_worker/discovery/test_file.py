"""The file is whole, private, and read as far as it can be."""

import os
import stat
from pathlib import Path

import pytest

from health_worker.discovery.file import FoundFile
from proxy.domain.discovery import FoundProvider

ENTRY = FoundProvider("a", "vllm", "https://a.example/v1", ("m",), "consul", 5.0, weight=2)


def test_what_was_written_is_read_and_private(tmp_path: Path) -> None:
    """The file comes back as it was, is its owner's alone, and nothing lies beside it."""
    file = FoundFile(tmp_path)
    file.write([ENTRY])
    assert file.is_as_known
    assert FoundFile(tmp_path).read() == (ENTRY,)
    path = tmp_path / "discovered.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["discovered.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"providers": [{"name": 1}]}'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: str) -> None:
    """A broken file is an empty beginning, and one that has to be written anew."""
    file = FoundFile(tmp_path)
    assert file.read() == ()
    assert file.is_as_known
    (tmp_path / "discovered.json").write_text(text)
    assert not file.is_as_known
    assert file.read() == ()
    assert not file.is_as_known


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    """What is no file is read as nothing, at once, and written anew."""
    os.mkfifo(tmp_path / "discovered.json")
    file = FoundFile(tmp_path)
    assert file.read() == ()
    assert not file.is_as_known
    file.write([ENTRY])
    assert FoundFile(tmp_path).read() == (ENTRY,)


def test_a_directory_that_is_gone_leaves_an_error(tmp_path: Path) -> None:
    """Where nothing can be written the caller is told."""
    with pytest.raises(OSError, match="No such file"):
        FoundFile(tmp_path / "gone").write([ENTRY])
