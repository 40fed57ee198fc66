"""
The events of one YAML document -> a tree of nodes, within limits.

Built from libyaml's events and not by recursion, so that limits on depth, anchors and size
hold before memory is spent. Called by `parse.py` only.
"""

import json

from msgspec import Struct
from yaml import CSafeLoader, YAMLError
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from proxy.config.node import Node, Scalar
from proxy.config.problem import Place, Problem, show_name
from proxy.config.scalar import RefusedScalar, read_plain

MAX_DEPTH = 32
MAX_ANCHORS = 100
MAX_NODES = 500_000

_MENDING = {
    "mapping values are not allowed in this context": (
        "put a value that holds ': ' into quotes, or start a new line for the next key"
    ),
    "could not find expected ':'": "write 'key: value', with a blank after the colon",
    "did not find expected key": "check the indentation here and on the lines above",
    "did not find expected '-' indicator": "check the indentation here and on the lines above",
    "did not find expected <document start>": "check the indentation here and above",
    "found unexpected end of stream": "close the quotes that were opened above",
    "found character that cannot start any token": "put the text into quotes",
}


class UnreadableFileError(Exception):
    """Reading ends here; holds the problem."""

    def __init__(self, place: Place, what: str, mend: str) -> None:
        self.problem = Problem(place, what, mend)
        super().__init__(what)


class _Key(Struct, frozen=True):
    """A key that waits for its value; `name` is None if the entry is dropped."""

    name: str | None
    place: Place


class _Open(Struct):
    """A list or mapping that is still being read."""

    node: Node
    anchor: str | None
    is_key: bool = False
    key: _Key | None = None
    size: int = 1
    height: int = 1


class _Anchored(Struct, frozen=True):
    """A finished value that aliases may name, with what it weighs when it is repeated."""

    node: Node
    size: int
    height: int


class TreeBuilder:
    """Turns the events of one document into a tree, noting what is wrong on the way."""

    def __init__(self, source: str, *, is_json: bool) -> None:
        self._source = source
        self._is_json = is_json
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._root: Node | None = None
        self._documents = 0
        self._nodes = 0

    def read(self, text: str) -> Node:
        """Return the tree of `text`; raises `UnreadableFileError` where reading cannot go on."""
        loader = CSafeLoader(text)
        try:
            while (event := loader.get_event()) is not None:
                self._take(event)
        except MarkedYAMLError as error:
            raise self._yaml_problem(error, text) from None
        except YAMLError:
            raise UnreadableFileError(
                Place(self._source), "this is not YAML", "save the file as plain UTF-8 text"
            ) from None
        finally:
            loader.dispose()
        if self._root is None:
            raise UnreadableFileError(
                Place(self._source, 1, 1), "the file is empty", "write the settings into it"
            )
        return self._root

    def _yaml_problem(self, error: MarkedYAMLError, text: str) -> UnreadableFileError:
        mark = error.problem_mark or error.context_mark
        place = Place(self._source, mark.line + 1, mark.column + 1) if mark else Place(self._source)
        lines = text.split("\n")
        if (
            mark
            and mark.line < len(lines)
            and lines[mark.line][mark.column : mark.column + 1] == "\t"
        ):
            return UnreadableFileError(
                place, "a tab stands where YAML needs blanks", "indent with blanks"
            )
        what = error.problem or "this is not YAML"
        context = f" ({error.context})" if error.context else ""
        return UnreadableFileError(
            place, f"{what}{context}", _MENDING.get(what, "correct the YAML here")
        )

    def _take(self, event: Event) -> None:
        if isinstance(event, ScalarEvent):
            self._take_scalar(event)
        elif isinstance(event, CollectionStartEvent):
            self._open(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._close()
        elif isinstance(event, AliasEvent):
            self._take_alias(event)
        elif isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise UnreadableFileError(
                    self._place(event),
                    "a second document begins here",
                    "keep one document in the file: remove the line '---'",
                )

    def _take_scalar(self, event: ScalarEvent) -> None:
        place = self._place(event)
        self._check_tag(event.tag, place)
        value: Scalar | RefusedScalar
        if not event.implicit[0]:
            value = event.value
        elif self._is_json:
            value = json.loads(event.value)
        else:
            value = read_plain(event.value)
        if self._expects_key():
            self._take_key(value, place)
            self._count(place)
            return
        if isinstance(value, RefusedScalar):
            self._note(place, value.what, value.mend)
            value = None
        self._finish(Node(value, place), event.anchor, 1, 0)

    def _expects_key(self) -> bool:
        if not self._stack:
            return False
        top = self._stack[-1]
        return isinstance(top.node.value, dict) and top.key is None

    def _take_key(self, value: Scalar | RefusedScalar, place: Place) -> None:
        top = self._stack[-1]
        entries = top.node.entries
        name: str | None = None
        if isinstance(value, RefusedScalar):
            self._note(place, value.what, value.mend)
        elif not isinstance(value, str):
            self._note(place, "this key is not text", "put it into quotes, or remove it")
        elif value in entries:
            first = entries[value].key_place or place
            self._note(
                place,
                f"the key {show_name(value)} was given before, on line {first.line}",
                "keep one of the two",
            )
        else:
            name = value
        top.key = _Key(name, place)

    def _open(self, event: CollectionStartEvent) -> None:
        place = self._place(event)
        self._check_tag(event.tag, place)
        if len(self._stack) >= MAX_DEPTH:
            raise UnreadableFileError(
                place, "the nesting is too deep", f"stay within {MAX_DEPTH} levels"
            )
        is_key = self._expects_key()
        if is_key:
            self._note(place, "a list or mapping stands where a key is needed", "write a name")
        if event.anchor is not None:
            self._note_anchor(event.anchor, place, None)
        empty: list[Node] | dict[str, Node] = {} if isinstance(event, MappingStartEvent) else []
        self._stack.append(_Open(Node(empty, place), event.anchor, is_key))

    def _close(self) -> None:
        done = self._stack.pop()
        if done.is_key:
            self._stack[-1].key = _Key(None, done.node.place)
        else:
            self._finish(done.node, done.anchor, done.size, done.height)

    def _take_alias(self, event: AliasEvent) -> None:
        place = self._place(event)
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise UnreadableFileError(
                place,
                "this alias names no finished value above it",
                "write the value out, or name an anchor ('&name') that stands above",
            )
        if len(self._stack) + anchored.height > MAX_DEPTH:
            raise UnreadableFileError(
                place, "the nesting is too deep", f"stay within {MAX_DEPTH} levels"
            )
        if self._expects_key():
            self._note(place, "an alias stands where a key is needed", "write the key out")
            self._stack[-1].key = _Key(None, place)
            return
        self._count(place, anchored.size - 1)
        self._finish(Node(anchored.node.value, place), None, anchored.size, anchored.height)

    def _finish(self, node: Node, anchor: str | None, size: int, height: int) -> None:
        self._count(node.place)
        if anchor is not None:
            self._note_anchor(anchor, node.place, _Anchored(node, size, height))
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        top.size += size
        top.height = max(top.height, height + 1)
        if isinstance(top.node.value, list):
            top.node.value.append(node)
        elif isinstance(top.node.value, dict) and top.key is not None:
            if top.key.name is not None:
                top.node.value[top.key.name] = Node(node.value, node.place, top.key.place)
            top.key = None

    def _note_anchor(self, anchor: str, place: Place, anchored: _Anchored | None) -> None:
        self._anchors[anchor] = anchored
        if len(self._anchors) > MAX_ANCHORS:
            raise UnreadableFileError(
                place, f"there are more than {MAX_ANCHORS} anchors", "write the values out"
            )

    def _count(self, place: Place, more: int = 1) -> None:
        self._nodes += more
        if self._nodes > MAX_NODES:
            raise UnreadableFileError(
                place,
                f"with its aliases written out the file holds more than {MAX_NODES} values",
                "use fewer aliases, or split the file",
            )

    def _check_tag(self, tag: str | None, place: Place) -> None:
        if tag is not None:
            self._note(place, "YAML tags ('!name') are not read here", "remove the tag")

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        if mark is None:
            return Place(self._source)
        return Place(self._source, mark.line + 1, mark.column + 1)

    def _note(self, place: Place, what: str, mend: str) -> None:
        self.problems.append(Problem(place, what, mend))
