"""Finding values and their places in a tree."""

from proxy.config.problem import Place
from tests.config.loading import tree_of

TREE = "a: 1\nb:\n  - x\n  - c: yes\n"


def test_plain_gives_the_values_back() -> None:
    """A tree without its places is the plain value of the file."""
    assert tree_of(TREE).plain() == {"a": 1, "b": ["x", {"c": True}]}


def test_find_follows_keys_and_indexes() -> None:
    """A path of keys and indexes leads to a node, and nowhere if there is none."""
    tree = tree_of(TREE)
    found = tree.find("b", 1, "c")
    assert found is not None
    assert found.value is True
    assert (found.place.line, found.place.column) == (4, 8)
    assert found.key_place == Place("config.yaml", 4, 5)
    assert tree.find("b", 9) is None
    assert tree.find("a", "deeper", 0) is None


def test_place_of_what_is_missing_is_that_of_its_nearest_ancestor() -> None:
    """The place of a value that does not exist is where it would have to be added."""
    assert tree_of(TREE).place_of("b", 1, "missing", "deep") == Place("config.yaml", 4, 5)


def test_walk_passes_every_scalar_in_order() -> None:
    """A walk yields the path and the node of every scalar, in the order of the file."""
    paths = [path for path, _ in tree_of(TREE).walk()]
    assert paths == [("a",), ("b", 0), ("b", 1, "c")]
