"""Promises about the tests themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.promises.tree import listed, python_files, shown


def test_every_test_says_what_is_true_when_it_passes() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{shown(path)}:{node.lineno}: {node.name}"
        for path, node in _functions()
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, listed(silent)


def test_no_test_sleeps() -> None:
    """Tests wait for events: only `asyncio.sleep(0)`, one turn of the loop, is allowed."""
    sleeps = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_sleep(node)
    ]
    assert not sleeps, listed(sleeps)


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in python_files("tests"):
        if not path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def _is_sleep(call: ast.Call) -> bool:
    if ast.unparse(call.func) not in {"time.sleep", "asyncio.sleep"}:
        return False
    length = call.args[0] if call.args else None
    return not (isinstance(length, ast.Constant) and length.value == 0)
