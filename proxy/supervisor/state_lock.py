"""One server at a time: two that keep one history would overwrite each other's."""

import fcntl
import os
from pathlib import Path

NAME = "supervisor.lock"


class StateLock:
    """The right to write a state directory; it ends with the process that holds it."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._descriptor: int | None = None

    def take(self) -> None:
        """
        Take it.

        Raises:
            OSError: another server has it, or the directory cannot be written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._state_dir / NAME, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OSError(
                f"another server keeps its state in '{self._state_dir}'. Stop it, or name another "
                "directory with --state-dir."
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
