"""Notes what a model has thought before its calls, of answers that pass in OpenAI's format."""

from typing import Any

from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.wire.json_text import encode
from proxy.wire.kept_reasoning import MOST_BYTES
from proxy.wire.openai_details import DetailsReader
from proxy.wire.openai_stream import Repair

_PIECE_SIZE = 8
_CHOICE_SIZE = 64
"""What keeping a piece, or a choice, takes of the room beside its characters."""


class _Notes:
    """What one choice has said so far."""

    __slots__ = ("call_ids", "details", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.details = DetailsReader()
        self.call_ids: list[str] = []


class NotedRepair:
    """
    A Repair (see `wire/openai_stream.py`) behind another one, whose answers it looks at.

    Turns with calls are noted although nothing was thought: then it is known that nothing was.
    """

    def __init__(self, repair: Repair, kept: list[KeptReasoning]) -> None:
        """
        Begin with nothing noted.

        Args:
            repair: makes events and answers regular.
            kept: gets the reasoning of each choice that ends with calls.
        """
        self._repair = repair
        self._kept = kept
        self._notes: dict[Any, _Notes] = {}
        self._room = MOST_BYTES

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, and note what it says."""
        value = self._repair(value)
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._note(choice)
        return value

    def finish(self) -> dict[str, Any] | None:
        """Return what the other one has held back; it is text, and no thought."""
        return self._repair.finish()

    def _note(self, choice: dict[str, Any]) -> None:
        said = choice.get("delta") or choice.get("message")
        index = choice.get("index")
        if isinstance(said, dict) and isinstance(index, int):
            self._take(said, index)
        if choice.get("finish_reason") and isinstance(index, int):
            self._close(index)

    def _take(self, said: dict[str, Any], index: int) -> None:
        text, calls = said.get("reasoning_content"), said.get("tool_calls")
        details = said.get("reasoning_details")
        if not text and not calls and not details:
            return
        if self._room < 0:
            return
        notes = self._notes.get(index)
        if notes is None:
            notes = self._notes[index] = _Notes()
            self._room -= _CHOICE_SIZE
        if isinstance(text, str) and text:
            self._room -= _PIECE_SIZE + len(text)
            notes.texts.append(text)
        if details:
            self._room -= len(encode(details))
            notes.details.take(details)
        for call in calls if isinstance(calls, list) else ():
            call_id = call.get("id") if isinstance(call, dict) else None
            if isinstance(call_id, str) and call_id:
                self._room -= _PIECE_SIZE + len(call_id)
                notes.call_ids.append(call_id)
        if self._room < 0:
            # All of it is of no use any more, and there may be no end to what still comes.
            self._notes.clear()

    def _close(self, index: int) -> None:
        notes = self._notes.pop(index, None)
        if notes is None or not notes.call_ids or self._room < 0:
            return
        text, details = "".join(notes.texts), notes.details.build()
        thoughts = (_build(text, details),) if text or details is not None else ()
        self._kept.append(KeptReasoning("openai", thoughts, {}, tuple(notes.call_ids)))


def _build(text: str, details: Raw | None) -> Thought:
    return Thought(text, "openai", extra=details)
