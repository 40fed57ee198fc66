"""Promises about docs/reliability.md: every fault in it has its tests, and every test its fault."""

import ast
import re

from tests.promises.markdown import read_code_words, read_first_cells
from tests.promises.tree import ROOT, listed, python_files

PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROWS = {
    *(f"C{number}" for number in range(2, 28)),
    *(f"U{number}" for number in range(1, 41)),
    *(f"A{number}" for number in (1, 2, 4, 5, 6, 8, *range(12, 19), 36, 37, 38, 39, 40, 41)),
    *("A45", "A46", "A53", "A54"),
    *(
        f"I{number}"
        for number in (
            *range(1, 10),
            17,
            18,
            19,
            20,
            *range(23, 28),
            29,
            30,
            31,
            32,
            33,
            34,
            35,
            36,
            38,
            39,
        )
    ),
}
_OF_A_ROW = re.compile(r"test_((?:[cuai]\d+_)+)")


def find_tests() -> set[str]:
    """Return the name of every test of the project."""
    return {
        node.name
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def read_rows() -> set[str]:
    """Return the numbers of the rows that the page has."""
    return set(re.findall(r"\b[CUAI]\d+\b", " ".join(read_first_cells(PAGE))))


def test_every_row_is_on_the_page() -> None:
    """No fault that this project answers for is missing."""
    assert ROWS - read_rows() == set()


def test_the_tests_that_are_named_exist() -> None:
    """Each test that the page names is there."""
    named = {word for word in read_code_words(PAGE) if word.startswith("test_")}
    missing = sorted(named - find_tests())
    assert len(named) > len(ROWS)
    assert not missing, listed(missing)


def test_every_test_of_a_row_has_its_row() -> None:
    """A test whose name begins with a row's number belongs to a row of the page."""
    strange = []
    for name in find_tests():
        found = _OF_A_ROW.match(name)
        numbers = found[1].upper().strip("_").split("_") if found else []
        strange += [name for number in numbers if number not in read_rows()]
    assert not strange, listed(strange)
