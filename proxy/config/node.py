"""The tree that a configuration file is read into: plain values that know where they stand."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from proxy.config.problem import Place

Scalar = str | int | float | bool | None


class Node(Struct, frozen=True):
    """
    One value of a configuration with its place.

    `value` is a scalar, a list of nodes or a dict from key to node. `key_place` is where
    the key stands that leads to this value, None in lists and at the root. `replaced` is
    the value of the next lower source that has one too, and that does not count.
    """

    value: "Scalar | list[Node] | dict[str, Node]"
    place: Place
    key_place: Place | None = None
    replaced: "Node | None" = None

    @property
    def entries(self) -> "dict[str, Node]":
        """The entries of a mapping; {} for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> "list[Node]":
        """The items of a list; [] for anything else."""
        return self.value if isinstance(self.value, list) else []

    def plain(self) -> Any:
        """Return the value without places: scalars, lists and dicts."""
        value = self.value
        if isinstance(value, dict):
            return {key: node.plain() for key, node in value.items()}
        if isinstance(value, list):
            return [node.plain() for node in value]
        return value

    def find(self, *path: str | int) -> "Node | None":
        """Return the node at `path` (keys and indexes), or None where there is none."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            if isinstance(step, int):
                node = node.items[step] if step < len(node.items) else None
            else:
                node = node.entries.get(step)
        return node

    def place_of(self, *path: str | int) -> Place:
        """Return where the value at `path` stands, or its nearest ancestor that exists."""
        node = self
        for step in path:
            below = node.find(step)
            if below is None:
                break
            node = below
        return node.place

    def walk(self, *path: str | int) -> "Iterator[tuple[tuple[str | int, ...], Node]]":
        """Yield every scalar below with its path, in the order of the file."""
        value = self.value
        if isinstance(value, dict):
            for key, node in value.items():
                yield from node.walk(*path, key)
        elif isinstance(value, list):
            for index, node in enumerate(value):
                yield from node.walk(*path, index)
        else:
            yield path, self
