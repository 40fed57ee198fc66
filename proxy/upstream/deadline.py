"""A deadline for the task that sets it: what `asyncio.timeout` does, at a third of its price."""

import asyncio
from types import TracebackType

GRACE_TURNS = 4
"""
How often the loop turns between a clock's end and its strike.

Where this process itself was held up, the answer may have come in time: it lies unread, or was read
and who waits for it is not awake yet. That is not the provider's failure.
"""


class Deadline:
    """
    Cancel the current task's block when time is up, and turn that into TimeoutError.

    A cancellation that comes from elsewhere passes through. One task may nest several.
    """

    __slots__ = ("_has_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a Deadline is set inside a task")
        self._task: asyncio.Task[object] = task
        self._has_expired = False
        self._timer: asyncio.Handle = task.get_loop().call_later(max(seconds, 0.0), self._expire)

    def __enter__(self) -> None:
        """Begin the block; the clock has run since the Deadline was made."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        End the block.

        Raises:
            TimeoutError: the time was up, and nothing else has cancelled the task.
        """
        self._timer.cancel()
        if (
            self._has_expired
            and self._task.uncancel() == 0
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error

    def _expire(self, turns_left: int = GRACE_TURNS) -> None:
        if turns_left:
            self._timer = self._task.get_loop().call_soon(self._expire, turns_left - 1)
            return
        self._has_expired = True
        self._task.cancel()
