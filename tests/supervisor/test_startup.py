"""What a start serves: the file, or the last one that was good; under which number; and why."""

from pathlib import Path

import pytest

from proxy.config.problem import ConfigError
from tests.canaries import PROVIDER_KEY
from tests.supervisor.places import KEY, Folder, build_file


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with one provider."""
    folder = Folder(tmp_path)
    folder.write(build_file("a", "b", "c"))
    return folder


def test_the_first_start_is_generation_one(folder: Folder) -> None:
    """What is served first has number 1 and an entry in the history."""
    first = folder.start()
    assert first.accepted.snapshot.generation == 1
    assert first.error is None
    [entry] = folder.find().history.list()
    assert (entry.generation, entry.cause, entry.provider_count) == (1, "first start", 3)


def test_the_same_file_keeps_its_generation(folder: Folder) -> None:
    """A restart without an edit adds no entry, and its clients' keys are known as before."""
    before = folder.start().accepted
    after = folder.start().accepted
    assert after.snapshot.generation == 1
    assert after.snapshot.callers == before.snapshot.callers
    assert len(folder.find().history.list()) == 1


def test_an_edit_before_a_start_is_a_new_generation(folder: Folder) -> None:
    """What was changed while the service was down is told in words and has its own entry."""
    folder.start()
    folder.write(build_file("a", "b", "c", request_timeout=20))
    first = folder.start()
    assert first.accepted.snapshot.generation == 2
    assert first.changes == ("request_timeout: 300 -> 20",)


def test_a_broken_file_is_not_served(folder: Folder) -> None:
    """The last good one is, with all of its secrets, and the reason is that of `check`."""
    config = build_file("a", "b", "c", admin_keys=["A" * 30])
    config["providers"][0]["api_key"] = PROVIDER_KEY
    folder.write(config)
    good = folder.start().accepted
    folder.write("providers: [\n")
    first = folder.start()
    assert first.accepted.snapshot == good.snapshot
    assert first.accepted.parts == good.parts
    assert first.error is not None
    assert first.error.startswith(f"{folder.config}:")
    assert first.problem_count == 1


def test_a_file_that_is_gone_is_not_served_either(folder: Folder) -> None:
    """A deleted file is as bad as a broken one, and the last good one serves."""
    folder.start()
    folder.config.unlink()
    first = folder.start()
    assert first.accepted.snapshot.generation == 1
    assert first.error is not None


def test_without_a_last_good_one_a_broken_file_is_no_start(folder: Folder) -> None:
    """A service that never served has nothing to fall back on: all problems are raised."""
    folder.write("providers: [\n")
    with pytest.raises(ConfigError):
        folder.start()


def test_another_file_s_history_is_not_served(folder: Folder) -> None:
    """The last good configuration of one path is not served for another path."""
    folder.start()
    other = Folder(folder.path)
    other.config = folder.path / "other.yaml"
    other.write("providers: [\n")
    with pytest.raises(ConfigError):
        other.start()


def test_a_file_without_its_end_is_not_served(folder: Folder) -> None:
    """Where the end was marked, a file without the mark is one that was cut off."""
    folder.write(build_file("a", "b", "c", end_of_config=True))
    folder.start()
    folder.write(build_file("a", "b"))
    first = folder.start()
    assert len(first.accepted.snapshot.providers) == 3
    assert "end_of_config" in (first.error or "")


def test_a_file_that_has_shrunk_is_served_with_a_warning(folder: Folder) -> None:
    """Somebody may have edited it at leisure: it serves, and what is missing is said."""
    folder.start()
    folder.write(build_file("a"))
    first = folder.start()
    assert len(first.accepted.snapshot.providers) == 1
    assert any("of the 3 providers in service" in str(warning) for warning in first.warnings)


def test_another_secret_costs_the_fallback_only(folder: Folder) -> None:
    """With a new master secret a good file serves; a broken one has nothing to fall back on."""
    folder.start()
    folder.environ["PROXY_API_MASTER_SECRET"] = "f" * 64
    assert folder.start().error is None
    folder.write("providers: [\n")
    folder.environ["PROXY_API_MASTER_SECRET"] = "e" * 64
    with pytest.raises(ConfigError):
        folder.start()


def test_the_command_line_goes_before_what_was_kept(folder: Folder) -> None:
    """`--port` holds also where the last good configuration serves."""
    folder.start()
    folder.write("providers: [\n")
    folder.environ["PROXY_API_PORT"] = "4711"
    assert folder.start().accepted.install.listen == (("127.0.0.1", 4711),)


def test_no_secret_lies_open_in_the_state_directory(folder: Folder) -> None:
    """What is sealed and what is told of an entry hold neither provider's nor clients' keys."""
    config = build_file("a")
    config["providers"][0]["api_key"] = "${A_API_KEY}"
    folder.environ["A_API_KEY"] = PROVIDER_KEY
    folder.write({**config, "api_keys": [KEY]})
    folder.start()
    for path in (folder.path / "state").rglob("*"):
        # The plain copies of the operator's own files are as they were.
        if path.is_file() and path.name != "config.yaml":
            data = path.read_bytes()
            assert PROVIDER_KEY.encode() not in data, path.name
            assert KEY.encode() not in data, path.name
