"""
Where an answer's text refers to its sources by markers such as `[1]`, as Perplexity writes them.

`quirks.py` makes annotations of them, which clients of every dialect are shown as citations.
"""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

MAX_MARKERS = 256
"""Of one choice; what is behind them is not cited."""
LONGEST_ADDRESS = 2048
"""In characters: each marker repeats it."""

_MARKER = re.compile(r"\[([0-9]{1,3})\]")
_BEGUN = re.compile(r"\[[0-9]{0,3}\Z")


class Marker(Struct, frozen=True):
    """A marker in the text, at the characters from `start` up to `end`; sources count from 1."""

    number: int
    start: int
    end: int


class MarkerReader:
    """Finds the markers of one choice's text, wherever its pieces were cut."""

    __slots__ = ("_begun", "_length", "markers")

    def __init__(self) -> None:
        self.markers: list[Marker] = []
        self._length = 0
        """Of the text so far."""
        self._begun = ""
        """The end of it, as far as it may be the beginning of a marker."""

    def feed(self, piece: str) -> None:
        """Take the next piece of the text."""
        text = self._begun + piece
        first = self._length - len(self._begun)
        self._length += len(piece)
        for found in _MARKER.finditer(text):
            if len(self.markers) < MAX_MARKERS:
                number, start, end = int(found[1]), first + found.start(), first + found.end()
                self.markers.append(Marker(number, start, end))
        begun = _BEGUN.search(text)
        self._begun = "" if begun is None else begun[0]


def build_annotations(
    markers: Sequence[Marker], citations: object, results: object
) -> list[dict[str, Any]]:
    """
    Return the annotations of a message, as OpenAI writes them; a marker without a source has none.

    Args:
        markers: of its text.
        citations: the addresses of the sources, if that is what came.
        results: what was found, with titles; it stands for the sources where none are named.

    Source: wire-formats §4.4; tests/samples/perplexity/citations.
    """
    titles: dict[str, object] = {}
    addresses: list[object] = []
    for item in results if isinstance(results, list) else ():
        url = item.get("url") if isinstance(item, dict) else None
        addresses.append(url)
        if isinstance(url, str):
            titles[url] = item.get("title")
    sources = citations if isinstance(citations, list) and citations else addresses
    annotations = []
    for marker in markers:
        url = sources[marker.number - 1] if 0 < marker.number <= len(sources) else None
        if not isinstance(url, str) or not 0 < len(url) <= LONGEST_ADDRESS:
            continue
        title = titles.get(url)
        shown = title if isinstance(title, str) and 0 < len(title) <= LONGEST_ADDRESS else url
        cited = {"start_index": marker.start, "end_index": marker.end, "title": shown, "url": url}
        annotations.append({"type": "url_citation", "url_citation": cited})
    return annotations
