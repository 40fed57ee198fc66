"""
Arguments of a call that come piece by piece -> the text of one JSON object.

Gemini says of each piece where it belongs, by a path such as `$.places[0].name`; text that goes
on comes under the same path again. A client's pieces are pieces of the JSON text, which cannot be
told before the order of the members is known: so the arguments go on when they are complete.
"""

import re
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Raw, Struct

MAX_TEXT_CHARACTERS = 16 * 1024 * 1024
MAX_PIECES = 300_000
"""Steps of all paths together."""
_MOST_STEPS = 32
_LONGEST_PATH = 4096

_STEP = re.compile(
    r"\.([A-Za-z_$][\w$-]*)"
    r"|\[([0-9]{1,6})\]"
    r"|\['((?:[^'\\]|\\.)*)'\]"
    r'|\["((?:[^"\\]|\\.)*)"\]'
)
_ESCAPED = re.compile(r"\\(.)")
_NOTHING = Raw(b"")


class PartialArgument(Struct, rename="camel", gc=False):
    """One piece; which value it has says of which type it is."""

    json_path: str = ""
    string_value: str | None = None
    number_value: Raw = _NOTHING
    bool_value: bool | None = None
    null_value: Raw = _NOTHING
    will_continue: bool = False


class ArgumentBuilder:
    """Puts the pieces of one call together."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._pieces = 0
        self._characters = 0

    def add(self, piece: PartialArgument) -> None:
        """
        Take one piece.

        Raises:
            ValueError: it has no path, or one that leads nowhere.
            OverflowError: there are too many, or they are too long together.
        """
        steps = _split_path(piece.json_path)
        # Each step may make an object of its own.
        self._pieces += len(steps)
        self._characters += len(piece.string_value or "") + len(piece.json_path)
        self._characters += len(memoryview(piece.number_value))
        if self._pieces > MAX_PIECES or self._characters > MAX_TEXT_CHARACTERS:
            raise OverflowError("arguments are larger than is accepted")
        place: Any = self._root
        for step, after in pairwise(steps):
            place = _enter(place, step, {} if isinstance(after, str) else [])
        last = steps[-1]
        if piece.string_value is not None:
            _append_text(place, last, piece.string_value)
        else:
            _put(place, last, _read_value(piece))

    def build(self) -> str:
        """Return all of it as the text of a JSON object."""
        return msgspec.json.encode(_join_texts(self._root)).decode()


def _read_value(piece: PartialArgument) -> object:
    if piece.bool_value is not None:
        return piece.bool_value
    if piece.number_value is not _NOTHING:
        return Raw(bytes(piece.number_value))  # a copy: it would keep all of its event
    return None


def _split_path(path: str) -> list[str | int]:
    if not path.startswith("$") or len(path) > _LONGEST_PATH:
        raise ValueError("no path")
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None or len(steps) >= _MOST_STEPS:
            raise ValueError("no path")
        position = found.end()
        plain, index, *quoted = found.groups()
        if index is not None:
            steps.append(int(index))
        else:
            name = plain if plain is not None else next(q for q in quoted if q is not None)
            steps.append(_ESCAPED.sub(r"\1", name))
    if not steps or isinstance(steps[0], int):
        raise ValueError("no path to a member")
    return steps


def _enter(place: Any, step: str | int, empty: Any) -> Any:
    """Return what stands at a step, newly made if there is nothing."""
    found = _get(place, step)
    if found is None:
        _put(place, step, empty)
        return empty
    if type(found) is not type(empty):
        raise ValueError("two shapes at one path")
    return found


def _get(place: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return _check(place, dict).get(step)
    items = _check(place, list)
    return items[step] if step < len(items) else None


def _put(place: Any, step: str | int, value: object) -> None:
    if isinstance(step, str):
        _check(place, dict)[step] = value
        return
    items = _check(place, list)
    if step > len(items):
        raise ValueError("a gap in a list")
    items[step : step + 1] = [value]


def _check(place: Any, kind: type) -> Any:
    if type(place) is not kind:
        raise ValueError("two shapes at one path")
    return place


class _Pieces(list[str]):
    """Text that may go on: joined in the end, so that many pieces cost no more than one."""


def _append_text(place: Any, step: str | int, text: str) -> None:
    found = _get(place, step)
    if isinstance(found, _Pieces):
        found.append(text)
    else:
        _put(place, step, _Pieces((text,)))


def _join_texts(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _join_texts(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_join_texts(inner) for inner in value]
    return value
