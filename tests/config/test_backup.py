"""Files of a configuration: copied away, checked without being touched, and put back."""

import os
from pathlib import Path

import pytest

from proxy.config.backup import (
    check_contents,
    find_newest_backup,
    keep_backup,
    make_backup,
    put_back,
    read_backup,
)
from proxy.config.problem import ConfigError
from tests.config.loading import GOOD_KEY

GOOD = f"api_keys: [{GOOD_KEY}]\nproviders:\n- {{name: a, type: simulator, models: [sim-echo]}}\n"
PROBES = "health_worker_providers.json"
AT = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a good configuration with a `.env`, and no file of the health worker."""
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "config.yaml").write_text(GOOD)
    (folder / ".env").write_text("A=1\n")
    return folder / "config.yaml"


def test_a_backup_holds_what_is_there(path: Path, tmp_path: Path) -> None:
    """The files that exist are copied byte for byte, and only their owner can read the copies."""
    copies = make_backup(path, tmp_path / "new" / "copy")
    assert {copy.name: copy.read_text() for copy in copies} == {
        "config.yaml": GOOD,
        ".env": "A=1\n",
    }
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}
    assert (tmp_path / "new" / "copy").stat().st_mode & 0o777 == 0o700


def test_a_backup_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    """A directory that holds one of the files already is refused, and its file stays."""
    (tmp_path / "config.yaml").write_text("older")
    with pytest.raises(FileExistsError):
        make_backup(path, tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "older"


def test_backups_are_found_by_time(path: Path, tmp_path: Path) -> None:
    """A kept backup is named by the time in UTC; the newest is found, also of one second."""
    state_dir = tmp_path / "state"
    assert find_newest_backup(state_dir) is None
    names = []
    for number in range(12):
        kept = keep_backup(path, state_dir, AT + (0 if number else -1))
        assert kept is not None
        assert find_newest_backup(state_dir) == kept
        names.append(kept.name)
    assert names[:3] == ["20231114T221319Z", "20231114T221320Z", "20231114T221320Z-2"]
    assert not list((state_dir / "backups").glob(".*"))


def test_nothing_gives_no_backup(tmp_path: Path) -> None:
    """If none of the files exists, no backup is kept and none is left half made."""
    assert keep_backup(tmp_path / "config.yaml", tmp_path / "state", AT) is None
    assert list((tmp_path / "state" / "backups").iterdir()) == []


def test_a_backup_is_read(path: Path, tmp_path: Path) -> None:
    """A directory gives the files of it that are there, a file what its name says it is."""
    make_backup(path, tmp_path / "copy")
    whole = read_backup(tmp_path / "copy", path)
    assert whole == {"config.yaml": GOOD.encode(), ".env": b"A=1\n"}
    assert read_backup(tmp_path / "copy" / ".env", path) == {".env": b"A=1\n"}
    (tmp_path / "saved.yaml").write_text(GOOD)
    assert read_backup(tmp_path / "saved.yaml", path) == {"config.yaml": GOOD.encode()}


def test_a_backup_of_another_user_is_read(path: Path, tmp_path: Path) -> None:
    """What the user of the service has kept can be read by root, whose file it is not."""
    make_backup(path, tmp_path / "copy")
    if os.geteuid() == 0:
        os.chown(tmp_path / "copy" / "config.yaml", 4242, -1)
    assert read_backup(tmp_path / "copy", path)["config.yaml"] == GOOD.encode()


def test_what_holds_no_backup_is_refused(path: Path, tmp_path: Path) -> None:
    """A directory without any of the files, and a path that leads nowhere, are named."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: there is none of config\.yaml, \.env,"):
        read_backup(tmp_path / "empty", path)
    with pytest.raises(OSError, match="nowhere"):
        read_backup(tmp_path / "nowhere", path)


def test_content_is_checked_with_the_files_that_stay(path: Path) -> None:
    """Good content has no problems; bad one is told by its label, a bad `.env` by its path."""
    assert check_contents({"config.yaml": GOOD.encode()}, path, {}, "generation 7") == ()
    bad = f"{GOOD}prot: 1\n".encode()
    (path.parent / ".env").write_text("A\n")
    problems = check_contents({"config.yaml": bad}, path, {}, "generation 7")
    assert [text.partition(": ")[0] for text in problems] == [
        "generation 7",
        f"{path.parent}/.env:1:1",
    ]
    assert problems[0].startswith("generation 7: config.yaml:4:1: ")
    assert path.read_text() == GOOD


def test_a_file_that_is_to_go_is_not_there_in_the_check(path: Path) -> None:
    """A broken file of the health worker is no problem where it is to be removed."""
    (path.parent / PROBES).write_text("[")
    assert check_contents({"config.yaml": GOOD.encode()}, path, {}, "it") != ()
    assert check_contents({"config.yaml": GOOD.encode(), PROBES: None}, path, {}, "it") == ()


def test_files_are_put_back(path: Path) -> None:
    """Written is what is given and removed what is not to be; other files are left alone."""
    (path.parent / PROBES).write_text("[]")
    changed = put_back({"config.yaml": b"new", PROBES: None}, path)
    assert changed == (path, path.parent / PROBES)
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(path.parent)) == [".env", "config.yaml"]
    assert put_back({PROBES: None}, path) == ()
