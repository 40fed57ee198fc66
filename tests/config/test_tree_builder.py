"""The limits that hold while a tree is built."""

import pytest

from proxy.config.parse import parse_yaml
from proxy.config.tree_builder import MAX_ANCHORS, MAX_DEPTH
from tests.config.loading import tree_of


def _only_problem(text: str) -> str:
    parsed = parse_yaml(text.encode(), "c.yaml")
    assert parsed.tree is None
    (problem,) = parsed.problems
    return str(problem)


def test_nesting_is_limited() -> None:
    """32 levels are read, the 33rd is refused where it opens."""
    assert tree_of("[" * MAX_DEPTH + "]" * MAX_DEPTH).items
    assert _only_problem("[" * 100_000).startswith("c.yaml:1:33: the nesting is too deep")


def test_nesting_is_limited_through_aliases_too() -> None:
    """Aliases cannot be used to nest deeper than 32 levels."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]
    assert "the nesting is too deep" in _only_problem("\n".join(lines))


def test_an_alias_bomb_is_refused() -> None:
    """A few hundred bytes that stand for 9^9 values are refused before they are expanded."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]")
    assert "more than 500000 values" in _only_problem("\n".join(lines))


def test_anchors_are_limited() -> None:
    """The 101st anchor is refused."""
    lines = [f"k{n}: &a{n} 1" for n in range(MAX_ANCHORS + 1)]
    assert _only_problem("\n".join(lines)).startswith("c.yaml:101:")


def test_an_alias_stands_for_the_value_of_its_anchor() -> None:
    """An alias means its anchor's value, at the alias's own place."""
    tree = tree_of("a: &x [1, 2]\nb: *x\n")
    assert tree.plain() == {"a": [1, 2], "b": [1, 2]}
    assert tree.place_of("b").line == 2


@pytest.mark.parametrize("text", ["a: *nowhere", "&a [*a]", "- *x\n- &x 3"])
def test_an_alias_of_nothing_is_refused(text: str) -> None:
    """An alias must name an anchor whose value is complete above it."""
    assert "this alias names no finished value" in _only_problem(text)


def test_keys_must_be_text() -> None:
    """Numbers, booleans, lists and aliases as keys are problems; the rest is read on."""
    parsed = parse_yaml(b"1: a\nno: b\n[x]: c\n{y: z}: d\nk: &v e\n*v : f\nlast: 1\n", "c.yaml")
    assert parsed.tree is not None
    assert parsed.tree.plain() == {"k": "e", "last": 1}
    assert [p.place.line for p in parsed.problems] == [1, 2, 3, 4, 6]


def test_tags_merge_keys_and_odd_numbers_are_all_reported() -> None:
    """Everything that is not read here is reported at once, each at its place."""
    parsed = parse_yaml(b"a: !!python/name:os.system 1\n<<: {b: 1}\nc: 0123\nd: !x [1]\n", "c")
    assert [str(p).partition(": ")[0] for p in parsed.problems] == [
        "c:1:4",
        "c:2:1",
        "c:3:4",
        "c:4:4",
    ]
