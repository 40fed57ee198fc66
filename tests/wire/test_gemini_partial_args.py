"""Tests of `proxy/wire/gemini_partial_args.py`."""

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.gemini_partial_args import MAX_PIECES, ArgumentBuilder, PartialArgument

_decode = msgspec.json.Decoder(PartialArgument).decode


def piece(path: str, **value: Any) -> PartialArgument:
    return _decode(json.dumps({"jsonPath": path, **value}).encode())


def build(*pieces: PartialArgument) -> Any:
    builder = ArgumentBuilder()
    for each in pieces:
        builder.add(each)
    return json.loads(builder.build())


def test_no_pieces_are_no_arguments() -> None:
    """A call that gets none has an empty object."""
    assert ArgumentBuilder().build() == "{}"


def test_values_keep_their_types() -> None:
    """Words, numbers, truths and nulls come out as they went in."""
    found = build(
        piece("$.a", stringValue="x"),
        piece("$.b", numberValue=1.5),
        piece("$.c", boolValue=False),
        piece("$.d", nullValue="NULL_VALUE"),
        piece("$.e", stringValue=""),
    )
    assert found == {"a": "x", "b": 1.5, "c": False, "d": None, "e": ""}


def test_text_goes_on_under_its_path() -> None:
    """Pieces of one path are one text, in their order, whatever comes between them."""
    found = build(
        piece("$.a", stringValue="Par", willContinue=True),
        piece("$.b", stringValue="x"),
        piece("$.a", stringValue="is"),
    )
    assert found == {"a": "Paris", "b": "x"}


def test_paths_lead_into_objects_and_lists() -> None:
    """Steps are names, quoted names and places in a list."""
    found = build(
        piece("$.places[0].name", stringValue="A"),
        piece("$.places[1].name", stringValue="B"),
        piece("$['two words'][\"x'y\"]", numberValue=1),
        piece("$.grid[0][0]", numberValue=2),
        piece("$.words[0]", stringValue="a"),
        piece("$.words[0]", stringValue="b"),
    )
    assert found == {
        "places": [{"name": "A"}, {"name": "B"}],
        "two words": {"x'y": 1},
        "grid": [[2]],
        "words": ["ab"],
    }


@pytest.mark.parametrize(
    "path", ["", "$", "a", "$.", "$[0]", "$.a[", "$.a[7]", "$.a" + ".b" * 40, "$.a" * 2000, "$..a"]
)
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    """Without its place a value cannot be given to anybody."""
    with pytest.raises(ValueError):
        build(piece(path, stringValue="x"))


@pytest.mark.parametrize(
    "pieces",
    [
        (piece("$.a", stringValue="x"), piece("$.a.b", stringValue="y")),
        (piece("$.a.b", stringValue="x"), piece("$.a[0]", stringValue="y")),
        (piece("$.a[0]", stringValue="x"), piece("$.a.b", stringValue="y")),
    ],
)
def test_two_shapes_at_one_place_are_refused(pieces: tuple[PartialArgument, ...]) -> None:
    """What is text cannot have members, and what is an object no places."""
    with pytest.raises(ValueError):
        build(*pieces)


def test_arguments_have_a_cap() -> None:
    """A provider cannot fill our memory by going on."""
    builder = ArgumentBuilder()
    long = PartialArgument("$.a", "x" * 1_000_000)
    with pytest.raises(OverflowError):
        for _ in range(20):
            builder.add(long)
    builder = ArgumentBuilder()
    with pytest.raises(OverflowError):
        for _ in range(MAX_PIECES + 1):
            builder.add(PartialArgument("$.a", ""))


def test_steps_count_and_not_only_pieces() -> None:
    """Deep paths that have nothing in common are refused before they fill memory."""
    builder = ArgumentBuilder()
    with pytest.raises(OverflowError):
        for number in range(MAX_PIECES // 31 + 1):
            builder.add(PartialArgument(f"$.a{number}" + ".b" * 30, ""))


def test_a_number_does_not_keep_its_event() -> None:
    """What stood beside a number is gone once it has been taken."""
    text = json.dumps({"jsonPath": "$.a", "numberValue": 15, "junk": "x" * 1000}).encode()
    before = sys.getrefcount(text)
    builder = ArgumentBuilder()
    builder.add(_decode(text))
    assert sys.getrefcount(text) == before
    assert builder.build() == '{"a":15}'


_PLAIN = st.recursive(
    st.text(max_size=3) | st.integers(-5, 5) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b c", "d'"]), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def _take_apart(path: str, value: Any) -> list[PartialArgument]:
    if isinstance(value, dict):
        return [p for name, inner in value.items() for p in _take_apart(f'{path}["{name}"]', inner)]
    if isinstance(value, list):
        return [p for n, inner in enumerate(value) for p in _take_apart(f"{path}[{n}]", inner)]
    if isinstance(value, str):
        return [piece(path, stringValue=c, willContinue=True) for c in value] or [
            piece(path, stringValue="")
        ]
    if isinstance(value, bool):
        return [piece(path, boolValue=value)]
    if value is None:
        return [piece(path, nullValue="NULL_VALUE")]
    return [piece(path, numberValue=value)]


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), _PLAIN, max_size=3))
def test_what_was_taken_apart_comes_together(arguments: dict[str, Any]) -> None:
    """Any arguments come out of their pieces as they were."""
    pieces = [p for name, value in arguments.items() for p in _take_apart(f"$.{name}", value)]
    assert build(*pieces) == arguments
