"""Numbers lie within all the bounds of their schema."""

import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.schema_number import NumberError, pick_integer, pick_number

_BOUNDS = st.fixed_dictionaries(
    {},
    optional={
        "minimum": st.integers(-50, 50),
        "exclusiveMinimum": st.integers(-50, 50),
        "maximum": st.integers(60, 150),
        "exclusiveMaximum": st.integers(60, 150),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 1.5, 2.5]),
    },
)


def _fits(value: float, schema: dict[str, Any]) -> bool:
    exact = Fraction(str(value))
    return (
        exact >= schema.get("minimum", exact)
        and exact <= schema.get("maximum", exact)
        and ("exclusiveMinimum" not in schema or exact > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or exact < schema["exclusiveMaximum"])
        and ("multipleOf" not in schema or exact % Fraction(str(schema["multipleOf"])) == 0)
    )


@given(_BOUNDS, st.integers(0, 10))
def test_numbers_fit(schema: dict[str, Any], seed: int) -> None:
    """Whatever bounds are set, whole numbers and others keep them."""
    whole = pick_integer(schema, random.Random(seed))
    assert isinstance(whole, int)
    assert _fits(whole, schema)
    assert _fits(pick_number(schema, random.Random(seed)), schema)


def test_the_bounds_of_any_exact_integer_are_met() -> None:
    """What zod sets for an integer, the whole numbers that a double holds, leaves one."""
    schema = {"minimum": 1 - 2**53, "maximum": 2**53 - 1}
    assert schema["minimum"] <= pick_integer(schema, random.Random(1)) <= schema["maximum"]


@pytest.mark.parametrize(
    ("schema", "low", "high"),
    [
        ({"minimum": 0.25, "maximum": 0.5}, 0.25, 0.5),
        ({"minimum": 3, "maximum": 3}, 3, 3),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.01, 0.99),
        ({"maximum": -7.5}, -20, -7.5),
    ],
)
def test_narrow_ranges_are_met(schema: dict[str, Any], low: float, high: float) -> None:
    """Ranges without a whole number in them still give a number."""
    assert low <= pick_number(schema, random.Random(1)) <= high


@pytest.mark.parametrize(
    "schema",
    [
        {"minimum": 1.2, "maximum": 1.8},
        {"minimum": 5, "maximum": 4},
        {"minimum": "5"},
        {"maximum": True},
        {"multipleOf": 0},
        {"minimum": 1e300},
    ],
)
def test_impossible_bounds_are_errors(schema: dict[str, Any]) -> None:
    """Where no whole number fits, or a bound is no number, an error says so."""
    with pytest.raises(NumberError):
        pick_integer(schema, random.Random(1))
