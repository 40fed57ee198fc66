"""
The variables a configuration may be changed by: the environment, and a `.env` file below it.

Only reads and joins them; what a variable means is `merge.py`'s business.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from proxy.config.problem import ENVIRONMENT, Place, Problem
from proxy.domain.secret import Secret

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class Variable(Struct, frozen=True):
    """
    One variable that is set: its text, which may be a key, and where it was set.

    `replaced` is its namesake in `.env`, which does not count because of it.
    """

    text: Secret
    place: Place
    replaced: "Variable | None" = None


class DotEnv(Struct, frozen=True):
    """What a `.env` file sets, and the lines of it that cannot be read."""

    variables: Mapping[str, Variable]
    problems: tuple[Problem, ...] = ()


def parse_dot_env(data: bytes, source: str) -> DotEnv:
    """
    Read `NAME=value` lines, with comments, quotes and `export`.

    Without quotes a value ends at ` #`; in single quotes it is taken as it is; in double
    quotes a backslash escapes the next character. Nothing is expanded.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        problem = Problem(Place(source), "this file is not UTF-8", "save it in UTF-8")
        return DotEnv({}, (problem,))
    variables: dict[str, Variable] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        place = Place(source, number, len(line) - len(line.lstrip()) + 1)
        name, equals, rest = content.partition("=")
        name = name.removeprefix("export ").strip()
        value = _read_value(rest.strip())
        if not equals or not _NAME.match(name):
            problems.append(Problem(place, "this is not a variable", "write NAME=value"))
        elif value is None:
            problems.append(
                Problem(
                    Place(source, number, place.column, name),
                    "the quotes around this value are not closed, or something follows them",
                    "close them on the same line",
                )
            )
        elif name in variables:
            problems.append(
                Problem(
                    Place(source, number, place.column, name),
                    f"this variable was set before, on line {variables[name].place.line}",
                    "keep one of the two",
                )
            )
        else:
            set_at = Place(source, number, place.column, name)
            variables[name] = Variable(Secret(value), set_at)
    return DotEnv(variables, tuple(problems))


def _read_value(text: str) -> str | None:
    quote = text[:1]
    if quote not in ("'", '"'):
        # A comment begins at a '#' after a blank, so that '#' may stand inside a key.
        return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()
    end = 1
    while end < len(text) and text[end] != quote:
        end += 2 if quote == '"' and text[end] == "\\" else 1
    after = text[end + 1 :].strip()
    if end >= len(text) or (after and not after.startswith("#")):
        return None
    inner = text[1:end]
    if quote == "'":
        return inner
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), inner)


def build_environment(
    environ: Mapping[str, str], dot_env: Mapping[str, Variable]
) -> dict[str, Variable]:
    """Return the variables in force: a real one goes before its namesake in `.env`."""
    environment = dict(dot_env)
    for name, text in environ.items():
        place = Place(ENVIRONMENT, variable=name)
        environment[name] = Variable(Secret(text), place, read_variable(dot_env, name))
    return environment


def read_variable(environment: Mapping[str, Variable], name: str) -> Variable | None:
    """Return a variable, or None if it is not set or empty."""
    variable = environment.get(name)
    return variable if variable is not None and variable.text.reveal().strip() else None
