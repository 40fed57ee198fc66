"""A37: every regular expression of the product is linear, whatever text it is shown."""

import ast
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.promises.tree import ROOT, python_files, shown

PROMISE_S = 0.02
SLACK = 10
"""Promised times are asserted at ten times their value: tests run on busy machines."""
TEXT_CHARACTERS = 1_000_000
LITTLE = 20_000
PIECES = (
    *(
        "a",
        "A",
        "0",
        "_",
        "-",
        ".",
        " ",
        "\t",
        "\n",
        "\x00",
        '"',
        "\\",
        "/",
        ":",
        "=",
        "@",
        ",",
        ";",
    ),
    *(
        "<",
        ">",
        "<a",
        "{",
        "${",
        "${a",
        "a ",
        " a",
        "A a",
        "a-",
        "-a",
        "0.",
        "0e",
        "e9",
        "a=",
        "a:",
    ),
    *("a=b,", "a:b@", "://", "://a:", "://a:b", "http://", "Bearer ", "bearer a", "basic  ", "sk-"),
    *("sk-a", "key-", "key=", "token: ", 'api_key": "', "x-api-key:", "password=", "eyJ", "eyJa."),
    *("\\u", "\\ud83d", "\\ud83d\\ude00", "\\ude00", "\\\\", "data:", "00-", "upstream_", "\u00e9"),
    *("\u202e", "\ufeff", "ab12", "Ab1-", "PROXY_API_", "PROXY_API_A_API_KEY", "_KEY", "4", "tps,"),
)
"""What a text is repeated from; behind it comes something that ends every match."""
ENDS = ("", "\x00", "!")


class Pattern(Struct, frozen=True):
    """One compiled pattern of the product, and the methods that it is used by."""

    place: str
    compiled: re.Pattern[str] | re.Pattern[bytes]
    methods: frozenset[str]


def find_patterns() -> Iterator[Pattern]:
    """Yield every pattern below proxy/ that is compiled, or given to a function of `re`."""
    for path in python_files("proxy"):
        tree = ast.parse(path.read_text())
        for call in ast.walk(tree):
            method = name_function(call)
            if method in ("", "escape") or not isinstance(call, ast.Call):
                continue
            # Evaluated where it stands: a pattern may be put together from its module's names.
            namespace = vars(import_module(name_module(path)))
            given = call.args[:2] if method == "compile" else call.args[:1]
            arguments = [eval(ast.unparse(each), namespace) for each in given]
            methods = find_methods(tree, call) if method == "compile" else frozenset((method,))
            yield Pattern(f"{shown(path)}:{call.lineno}", re.compile(*arguments), methods)


def name_function(node: ast.AST) -> str:
    """Return which function of `re` a node calls, "" if it calls none."""
    function = node.func if isinstance(node, ast.Call) else None
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return ""
    return function.attr if function.value.id == "re" else ""


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def find_methods(tree: ast.Module, call: ast.Call) -> frozenset[str]:
    """Return what is called on a pattern in its own module; elsewhere it may be anything."""
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and node.value is call
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (node.value is call or (isinstance(node.value, ast.Name) and node.value.id in names))
    )


PATTERNS = list(find_patterns())


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.place)
def test_a_megabyte_of_anything_is_looked_at_in_no_time(pattern: Pattern) -> None:
    """The way that a pattern is used costs at most 20 ms for 1 MB made to be slow."""
    for method in pattern.methods & {"match", "fullmatch"} or {"sub"}:
        # What is slow at all is slow for a little text too: only the worst gets the megabyte.
        spent_s = {
            (piece, end): measure(pattern.compiled, method, fill(piece, LITTLE) + end)
            for piece in PIECES
            for end in ENDS
        }
        piece, end = max(spent_s, key=lambda each: spent_s[each])
        assert spent_s[piece, end] < PROMISE_S * SLACK, (method, piece, end)
        whole_s = measure(pattern.compiled, method, fill(piece, TEXT_CHARACTERS) + end)
        assert whole_s < PROMISE_S * SLACK, (method, piece, end)


def fill(piece: str, characters: int) -> str:
    return piece * (characters // len(piece))


def measure(compiled: re.Pattern[str] | re.Pattern[bytes], method: str, text: str) -> float:
    """Return the seconds of one use; `sub` stands for every method that looks at all places."""
    started_s = time.process_time()
    if isinstance(compiled.pattern, str):
        use(compiled, method, text)
    else:
        use(compiled, method, text.encode())
    return time.process_time() - started_s


def use(compiled: re.Pattern[Any], method: str, text: str | bytes) -> None:
    if method == "sub":
        compiled.sub(text[:0], text)
    else:
        getattr(compiled, method)(text)


def test_a_slow_pattern_is_seen() -> None:
    """The measure tells a pattern that goes back over its text from one that does not."""
    slow = re.compile("a*b")
    assert measure(slow, "sub", "a" * 20_000) > PROMISE_S
