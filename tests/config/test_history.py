"""The history of accepted configurations: kept whole, found again, and never in the way."""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.config import history
from proxy.config.effective import EffectiveValue
from proxy.config.history import History, HistoryBroken, HistoryEntry, HistoryStore
from proxy.config.seal import SealBroken, Sealer
from proxy.config.sources import SourceFile

SEALER = Sealer(b"k" * 32)
FILES = (SourceFile("config.yaml", b"port: 1\n"), SourceFile("health_worker_providers.json", b"[]"))
PATH = "/etc/llm-proxy/config.yaml"


@pytest.fixture
def store(tmp_path: Path) -> HistoryStore:
    """Return an empty history."""
    return HistoryStore(tmp_path / "state" / "snapshots", SEALER)


def build_entry(generation: int, config_path: str | None = PATH) -> HistoryEntry:
    """Return what is to be told of a generation."""
    return HistoryEntry(
        generation=generation,
        accepted_at=1000.0 + generation,
        cause="the file was edited",
        changes=("port: 1 -> 2",),
        config_path=config_path,
        has_marker=True,
        provider_count=3,
        effective=(EffectiveValue("port", generation, "config.yaml:1:7"),),
    )


def fill(store: HistoryStore, generations: Sequence[int], size_bytes: int = 10) -> None:
    """Add entries, each with a payload of its own."""
    for generation in generations:
        store.add(build_entry(generation), FILES, b"%d" % generation + b"." * size_bytes)


def numbers_of(store: History) -> list[int]:
    """Return the generations that can be read, newest first."""
    return [entry.generation for entry in store.list()]


def test_an_entry_comes_back(store: HistoryStore) -> None:
    """Everything of an entry comes back, with the digests of its files, its files and payload."""
    kept = store.add(build_entry(1), FILES, b"payload")
    assert store.list() == (kept,)
    assert store.newest(PATH) == store.read(1) == kept
    assert kept == replace(build_entry(1), files=kept.files)
    assert set(kept.files) == {"config.yaml", "health_worker_providers.json"}
    assert store.read_file(1, "config.yaml") == b"port: 1\n"
    assert store.read_payload(1) == b"payload"


def test_of_searches_in_a_row_the_last_stays(store: HistoryStore) -> None:
    """What discovery changes all day pushes out nothing that an operator has edited."""
    fill(store, [1])
    for generation in range(2, 90):
        entry = replace(build_entry(generation), cause=history.SEARCH_CAUSE)
        store.add(entry, FILES, b"payload")
    assert numbers_of(store) == [89, 1]
    assert store.read_payload(89) == b"payload"
    fill(store, [90])
    store.add(replace(build_entry(91), cause=history.SEARCH_CAUSE), FILES, b"payload")
    assert numbers_of(store) == [91, 90, 89, 1]


def test_it_is_private_and_plain(store: HistoryStore) -> None:
    """Directories are 0700 and files 0600; the copies can be put back with cp, the payload read
    by nobody."""
    store.add(build_entry(1), FILES, b"the payload")
    folder = store.directory / "000001"
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "config.yaml": 0o600,
        "entry.json": 0o600,
        "health_worker_providers.json": 0o600,
        "sealed.bin": 0o600,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert (folder / "config.yaml").read_bytes() == FILES[0].data
    assert b"the payload" not in (folder / "sealed.bin").read_bytes()


def test_no_history_is_an_empty_one(store: HistoryStore) -> None:
    """A directory that does not exist has no entries, and reading it does not make it."""
    assert store.list() == ()
    assert store.list_damaged() == ()
    assert store.newest(PATH) is None
    assert store.next_generation() == 1
    assert not store.directory.exists()


def test_the_newest_of_a_path(store: HistoryStore) -> None:
    """`newest` is the newest of the same configuration file only."""
    for generation, path in ((1, PATH), (2, None), (3, "/other.yaml")):
        store.add(build_entry(generation, path), FILES, b"")
    newest = [store.newest(path) for path in (PATH, None, "/other.yaml", "/no.yaml")]
    assert [entry and entry.generation for entry in newest] == [1, 2, 3, None]


def test_numbers_go_on(store: HistoryStore) -> None:
    """Listed is newest first, and the next number is above all that were used."""
    fill(store, [1, 2, 10])
    assert numbers_of(store) == [10, 2, 1]
    assert store.next_generation() == 11


def test_the_newest_50_are_kept(store: HistoryStore) -> None:
    """After the 50th entry each new one removes the oldest."""
    fill(store, range(1, 53))
    assert numbers_of(store) == list(range(52, 2, -1))
    assert len(list(store.directory.iterdir())) == 50


def test_no_more_bytes_than_allowed(store: HistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond 64 MiB goes, oldest first, but two entries always stay."""
    monkeypatch.setattr(history, "MAX_BYTES", 10_000)
    fill(store, [1, 2, 3, 4], size_bytes=3000)
    assert numbers_of(store) == [4, 3]
    fill(store, [5, 6], size_bytes=20_000)
    assert numbers_of(store) == [6, 5]


def test_a_payload_opens_only_in_its_place(store: HistoryStore) -> None:
    """Another secret, and a payload copied over a newer one, are refused; the entry is readable."""
    fill(store, [1, 2])
    other = HistoryStore(store.directory, Sealer(b"o" * 32))
    with pytest.raises(SealBroken, match="another master secret"):
        other.read_payload(1)
    sealed = (store.directory / "000001" / "sealed.bin").read_bytes()
    (store.directory / "000002" / "sealed.bin").write_bytes(sealed)
    with pytest.raises(SealBroken, match="another's place"):
        store.read_payload(2)
    with pytest.raises(SealBroken, match=r"generation 3: sealed\.bin cannot be read"):
        store.read_payload(3)
    assert numbers_of(other) == [2, 1]


def test_a_changed_copy_is_not_given_out(store: HistoryStore) -> None:
    """A kept file that was edited, or that there never was, is an error that names it."""
    fill(store, [1])
    (store.directory / "000001" / "config.yaml").write_bytes(b"port: 2\n")
    with pytest.raises(HistoryBroken, match=r"generation 1: config\.yaml is not as it was"):
        store.read_file(1, "config.yaml")
    with pytest.raises(HistoryBroken, match=r"generation 1: it has no \.\./secret\.key"):
        store.read_file(1, "../secret.key")
    with pytest.raises(HistoryBroken, match=r"generation 7: entry\.json cannot be read"):
        store.read_file(7, "config.yaml")


def test_what_is_damaged_is_passed_over_and_told(store: HistoryStore) -> None:
    """Torn, emptied, foreign and strange entries are named, the others are found, adding works."""
    fill(store, range(1, 6))
    (store.directory / "000005" / "entry.json").write_bytes(b"")
    (store.directory / "000004" / "entry.json").unlink()
    os.mkfifo(store.directory / "000004" / "entry.json")
    (store.directory / "000003" / "entry.json").write_bytes(b"[" * 100_000)
    whole = (store.directory / "000001" / "entry.json").read_bytes()
    (store.directory / "000002" / "entry.json").write_bytes(whole)
    (store.directory / "000009").mkdir()
    (store.directory / "lost+found").mkdir()
    (store.directory / "000008").write_text("a file")
    (store.directory / "000007").symlink_to("000001")
    assert numbers_of(store) == [1]
    assert [text.partition(":")[0] for text in store.list_damaged()] == [
        f"generation {number}" for number in (9, 5, 4, 3, 2)
    ]
    newest = store.newest(PATH)
    assert newest is not None
    assert newest.generation == 1
    assert store.next_generation() == 10
    fill(store, [10])
    assert numbers_of(store) == [10, 1]


def test_every_cut_of_an_entry_is_passed_over(store: HistoryStore) -> None:
    """Whatever part of entry.json is left, the older entry is found."""
    fill(store, [1, 2])
    path = store.directory / "000002" / "entry.json"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert numbers_of(store) == [1]


def test_a_full_disk_is_told(store: HistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that cannot be written is an error with words, and leaves nothing behind."""
    fill(store, [1])

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"generation 2 cannot be kept \(No space left.*snapshots"):
        store.add(build_entry(2), FILES, b"")
    assert [path.name for path in store.directory.iterdir()] == ["000001"]
    with pytest.raises(OSError, match="generation 1 cannot be kept"):
        store.add(build_entry(1), FILES, b"")


def test_a_history_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where the directory should be: reading finds nothing, adding says what is wrong."""
    (tmp_path / "file").touch()
    store = HistoryStore(tmp_path / "file", SEALER)
    assert store.list() == ()
    with pytest.raises(OSError, match="generation 1 cannot be kept"):
        fill(store, [1])


def add_and_die(store: HistoryStore, at_step: int) -> bool:
    """Add generation 3 in a process that is killed at its n-th step on disk; return if it was."""
    child = os.fork()
    if child == 0:
        steps = 0

        def count(event: str, _arguments: object) -> None:
            nonlocal steps
            if event == "open" or event.startswith(("os.", "shutil.")):
                steps += 1
                if steps == at_step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            fill(store, [3])
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_kill_at_any_step_leaves_whole_entries(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any step of adding and pruning, every entry is whole, and adding goes on."""
    monkeypatch.setattr(history, "MAX_ENTRIES", 2)
    fill(store, [1, 2])
    step = 1
    while add_and_die(store, step):
        assert store.list_damaged() == ()
        assert numbers_of(store) in ([2, 1], [3, 2, 1], [3, 2])
        for entry in store.list():
            assert store.read_payload(entry.generation).startswith(b"%d" % entry.generation)
            assert store.read_file(entry.generation, "config.yaml") == FILES[0].data
        fill(store, [4])
        assert numbers_of(store)[0] == 4
        assert not list(store.directory.glob(".*"))
        shutil.rmtree(store.directory)
        fill(store, [1, 2])
        step += 1
    assert step > 15
    assert numbers_of(store) == [3, 2]
