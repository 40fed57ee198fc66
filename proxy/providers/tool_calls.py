"""
Tool calls as OpenAI's clients need them, from the shapes that other servers give them.

Used by `quirks.py`. A client's accumulator finds a call by its `index`, dense from 0, joins
the pieces of its strings, and sends its `id` back with the result.
"""

import hashlib
from typing import Any

import msgspec

from proxy.wire.call_pieces import CallPieces, read_text


class _Call:
    """What has been sent of one call."""

    __slots__ = ("id", "name", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""
        self.name = ""


class ToolCalls:
    """The tool calls of one choice of one stream."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._pieces = CallPieces(_Call)

    def repair(self, pieces: list[Any]) -> None:
        """
        Make the pieces of calls in one delta regular, in place.

        Each gets the dense `index` of its call; `id`, `type` and `name` come once per call,
        arguments are text. A call that came without an id gets one.
        """
        pieces[:] = [piece for piece in pieces if isinstance(piece, dict)]
        for piece in pieces:
            function = piece.get("function")
            if not isinstance(function, dict):
                function = None
            call = self._pieces.find(piece, _text_of(function, "name"))
            piece["index"] = call.position
            self._send_once(piece, function, call)
            repair_arguments(function)

    def _send_once(
        self, piece: dict[str, Any], function: dict[str, Any] | None, call: _Call
    ) -> None:
        if not call.id:
            call.id = _text_of(piece, "id") or build_call_id(self._seed, call.position)
            piece["id"] = call.id
            if not isinstance(piece.get("type"), str):
                piece["type"] = "function"
        else:
            piece.pop("id", None)
        if function is not None and "name" in function:
            name = _text_of(function, "name")
            if not name or name == call.name:
                del function["name"]
            else:
                call.name += name


def repair_whole_calls(calls: object, seed: str) -> None:
    """Make the tool calls of a whole answer regular, in place; they need no index."""
    if not isinstance(calls, list):
        return
    for position, call in enumerate(calls):
        if isinstance(call, dict):
            if not _text_of(call, "id"):
                call["id"] = build_call_id(seed, position)
            if not isinstance(call.get("type"), str):
                call["type"] = "function"
            function = call.get("function")
            if isinstance(function, dict):
                if not function.get("arguments"):
                    function["arguments"] = "{}"
                repair_arguments(function)


def repair_arguments(function: dict[str, Any] | None) -> None:
    """Write arguments that came as a value as the JSON text that clients parse."""
    if function is None:
        return
    arguments = function.get("arguments", "")
    if arguments is None:
        function["arguments"] = ""
    elif not isinstance(arguments, str):
        function["arguments"] = msgspec.json.encode(arguments).decode()


def build_call_id(seed: str, position: int) -> str:
    """Return an id for a call that came without one: the same for the same answer."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=12)
    return "call_" + digest.hexdigest()


def _text_of(holder: dict[str, Any] | None, name: str) -> str:
    return "" if holder is None else read_text(holder, name)
