"""Reading `.env` files, and joining them with the environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.environment import build_environment, parse_dot_env, read_variable


def _values(text: str) -> dict[str, str]:
    dot_env = parse_dot_env(text.encode(), ".env")
    assert dot_env.problems == ()
    return {name: variable.text.reveal() for name, variable in dot_env.variables.items()}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  A = b  ", "b"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=b # note", "b"),
        ("A=b#c", "b#c"),
        ("A=# note", ""),
        ("A='b # c' # note", "b # c"),
        ('A="b\\"c\\n\\\\"', 'b"c\n\\'),
        ("A='b\\n'", "b\\n"),
        ("A=b=c==", "b=c=="),
        ("A=${B}", "${B}"),
        ('A=""', ""),
        ("A=b\r", "b"),
    ],
)
def test_lines(line: str, value: str) -> None:
    """Blanks, comments, quotes and `export` are understood; nothing is expanded."""
    assert _values(f"# first\n\n{line}\n") == {"A": value}


def test_problems_name_their_line_and_never_the_value() -> None:
    """Lines that are no variables are reported with line and column, without their text."""
    text = 'sk-canary-1\nA=\'canary\nB=1\nB=canary\n1X=canary\nC="a" canary\n'
    dot_env = parse_dot_env(text.encode(), ".env")
    lines = [str(problem) for problem in dot_env.problems]
    assert [line.partition(": ")[0] for line in lines] == [
        ".env:1:1",
        ".env:2:1",
        ".env:4:1",
        ".env:5:1",
        ".env:6:1",
    ]
    assert "canary" not in "".join(lines)


def test_bytes_that_are_not_text_are_a_problem() -> None:
    """A `.env` that is not UTF-8 is refused as a whole."""
    assert "not UTF-8" in str(parse_dot_env(b"A=\xff", ".env").problems[0])


def test_the_real_environment_goes_before_the_file() -> None:
    """A variable of the environment replaces its namesake of `.env`, the others stay."""
    dot_env = parse_dot_env(b"A=file\nB=file\n", ".env")
    environment = build_environment({"A": "real"}, dot_env.variables)
    assert {n: v.text.reveal() for n, v in environment.items()} == {"A": "real", "B": "file"}
    assert str(environment["A"].place) == "environment: A"
    assert str(environment["B"].place) == ".env:2:1: B"


def test_a_variable_knows_its_namesake_that_does_not_count() -> None:
    """What the environment goes before in `.env` is kept beside it, unless it is empty."""
    dot_env = parse_dot_env(b"A=file\nB=\n", ".env").variables
    environment = build_environment({"A": "real", "B": "real", "C": "real"}, dot_env)
    assert environment["A"].replaced == dot_env["A"]
    assert environment["B"].replaced is environment["C"].replaced is None


def test_an_empty_variable_counts_as_not_set() -> None:
    """A variable that is empty or blank is not read."""
    environment = build_environment({"A": "", "B": "  ", "C": "c"}, {})
    assert [read_variable(environment, n) is not None for n in "ABCD"] == [
        False,
        False,
        True,
        False,
    ]


def test_printing_a_variable_does_not_show_its_value() -> None:
    """The repr of the whole environment holds no value."""
    assert "canary" not in repr(build_environment({"A": "canary"}, {}))


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text makes the reader fail."""
    parse_dot_env(text.encode("utf-8", "replace"), ".env")
