"""Tool calls of one choice of OpenAI's stream: pieces in, one call's events after the other out."""

from typing import Any

import msgspec

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.events import CallArguments, CallEnded, CallStarted, Event
from proxy.wire.call_pieces import CallPieces, read_text
from proxy.wire.new_id import build_id

MAX_CALLS = 4096
MAX_ARGUMENTS = 16 * 1024 * 1024
"""Most characters of arguments of one choice: they are kept until their call is complete."""
_MOST_CHECKS = 8
"""So many times a call is looked at for whether it is whole; then the next waits for the end."""

_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class _Call:
    """What has come of one call, and how far it has been told."""

    __slots__ = (
        "arguments",
        "checked_pieces",
        "checks_left",
        "id",
        "index",
        "is_ended",
        "is_told",
        "name",
        "signature",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.signature: str | None = None
        self.arguments: list[str] = []
        self.checked_pieces = 0
        self.checks_left = _MOST_CHECKS
        self.is_told = False
        self.is_ended = False


class CallReader:
    """
    Turns pieces of calls into events, calls numbered densely from 0.

    Events tell one call after the other, and clients rely on it; pieces may come mixed. A call
    that begins while the arguments before it are not whole waits until they are.
    """

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._pieces = CallPieces(_begin_call)
        self._told_ids: set[str] = set()
        self._first_open = 0
        """All calls in front of this one have ended."""
        self._size = 0

    @property
    def has_calls(self) -> bool:
        """Any call has been told."""
        return bool(self._told_ids)

    def take(self, pieces: Any, events: list[Event]) -> None:
        """
        Add what a delta's list of pieces says.

        Args:
            pieces: the decoded member; what is no piece of a call is passed over.
            events: gets the events, in their order.

        Raises:
            UpstreamTooLarge: more calls, or more arguments, than are kept.
            UpstreamProtocolError: a call that is whole has no name.
        """
        if not isinstance(pieces, list):
            return
        for piece in pieces:
            if isinstance(piece, dict):
                self._take_piece(piece, events)

    def finish(self, events: list[Event]) -> None:
        """
        End all calls: the choice has come to its end.

        Raises:
            UpstreamProtocolError: a call has no name, so that nobody could run it.
        """
        for call in self._pieces.calls[self._first_open :]:
            self._end(call, events)
        self._first_open = len(self._pieces.calls)

    def _take_piece(self, piece: dict[str, Any], events: list[Event]) -> None:
        function = piece.get("function")
        if not isinstance(function, dict):
            function = {}
        call = self._find(piece, read_text(function, "name"))
        if call.is_ended:
            return
        text = _read_arguments(function)
        if not call.arguments and text.isspace():
            text = ""  # nothing but blanks is no JSON; in front of it they are of no matter
        if text:
            self._size += len(text)
            if self._size > MAX_ARGUMENTS:
                raise UpstreamTooLarge("The provider sent larger arguments than are accepted.")
            call.arguments.append(text)
        while self._pieces.calls[self._first_open] is not call:
            before = self._pieces.calls[self._first_open]
            if not _is_whole(before):
                return
            self._end(before, events)
            self._first_open += 1
        if call.is_told:
            if text:
                events.append(CallArguments(call.index, text, self._choice))
        elif call.name:
            self._tell(call, events)

    def _find(self, piece: dict[str, Any], name: str) -> _Call:
        """Return the call that a piece is of, which knows what the piece says of it."""
        call = self._pieces.find(piece, name)
        call.id = call.id or read_text(piece, "id")
        call.name = call.name or name
        call.signature = call.signature or _read_signature(piece)
        return call

    def _tell(self, call: _Call, events: list[Event]) -> None:
        call.is_told = True
        call.index = len(self._told_ids)
        call_id = call.id
        if not call_id or call_id in self._told_ids:
            # Results are given to calls by their ids: of two with one id, one would have none.
            call_id = build_id("call_")
        self._told_ids.add(call_id)
        events.append(CallStarted(call.index, call_id, call.name, call.signature, self._choice))
        if call.arguments:
            events.append(CallArguments(call.index, "".join(call.arguments), self._choice))

    def _end(self, call: _Call, events: list[Event]) -> None:
        if not call.is_told:
            if not call.name:
                if call.id or call.arguments:
                    raise UpstreamProtocolError("The provider sent a call without a name.")
                call.is_ended = True
                return  # an empty piece is no call
            self._tell(call, events)
        if not call.arguments:
            events.append(CallArguments(call.index, NO_ARGUMENTS, self._choice))
        call.is_ended = True
        call.arguments.clear()
        events.append(CallEnded(call.index, self._choice))


def _begin_call(index: int) -> _Call:
    if index >= MAX_CALLS:
        raise UpstreamTooLarge("The provider sent more calls than are accepted.")
    return _Call(index)


def _is_whole(call: _Call) -> bool:
    """Return whether the arguments so far are JSON: nothing more can come of them."""
    pieces = call.arguments
    # Nearly all that is not whole is seen without reading it.
    if len(pieces) == call.checked_pieces or not pieces[-1].rstrip().endswith("}"):
        return False
    if not call.checks_left:
        return False
    call.checked_pieces = len(pieces)
    call.checks_left -= 1
    try:
        _decode_any("".join(pieces))
    except (ValueError, RecursionError):
        return False
    return True


def _read_arguments(function: dict[str, Any]) -> str:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        return arguments
    # Some servers send the value itself.
    return _encode(arguments).decode() if isinstance(arguments, dict) else ""


def _read_signature(piece: dict[str, Any]) -> str | None:
    extra = piece.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    return (read_text(google, "thought_signature") or None) if isinstance(google, dict) else None
