"""
What an unquoted word of YAML means: text, a number, true or false, or nothing.

PyYAML's own rules (YAML 1.1) say which kind it is; the forms whose meaning surprises
people are refused instead of being read: `0123` would be 83, `1:30` would be 90.
"""

import math
import re
from typing import Any, cast

from msgspec import Struct
from yaml.resolver import Resolver

from proxy.config.node import Scalar

_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_PLAIN_NUMBER = re.compile(r"[-+]?([0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?\Z")
_TRUE = frozenset(("yes", "true", "on"))
_TAG = "tag:yaml.org,2002:"


class RefusedScalar(Struct, frozen=True):
    """An unquoted word that is not read, with the reason and the way out."""

    what: str
    mend: str


_NUMBER = RefusedScalar(
    "YAML reads this as a number in a special notation",
    "write a number in plain decimal digits, or put text into quotes",
)
_DATE = RefusedScalar("YAML reads this as a date", "put it into quotes")
_MERGE = RefusedScalar("'<<' is not read here", "write the keys out")


def read_plain(text: str) -> Scalar | RefusedScalar:
    """
    Return the value of an unquoted YAML scalar.

    Args:
        text: the word as it stands in the file, without comments and outer blanks.

    Returns:
        None, a bool, an int, a float or the text itself; a RefusedScalar for numbers in
        octal, hexadecimal, base 60, with underscores, infinite or too long, for dates,
        and for the merge key.

    Raises:
        Nothing.

    Source: https://yaml.org/type/ as PyYAML's `Resolver` implements it.
    """
    kind = _resolve(text)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in _TRUE
    if kind == "int":
        return int(text) if _PLAIN_INTEGER.match(text) else _NUMBER
    if kind == "float":
        number = float(text) if _PLAIN_NUMBER.match(text) else math.inf
        return number if math.isfinite(number) else _NUMBER
    if kind == "timestamp":
        return _DATE
    return _MERGE if kind == "merge" else text


def _resolve(text: str) -> str:
    resolvers = cast(
        "dict[str, list[tuple[str, re.Pattern[str]]]]",
        cast(Any, Resolver).yaml_implicit_resolvers,
    )
    for tag, pattern in resolvers.get(text[:1], ()):
        if pattern.match(text):
            return tag.removeprefix(_TAG)
    return "str"
