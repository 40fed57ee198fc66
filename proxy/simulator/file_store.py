"""The files and batches of a simulated account, in memory and few."""

from itertools import count
from typing import Any, Final

from msgspec import Struct

from proxy.domain.errors import InvalidRequest, RouteNotFound
from proxy.simulator.form import FormFile

MOST_FILES: Final = 64
"""The oldest goes when there are more, and so with batches."""


class StoredFile(Struct):
    """A file that was uploaded; `content` is b"" where it was too large to be kept."""

    shown: dict[str, Any]
    content: bytes


class FileStore:
    """What one simulator has been given."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._files: dict[str, StoredFile] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    def add_file(self, file: FormFile, purpose: str, created_at: int) -> dict[str, Any]:
        """Keep a file and return what is shown of it."""
        file_id = f"file-sim{next(self._numbers):06d}"
        shown = {
            "id": file_id,
            "object": "file",
            "bytes": file.size_bytes,
            "created_at": created_at,
            "filename": file.file_name,
            "purpose": purpose,
            "status": "processed",
        }
        self._files[file_id] = StoredFile(shown, file.content)
        while len(self._files) > MOST_FILES:
            del self._files[next(iter(self._files))]
        return shown

    def list_files(self, purpose: str | None) -> list[dict[str, Any]]:
        """Return what is shown of all files, or of those with a purpose, newest first."""
        shown = [file.shown for file in self._files.values()]
        return [each for each in reversed(shown) if purpose in (None, each["purpose"])]

    def find_file(self, file_id: str) -> StoredFile:
        """Return a file; RouteNotFound if there is none."""
        if file_id not in self._files:
            raise RouteNotFound(f"No such File object: {file_id}")
        return self._files[file_id]

    def remove_file(self, file_id: str) -> dict[str, Any]:
        """Forget a file and return what is said of that."""
        self.find_file(file_id)
        del self._files[file_id]
        return {"id": file_id, "object": "file", "deleted": True}

    def add_batch(self, asked: dict[str, Any], created_at: int) -> dict[str, Any]:
        """Keep a batch, which is never worked on, and return it."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(asked.get(name), str):
                raise InvalidRequest(f"'{name}' must be a string.", param=name)
        self.find_file(asked["input_file_id"])
        batch_id = f"batch_sim{next(self._numbers):06d}"
        batch = {
            "id": batch_id,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "status": "in_progress",
            "created_at": created_at,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }
        self._batches[batch_id] = batch
        while len(self._batches) > MOST_FILES:
            del self._batches[next(iter(self._batches))]
        return batch

    def list_batches(self) -> list[dict[str, Any]]:
        """Return all batches, newest first."""
        return [*reversed(self._batches.values())]

    def find_batch(self, batch_id: str) -> dict[str, Any]:
        """Return a batch; RouteNotFound if there is none."""
        if batch_id not in self._batches:
            raise RouteNotFound(f"No such batch: {batch_id}")
        return self._batches[batch_id]

    def cancel_batch(self, batch_id: str) -> dict[str, Any]:
        """Stop a batch and return it."""
        batch = self.find_batch(batch_id)
        batch["status"] = "cancelled"
        return batch
