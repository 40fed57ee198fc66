"""
Reasoning that a model writes into its text, `<think>...</think>`, told from the answer.

Used by `quirks.py` for the types whose servers leave the tags in.
"""

from typing import Literal

from msgspec import Struct

_OPEN = "<think>"
_CLOSE = "</think>"
_MOST_SPACE = 64
_State = Literal["start", "thinking", "open", "answer"]


class Split(Struct, frozen=True):
    """What a piece of text turned out to be; either may be ""."""

    reasoning: str = ""
    text: str = ""


class ThinkSplitter:
    """
    Tell one choice's reasoning from its answer, wherever its pieces were cut.

    Only a block at the very start is reasoning, and only one: tags further on belong to the
    answer. No text waits for more than a tag that may be coming.

    Some models are made to begin inside the block and send its end only. What came before
    that has been delivered as text by then and stays so; the tag itself is left out.
    """

    __slots__ = ("_held", "_state", "_strips", "_tail")

    def __init__(self) -> None:
        self._state: _State = "start"
        self._held = ""
        self._tail = ""
        """The end of what has been delivered, as far as it may be the start of a tag."""
        self._strips = False
        """The line ends behind a tag, which belong to it, have not all come yet."""

    def feed(self, piece: str) -> Split:
        """Take the next piece of the text and return what is sure by now."""
        text, self._held = self._held + piece, ""
        if self._strips:
            text = text.lstrip("\r\n")
            self._strips = not text
        if self._state == "start":
            begun = text.lstrip()
            if len(text) - len(begun) > _MOST_SPACE:
                self._state = "open"
            elif begun.startswith(_OPEN):
                self._state, self._strips = "thinking", True
                return self.feed(begun[len(_OPEN) :])
            elif _OPEN.startswith(begun):
                self._held = text
                return Split()
            else:
                self._state = "open"
        if self._state == "answer":
            return Split(text=text)
        return self._feed_until_close(text)

    def finish(self) -> Split:
        """Return what was held back for a tag that did not come."""
        held, self._held = self._held, ""
        return Split(held) if self._state == "thinking" else Split(text=held)

    def _feed_until_close(self, text: str) -> Split:
        before, tag, after = text.partition(_CLOSE)
        is_reasoning = self._state == "thinking"
        if not is_reasoning and _OPEN in self._tail + before:
            # An answer about these tags: nothing of it is to be changed.
            self._state = "answer"
            return Split(text=text)
        if tag:
            self._state, self._strips = "answer", True
            rest = self.feed(after).text
            return Split(before, rest) if is_reasoning else Split(text=before + rest)
        kept = _length_of_possible_tag(text)
        if kept:
            text, self._held = text[:-kept], text[-kept:]
        self._tail = (self._tail + text)[1 - len(_OPEN) :]
        return Split(text) if is_reasoning else Split(text=text)


def split_whole(text: str) -> Split:
    """
    Split a complete text.

    Here the end of a block that has no beginning is enough: all before it is reasoning.
    """
    begun = text.lstrip()
    has_begun = begun.startswith(_OPEN)
    before, tag, after = begun.removeprefix(_OPEN).partition(_CLOSE)
    if not has_begun and (not tag or _OPEN in before):
        return Split(text=text)
    return Split(before.lstrip("\r\n"), after.lstrip("\r\n"))


def _length_of_possible_tag(text: str) -> int:
    """Return how many of the last characters may be the start of a closing tag."""
    start = text.rfind("<")
    return len(text) - start if start >= 0 and _CLOSE.startswith(text[start:]) else 0
