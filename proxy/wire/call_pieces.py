"""Which call of a stream a piece is of, in OpenAI's format as many servers speak it."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class IdentifiedCall(Protocol):
    """One call of a stream, as whoever reads it keeps it."""

    id: str
    """Empty until one has come."""


C = TypeVar("C", bound=IdentifiedCall)


class CallPieces(Generic[C]):
    """
    Finds the call of each piece by its number, its id, or the order in which pieces come.

    `calls` holds all calls so far, in the order in which they began.
    """

    def __init__(self, begin: Callable[[int], C]) -> None:
        """Have `begin` make each call that a piece begins, told how many there are before it."""
        self.calls: list[C] = []
        self._begin = begin
        self._by_index: dict[int, C] = {}
        self._by_id: dict[str, C] = {}

    def find(self, piece: dict[str, Any], name: str) -> C:
        """
        Return the call that a piece is of.

        Args:
            piece: as it was decoded, of any shape.
            name: of the function, as far as the piece has it.

        Raises:
            Whatever `begin` raises.

        Source: tests/wire/test_call_pieces.py.
        """
        index, call_id = piece.get("index"), read_text(piece, "id")
        call: C | None
        if isinstance(index, int):
            call = self._by_index.get(index)
            if call is not None and call_id and call.id and call_id != call.id and name:
                # Another id and another name under the same number: another call.
                call = self._by_id.get(call_id)
        elif call_id:
            call = self._by_id.get(call_id)
        else:
            # No number, no id: a name begins a call, anything else goes on with the last.
            call = self.calls[-1] if self.calls and not name else None
        if call is None:
            call = self._begin(len(self.calls))
            self.calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        if call_id:
            self._by_id[call_id] = call
        return call


def read_text(holder: dict[str, Any], name: str) -> str:
    """Return a member that is a text, or none."""
    found = holder.get(name)
    return found if isinstance(found, str) else ""
