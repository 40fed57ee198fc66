"""The files and batches of a simulated account."""

import pytest

from proxy.domain.errors import InvalidRequest, RouteNotFound
from proxy.simulator.file_store import MOST_FILES, FileStore
from proxy.simulator.form import FormFile


def test_files_are_kept_listed_and_removed() -> None:
    """The newest is listed first, by purpose; one that was removed is gone."""
    store = FileStore()
    first = store.add_file(FormFile("file", "a", 1, b"x"), "batch", 7)
    second = store.add_file(FormFile("file", "b", 1, b"y"), "vision", 8)
    assert [file["id"] for file in store.list_files(None)] == [second["id"], first["id"]]
    assert store.list_files("batch") == [first]
    assert store.find_file(first["id"]).content == b"x"
    assert store.remove_file(first["id"])["deleted"]
    with pytest.raises(RouteNotFound):
        store.find_file(first["id"])


def test_the_oldest_goes_when_there_are_too_many() -> None:
    """No more are kept than there is room for."""
    store = FileStore()
    files = [store.add_file(FormFile("file", "a"), "batch", 7) for _ in range(MOST_FILES + 1)]
    assert len(store.list_files(None)) == MOST_FILES
    with pytest.raises(RouteNotFound):
        store.find_file(files[0]["id"])


def test_a_batch_is_of_a_file_and_can_be_stopped() -> None:
    """It needs a file that there is, stays in progress, and is cancelled when told to."""
    store = FileStore()
    asked = {"input_file_id": "file-none", "endpoint": "/v1/embeddings", "completion_window": "24h"}
    with pytest.raises(RouteNotFound):
        store.add_batch(asked, 7)
    with pytest.raises(InvalidRequest):
        store.add_batch({}, 7)
    asked["input_file_id"] = store.add_file(FormFile("file", "a"), "batch", 7)["id"]
    batch = store.add_batch(asked, 7)
    assert batch["status"] == "in_progress"
    assert store.list_batches() == [batch]
    assert store.cancel_batch(batch["id"])["status"] == "cancelled"
    with pytest.raises(RouteNotFound):
        store.find_batch("batch_none")
