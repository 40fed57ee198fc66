"""Reading YAML and JSON with positions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.parse import Parsed, parse_json, parse_yaml
from proxy.config.problem import ConfigError


def _lines(parsed: Parsed) -> list[str]:
    return [str(problem) for problem in parsed.problems]


def test_values_know_line_and_column() -> None:
    """Every value has the line and column where it begins, counted from 1 in characters."""
    parsed = parse_yaml("ä: [x, 'yé']\nb:\n  c: 1 # note\n".encode(), "config.yaml")
    assert parsed.tree is not None
    assert str(parsed.tree.place_of("ä", 1)) == "config.yaml:1:8"
    assert str(parsed.tree.place_of("b", "c")) == "config.yaml:3:6"


def test_a_key_given_twice_is_refused_and_the_first_is_kept() -> None:
    """A second key of the same name is a problem that names the line of the first."""
    parsed = parse_yaml(b"a: 1\nb:\n  c: 1\n  c: 2\na: 2\n", "f")
    assert parsed.tree is not None
    assert parsed.tree.plain() == {"a": 1, "b": {"c": 1}}
    assert _lines(parsed) == [
        "f:4:3: the key 'c' was given before, on line 3: keep one of the two",
        "f:5:1: the key 'a' was given before, on line 1: keep one of the two",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (b"", "f:1:1: the file is empty"),
        (b"# only a comment\n", "f:1:1: the file is empty"),
        (b"a:\n\t- b\n", "f:2:1: a tab stands where YAML needs blanks"),
        (b"a: b: c\n", "f:1:5: mapping values are not allowed"),
        (b'a: "b\nc: d\n', "f:3:1: found unexpected end of stream"),
        (b"a: 1\n---\nb: 2\n", "f:2:1: a second document begins here"),
        (b"a: 1\nb: \xff\n", "f:2:4: these bytes are not UTF-8"),
        (b"a: 1\nb: \x00\n", "f:2:4: the character U+0000 may not stand"),
        (b"a: [1\n", "f:2:1: did not find expected"),
    ],
)
def test_text_that_is_not_yaml(text: bytes, start: str) -> None:
    """What cannot be read has one problem, at its line and column, and no tree."""
    parsed = parse_yaml(text, "f")
    assert parsed.tree is None
    (line,) = _lines(parsed)
    assert line.startswith(start)


def test_a_byte_order_mark_is_passed_over() -> None:
    """A file that an editor began with a byte order mark reads like any other."""
    parsed = parse_yaml(b"\xef\xbb\xbfa: 1\n", "f")
    assert parsed.tree is not None
    assert parsed.tree.plain() == {"a": 1}


def test_json_values_keep_their_meaning() -> None:
    """JSON is read as JSON says, not as YAML would: `1e3` is a number, `"no"` is text."""
    text = '{"a": [1e3, -0.5, 7, true, null, "no", "1:30", "\\u00e4\\n\\/"],\n\t"b": {}}'
    parsed = parse_json(text.encode(), "f.json")
    assert parsed.tree is not None
    assert parsed.tree.plain() == json.loads(text)
    assert str(parsed.tree.place_of("b")) == "f.json:2:7"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (b"{'a': 1}", "f:1:2: this is not JSON"),
        (b'{"a": 1,}', "f:1:"),
        (b"a: 1", "f:1:1: this is not JSON"),
        (b'{"a": NaN}', "f: a number is not finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "f: a number is not finite or has too many digits"),
        (b"[" * 100_000, "f: the nesting is too deep"),
        (b'{"a": 1, "a": 2}', "f:1:10: the key 'a' was given before"),
        (b'{"a": 1', "f:1:8: this is not JSON"),
    ],
)
def test_text_that_is_not_json(text: bytes, start: str) -> None:
    """What JSON does not allow is refused in a JSON file, and so are keys given twice."""
    assert _lines(parse_json(text, "f"))[0].startswith(start)


_PIECES = st.sampled_from(
    [
        "a: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "  ",
        "\t",
        "&x ",
        "*x",
        "!t ",
        "? ",
        ": ",
        "'",
        '"',
        "|",
        ">",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "0123",
        "no",
        "#",
        "\\",
        "a",
        "\ufeff",
    ]
)


@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(), st.booleans())
def test_text_never_makes_the_reader_fail(text: str, is_json: bool) -> None:
    """Any text gives a tree or problems, never an exception of another kind."""
    parsed = (parse_json if is_json else parse_yaml)(text.encode("utf-8", "replace"), "f")
    assert (parsed.tree is None) <= bool(parsed.problems)
    assert "\n" not in "".join(_lines(parsed))
    assert str(ConfigError(parsed.problems)) == "\n".join(_lines(parsed))


@given(st.binary(max_size=200))
def test_bytes_never_make_the_reader_fail(data: bytes) -> None:
    """Any bytes give a tree or problems."""
    parsed = parse_yaml(data, "f")
    assert (parsed.tree is None) <= bool(parsed.problems)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.text("abc no:#'\"\n", max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("abcxyz", min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_json_round_trip(value: object) -> None:
    """What was written as JSON is read back as the same value."""
    parsed = parse_json(json.dumps(value, indent=1).encode(), "f")
    assert parsed.problems == ()
    assert parsed.tree is not None
    assert parsed.tree.plain() == value
