"""Picks a number inside the bounds that a JSON schema sets; `schema_value.py` calls it."""

import math
import random
from fractions import Fraction
from typing import Any

_LARGEST = 1e16  # beyond 2**53 - 1, which generators of schemas set for any integer


class NumberError(ValueError):
    """Bounds that are no numbers, or leave no number."""


def pick_integer(schema: dict[str, Any], chance: random.Random) -> int:
    """Return a whole number within minimum, maximum, their exclusive forms and multipleOf."""
    multiple = _read(schema, "multipleOf")
    # The whole multiples of p/q, in lowest terms, are the multiples of p.
    step = Fraction(1 if multiple is None else multiple.numerator)
    return int(_pick_multiple(schema, _check_step(step), 9, chance))


def pick_number(schema: dict[str, Any], chance: random.Random) -> float:
    """Return a number within minimum, maximum, their exclusive forms and multipleOf."""
    step = _read(schema, "multipleOf")
    if step is None:
        low, high = _bounds(schema)
        if low is None or high is None or high - low >= 1:
            step = Fraction(1, 10)
        elif low == high:
            return float(low)
        else:
            step = (high - low) / 10
    return float(_pick_multiple(schema, _check_step(step), 99, chance))


def _pick_multiple(
    schema: dict[str, Any], step: Fraction, spread: int, chance: random.Random
) -> Fraction:
    low, high = _bounds(schema)
    if low is None:
        low = Fraction(1) if high is None else min(Fraction(1), high - step)
    start = math.ceil(low / step)
    if start * step == _read(schema, "exclusiveMinimum"):
        start += 1
    end = start + spread
    if high is not None:
        end = min(end, math.floor(high / step))
        if end * step == _read(schema, "exclusiveMaximum"):
            end -= 1
    if end < start:
        raise NumberError("no number fits its bounds.")
    return chance.randint(start, end) * step


def _bounds(schema: dict[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    lows = [_read(schema, "minimum"), _read(schema, "exclusiveMinimum")]
    highs = [_read(schema, "maximum"), _read(schema, "exclusiveMaximum")]
    low = max([bound for bound in lows if bound is not None], default=None)
    high = min([bound for bound in highs if bound is not None], default=None)
    return low, high


def _check_step(step: Fraction) -> Fraction:
    if step <= 0:
        raise NumberError("'multipleOf' must be above 0.")
    return step


def _read(schema: dict[str, Any], key: str) -> Fraction | None:
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise NumberError(f"'{key}' must be a number between -1e16 and 1e16.")
    # Through the text: 0.1 is meant as a tenth, not as the nearest binary fraction.
    return Fraction(str(value))
