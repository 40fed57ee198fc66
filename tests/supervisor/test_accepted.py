"""What was accepted comes back from the history as it was, and is compared without its number."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.config.seal import SealBroken
from proxy.supervisor.accepted import keep, number, override, path_text, revive
from tests.supervisor.places import Folder, build_file


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with two providers."""
    folder = Folder(tmp_path)
    folder.write(build_file("a", "b", end_of_config=True))
    return folder


def test_it_comes_back_as_it_was(folder: Folder) -> None:
    """Snapshot, install settings, effective values and what the guard looks at are all kept."""
    place = folder.find()
    accepted = folder.start().accepted
    [entry] = place.history.list()
    revived = revive(place.history, entry)
    assert revived.snapshot == accepted.snapshot
    assert revived.install == accepted.install
    assert revived.effective == accepted.effective
    assert revived.facts == accepted.facts
    assert path_text(revived.config_path) == str(folder.config)


def test_the_number_and_the_time_make_no_difference(folder: Folder) -> None:
    """Two loads of one file are the same; one with another setting is not."""
    accepted = folder.start().accepted
    later = replace(accepted, snapshot=replace(accepted.snapshot, generation=9, created_at=1.0))
    assert accepted.is_same_as(later)
    other = replace(accepted.snapshot, providers={})
    assert not accepted.is_same_as(replace(accepted, snapshot=other))


def test_a_new_number_travels_too(folder: Folder) -> None:
    """The parts that workers get are of the snapshot with its new number."""
    place = folder.find()
    accepted = number(folder.start().accepted, 12)
    keep(place.history, accepted, "a test", (), 0.0)
    assert revive(place.history, place.history.list()[0]).snapshot.generation == 12


def test_what_is_damaged_is_not_served(folder: Folder) -> None:
    """One changed byte of what was sealed, and it is refused as a whole."""
    place = folder.find()
    folder.start()
    [entry] = place.history.list()
    sealed = place.history.path_of(1) / "sealed.bin"
    data = bytearray(sealed.read_bytes())
    data[-1] ^= 1
    sealed.write_bytes(data)
    with pytest.raises(SealBroken):
        revive(place.history, entry)


def test_the_address_of_the_command_line_wins(folder: Folder) -> None:
    """Host and port given now replace the first address that was kept, and only that."""
    install = replace(folder.start().accepted.install, listen=(("::1", 1), ("::1", 2)))
    given = {"PROXY_API_HOST": "127.0.0.1", "PROXY_API_PORT": "3"}
    assert override(install, given).listen == (("127.0.0.1", 3), ("::1", 2))
    assert override(install, {}) == install
