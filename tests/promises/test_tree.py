"""Promises about the source as a whole: what every file of it may be relied on for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.promises.tree import PACKAGES, PROGRAMS, ROOT, listed, project_files, python_files, shown

MAX_LINES = 400

# Sources without a test file of their own, each with the reason.
WITHOUT_TEST = {
    "proxy/__main__.py": "two lines; the end-to-end tests start the server through it",
    "proxy/worker/__main__.py": "one call; every test of a worker starts it",
    "health_worker/__main__.py": "one call of two; tests of both start it",
    "proxy/version.py": "one constant; test_project.py reads it",
    "proxy/domain/chat.py": "data only; every reader's and writer's test is about it",
    "proxy/domain/events.py": "data only; tests/wire/contract_dialect.py holds their order",
    "proxy/wire/dialect.py": "interfaces only; tests/wire/contract_dialect.py holds the pairs",
}
# Interfaces: nothing in them runs. The contract suites hold whatever implements them.
WITHOUT_TEST_BY_NAME = {"base.py"}

_UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
_NOQA = re.compile(r"noqa(?::\s*[A-Z0-9, ]+)?")
_HOME = re.compile(r"(?<![\w.$}>])/(?:home|Users)/[\w.-]+/|(?<![\w.])/[r]oot/")
# Directories that a server is installed to: documents may name them, whatever this checkout's is.
_INSTALL_ROOTS = {"app", "opt", "srv", "usr", "var"}


def test_every_source_has_a_test_of_its_name() -> None:
    """Each module of the product is tested by a file of its name, or says why it is not."""
    missing = []
    for path in python_files(*PACKAGES):
        if path.name in {"__init__.py", *WITHOUT_TEST_BY_NAME} or shown(path) in WITHOUT_TEST:
            continue
        if not _test_of(path).exists():
            missing.append(f"{shown(path)} has no {shown(_test_of(path))}")
    assert not missing, listed(missing)


def test_exceptions_to_the_pairing_are_needed() -> None:
    """Nothing stands on the list of untested sources that is gone or has its test by now."""
    tested = [name for name in WITHOUT_TEST if _test_of(ROOT / name).exists()]
    gone = [name for name in WITHOUT_TEST if not (ROOT / name).exists()]
    assert (tested, gone) == ([], [])


def test_packages_hold_nothing_in_their_init() -> None:
    """Every `__init__.py` is empty: names are imported from the module that defines them."""
    filled = [
        shown(path)
        for path in python_files(*PROGRAMS, "tests")
        if path.name == "__init__.py" and path.read_bytes().strip()
    ]
    assert not filled, listed(filled)


def test_every_package_has_its_init() -> None:
    """Every folder that holds Python files of the product or of its tests is a package."""
    folders = sorted({path.parent for path in python_files(*PACKAGES, "tests")})
    missing = [shown(path) for path in folders if not (path / "__init__.py").exists()]
    assert not missing, listed(missing)


def test_no_source_is_too_long_to_read() -> None:
    """No source file has more than 400 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in python_files(*PROGRAMS)}
    long = [f"{shown(path)}: {lines}" for path, lines in lengths.items() if lines > MAX_LINES]
    assert not long, listed(long)


def test_nothing_is_left_unfinished() -> None:
    """No source holds a note of work that is still to be done."""
    notes = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in python_files(*PROGRAMS)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if _UNFINISHED.search(line)
    ]
    assert not notes, listed(notes)


def test_every_catch_all_is_defended() -> None:
    """Whatever swallows every exception has a comment, above it or in it, that says why."""
    undefended = []
    for path in python_files(*PROGRAMS):
        text = path.read_text()
        lines = text.splitlines()
        for first, last in _catch_alls(ast.parse(text)):
            # Line numbers begin at 1: this is the line above the `except` and on to the last.
            if not any(_comment_words(line) for line in lines[max(first - 2, 0) : last]):
                undefended.append(f"{shown(path)}:{first}: {lines[first - 1].strip()}")
    assert not undefended, listed(undefended)


def test_no_path_of_a_developers_machine() -> None:
    """No file of the project names somebody's home directory or the place of this checkout."""
    here = None if ROOT.parts[1] in _INSTALL_ROOTS or len(ROOT.parts) < 3 else f"{ROOT}/"
    found = []
    for path in project_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if _HOME.search(line) or (here is not None and here in line):
                found.append(f"{shown(path)}:{number}: {line.strip()[:120]}")
    assert not found, listed(found)


def _test_of(source: Path) -> Path:
    """`proxy/wire/sse.py` is tested by `tests/wire/test_sse.py`."""
    package, *folders, name = source.relative_to(ROOT).parts
    beside = folders if package == "proxy" else [package, *folders]
    return ROOT.joinpath("tests", *beside, f"test_{name}")


def _catch_alls(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Where everything is caught for good: the first line, and the last before it is handled."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            # What ends in a bare `raise` only tidies up on the way out.
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not passes_on and (node.type is None or _names_all(node.type)):
                yield node.lineno, node.body[0].lineno
        elif isinstance(node, ast.Call):
            suppresses = ast.unparse(node.func).rpartition(".")[2] == "suppress"
            if suppresses and any(_names_all(argument) for argument in node.args):
                yield node.lineno, node.lineno


def _names_all(caught: ast.expr) -> bool:
    classes = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(each) in {"Exception", "BaseException"} for each in classes)


def _comment_words(line: str) -> list[str]:
    """The words of a line's comment; a bare `noqa` is an order, not a reason."""
    return _NOQA.sub("", line.partition("#")[2]).split()
