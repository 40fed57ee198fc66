"""Every way to cut bytes that a test needs."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data cut at these places; empty pieces are left in."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Any split of the data into pieces."""
    return st.lists(st.integers(0, len(data)), max_size=12).map(lambda places: cut(data, places))


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """The data in one piece, in single bytes, and cut in two at every place."""
    yield [data]
    yield [data[place : place + 1] for place in range(len(data))]
    for place in range(1, len(data)):
        yield [data[:place], data[place:]]


def read_all(reader: Any, pieces: list[bytes]) -> bytes:
    """Feed a StreamReader all pieces and the end; return what the client gets."""
    out = [reader.feed(piece) for piece in pieces]
    return b"".join(out) + bytes(reader.finish())
