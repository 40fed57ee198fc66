"""
What the simulator is going to do for one request, as a list of steps.

A plan is made by `generator.py` and knows no socket; `transport.py` plays it inside a
worker, `http_player.py` over HTTP. Nothing here decides what an answer says.
"""

from typing import Literal

from msgspec import Struct

Framing = Literal["chunked", "length", "close"]


class Wait(Struct, frozen=True):
    """Do nothing for `seconds`."""

    seconds: float


class Head(Struct, frozen=True):
    """
    Send status and headers (names in lower case).

    `framing` says how HTTP marks the body's end: `chunked`, `length` (then
    `content_length` is announced, true or not), or `close` of the connection.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    framing: Framing = "chunked"
    content_length: int = 0


class Data(Struct, frozen=True):
    """Send bytes of the body; `events` of them are completed by this step."""

    chunk: bytes
    events: int = 0


class End(Struct, frozen=True):
    """The body is complete: the last chunk, or the announced length, or a close."""


class Again(Struct, frozen=True):
    """Go `back` steps and repeat them, for ever."""

    back: int


class Raw(Struct, frozen=True):
    """
    Send `wire` outside of any HTTP framing; nothing follows that a client could use.

    `error` is what a real transport says about it; None: only HTTP can show this.
    """

    wire: bytes
    error: str | None = None


class Refuse(Struct, frozen=True):
    """Do not even accept the connection."""


class Reset(Struct, frozen=True):
    """Break the connection with a TCP reset."""


class Cut(Struct, frozen=True):
    """Close the connection in good order, whether or not the body was complete."""


class Stall(Struct, frozen=True):
    """Keep the connection and never do anything again."""


class Spoil(Struct, frozen=True):
    """Reset this connection as soon as it is used for another request."""


Step = Wait | Head | Data | End | Again | Raw | Refuse | Reset | Cut | Stall | Spoil
_PLAIN = (Wait, Data, End, Spoil, Again)


class Plan(Struct, frozen=True):
    """All steps of one answer, and what the ledger says about it."""

    steps: tuple[Step, ...]
    model: str = ""
    streams: bool = False
    fault: str | None = None

    @property
    def is_plain(self) -> bool:
        """True if an ordinary HTTP server can play it: no broken framing, no cut."""
        return all(
            isinstance(step, _PLAIN) or (isinstance(step, Head) and step.framing == "chunked")
            for step in self.steps
        )
