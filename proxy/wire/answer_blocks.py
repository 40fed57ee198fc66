"""
The events of an answer as Anthropic's blocks: one after the other, each opened and closed once.

Blocks do not overlap in this dialect. What comes while a call is open, and is not of that call,
is held until the call has ended.
"""

from collections import deque
from typing import Literal, Protocol

from msgspec import Raw, Struct, field

from proxy.domain.chat import Citation, Maker
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.json_text import encode
from proxy.wire.thought_signature import wrap_call_signature, wrap_signature

Display = Literal["shown", "signed", "hidden"]
"""What a client wants of thoughts: all, only what it must send back, or nothing."""
Member = Literal["text", "thinking", "signature", "partial_json"]
"""Where the text of a delta stands."""


_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Between JSON's values a line end is only a blank; in an event it would end the line."""


class BlockSink(Protocol):
    """What is made of the blocks; one of them is open at a time."""

    def open(self, block: dict[str, object]) -> None:
        """Begin a block, given as it is before its first delta."""

    def add(self, member: Member, text: str) -> None:
        """Add to the open block."""

    def cite(self, citation: Raw) -> None:
        """Add a citation to the open block, which has text."""

    def close(self) -> None:
        """End the open block."""


class _HeldCall(Struct):
    """A call that began while another was open."""

    started: CallStarted
    pieces: list[str] = field(default_factory=list)
    has_ended: bool = False


class BlockBuilder:
    """Turns the events of one choice into calls of a BlockSink."""

    def __init__(self, sink: BlockSink, display: Display) -> None:
        self.has_calls = False
        self.refusal: list[str] = []
        """The words by which the model has declined; they stand in a block of text, too."""
        self._sink = sink
        self._display = display
        self._open: Literal["", "text", "thinking"] = ""
        self._maker: Maker = "openai"
        """Of the open thought."""
        self._is_thought_over = False
        """The open thought has ended unsigned: a call behind it may have the signature."""
        self._call: int | None = None
        """The index of the open call."""
        self._held: deque[Event | _HeldCall] = deque()
        self._held_calls: dict[int, _HeldCall] = {}

    def take(self, event: Event) -> None:
        """Take the next event: any but Started, Counted and Finished; LogProbs have no place."""
        if self._call is None:
            self._place(event)
        elif isinstance(event, CallArguments) and event.index == self._call:
            self._sink.add("partial_json", event.text)
        elif isinstance(event, CallEnded) and event.index == self._call:
            self._end_call()
        else:
            self._hold(event)

    def end(self) -> None:
        """Close what is open; nothing may come after it."""
        while self._call is not None:
            self._end_call()
        self._close()

    def _place(self, event: Event) -> None:
        if isinstance(event, Said):
            self._add_text(event.text)
        elif isinstance(event, Thinking):
            self._think(event)
        elif isinstance(event, ThoughtEnded):
            self._end_thought(event)
        elif isinstance(event, CallStarted):
            self._start_call(event)
        elif isinstance(event, Refused):
            self.refusal.append(event.text)
            self._add_text(event.text)
        elif isinstance(event, Cited) and self._open == "text":
            citation = _build_citation(event.citation)
            if citation is not None:
                self._sink.cite(citation)

    def _add_text(self, text: str) -> None:
        if not text:
            return
        if self._open != "text":
            self._close()
            self._sink.open({"type": "text", "text": ""})
            self._open = "text"
        self._sink.add("text", text)

    def _think(self, event: Thinking) -> None:
        if self._display != "shown" or not event.text:
            return
        if self._open != "thinking" or self._is_thought_over:
            self._open_thought(event.maker)
        self._sink.add("thinking", event.text)

    def _end_thought(self, event: ThoughtEnded) -> None:
        if self._display == "hidden":
            return
        if event.is_redacted:
            self._add_redacted(wrap_signature(event.maker, event.signature))
        elif event.signature is None:
            self._is_thought_over = self._open == "thinking"
        else:
            if self._open != "thinking" or self._is_thought_over:
                self._open_thought(event.maker)
            self._sign(wrap_signature(event.maker, event.signature))

    def _open_thought(self, maker: Maker) -> None:
        self._close()
        self._sink.open({"type": "thinking", "thinking": "", "signature": ""})
        self._open = "thinking"
        self._maker = maker

    def _sign(self, signature: str) -> None:
        """Sign and close the open thought: once, since a signature overwrites the one before."""
        self._sink.add("signature", signature)
        self._sink.close()
        self._open = ""
        self._is_thought_over = False

    def _add_redacted(self, data: str) -> None:
        self._close()
        self._sink.open({"type": "redacted_thinking", "data": data})
        self._sink.close()

    def _close(self) -> None:
        """Close the open block, if there is one and it is no call."""
        if self._open == "thinking":
            self._sign(wrap_signature(self._maker, None))
        elif self._open:
            self._sink.close()
            self._open = ""

    def _start_call(self, event: CallStarted) -> None:
        if event.signature and self._display != "hidden":
            signature = wrap_call_signature(event.signature)
            if self._open == "thinking":
                self._sign(signature)
            else:
                self._add_redacted(signature)
        self._close()
        self._sink.open({"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        self._call = event.index
        self.has_calls = True

    def _end_call(self) -> None:
        self._sink.close()
        self._call = None
        while self._held and self._call is None:
            held = self._held.popleft()
            if isinstance(held, _HeldCall):
                self._release(held)
            else:
                self._place(held)

    def _release(self, call: _HeldCall) -> None:
        del self._held_calls[call.started.index]
        self._start_call(call.started)
        if call.pieces:
            self._sink.add("partial_json", "".join(call.pieces))
        if call.has_ended:
            self._sink.close()
            self._call = None

    def _hold(self, event: Event) -> None:
        if isinstance(event, CallStarted):
            call = self._held_calls[event.index] = _HeldCall(event)
            self._held.append(call)
        elif isinstance(event, CallArguments):
            if event.index in self._held_calls:
                self._held_calls[event.index].pieces.append(event.text)
        elif isinstance(event, CallEnded):
            if event.index in self._held_calls:
                self._held_calls[event.index].has_ended = True
        else:
            self._held.append(event)


def _build_citation(citation: Citation) -> Raw | None:
    """Return a citation as Anthropic writes those of pages; None: it has no address."""
    if citation.raw is not None and citation.maker == "anthropic":
        return Raw(bytes(citation.raw).translate(_ONE_LINE))
    if citation.url is None:
        return None
    return Raw(
        encode(
            {
                "type": "web_search_result_location",
                "url": citation.url,
                "title": citation.title,
                "cited_text": citation.quoted or "",
                "encrypted_index": wrap_signature(citation.maker or "openai", None),
            }
        )
    )
