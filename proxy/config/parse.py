"""
YAML or JSON bytes -> a tree of plain values with positions.

Nothing here knows a setting. JSON takes the same road as YAML (it is a subset of YAML for
this purpose) after it has been checked to be JSON.
"""

import json
import re
from typing import NoReturn

from msgspec import Struct

from proxy.config.node import Node
from proxy.config.problem import Place, Problem
from proxy.config.tree_builder import MAX_DEPTH, TreeBuilder, UnreadableFileError

_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Parsed(Struct, frozen=True):
    """
    What was read from one file.

    `tree` is None if the text could not be read to its end; `problems` is then not empty.
    With problems that leave the rest readable (a key given twice), both are there.
    """

    tree: Node | None
    problems: tuple[Problem, ...] = ()


def parse_yaml(data: bytes, source: str) -> Parsed:
    """Read one YAML document; `source` is the file's name in messages."""
    return _parse(data, source, is_json=False)


def parse_json(data: bytes, source: str) -> Parsed:
    """Read one JSON document; `source` is the file's name in messages."""
    return _parse(data, source, is_json=True)


def _parse(data: bytes, source: str, *, is_json: bool) -> Parsed:
    builder = TreeBuilder(source, is_json=is_json)
    try:
        text = _decode(data, source)
        if is_json:
            _check_json(text, source)
        tree = builder.read(text)
    except UnreadableFileError as fatal:
        return Parsed(None, (*builder.problems, fatal.problem))
    return Parsed(tree, tuple(builder.problems))


def _decode(data: bytes, source: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise UnreadableFileError(
            _place_at(before, len(before), source),
            "these bytes are not UTF-8",
            "save the file in UTF-8",
        ) from None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        raise UnreadableFileError(
            _place_at(text, unreadable.start(), source),
            f"the character U+{ord(unreadable[0]):04X} may not stand in this file",
            "remove it",
        )
    return text


def _place_at(text: str, offset: int, source: str) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(source, text.count("\n", 0, offset) + 1, offset - line_start + 1)


def _check_json(text: str, source: str) -> None:
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UnreadableFileError(
            Place(source, error.lineno, error.colno),
            f"this is not JSON ({error.msg})",
            "correct the JSON here",
        ) from None
    except RecursionError:
        raise UnreadableFileError(
            Place(source), "the nesting is too deep", f"stay within {MAX_DEPTH} levels"
        ) from None
    except ValueError:
        # What is left: NaN and infinities, and integers of thousands of digits.
        raise UnreadableFileError(
            Place(source), "a number is not finite or has too many digits", "write a plain number"
        ) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
