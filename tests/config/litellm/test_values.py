"""Values of LiteLLM's configuration."""

from decimal import Decimal

import pytest

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.values import (
    find_reference,
    is_model_name,
    is_sendable,
    read_names,
    read_number,
    read_section,
    read_text,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [("os.environ/A_KEY", "A_KEY"), (" os.environ/B ", "B"), ("sk-1", None), (7, None)],
)
def test_references(value: object, name: str | None) -> None:
    """`os.environ/NAME` is a variable, and nothing else is."""
    assert find_reference(value) == name


def test_texts_are_looked_up_in_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference is what the file's own variables say; the environment is not read."""
    monkeypatch.setenv("OUTSIDE", "secret")
    variables = {"INSIDE": "https://a.example", "AGAIN": "os.environ/OUTSIDE"}
    assert read_text("os.environ/INSIDE", variables) == "https://a.example"
    assert read_text("os.environ/AGAIN", variables) is None
    assert read_text("os.environ/OUTSIDE", variables) is None
    assert read_text(" text ", variables) == "text"
    assert read_text(3, variables) is None
    assert read_text("", variables) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((3, Decimal(3)), ("0.5", Decimal("0.5")), (1e-05, Decimal("0.00001"))),
        *((True, None), (-1, None), ("x", None), (float("nan"), None), (None, None), (1e30, None)),
    ],
)
def test_numbers(value: object, number: Decimal | None) -> None:
    """Numbers from 0 on are taken, also as text; truth, infinity and words are none."""
    assert read_number(value) == number


@pytest.mark.parametrize(
    ("value", "is_one"),
    [("gpt-4o", True), ("a/b:c", True), ("", False), (" a", False), ("${A}", False), (7, False)],
)
def test_names_of_models(value: object, is_one: bool) -> None:
    """A name is one by the rules of our configuration, and holds no reference of ours."""
    assert is_model_name(value) is is_one


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("sk-1", True), ("a b", False), ("é", False), ("a\n", False), ("$A", False), ("x${A}", False)],
)
def test_keys_that_can_be_sent(key: str, is_one: bool) -> None:
    """A key is one word of printable ASCII, and no reference to a variable."""
    assert is_sendable(key) is is_one


def test_sections() -> None:
    """Names are text; what should be a section and is none is passed over with a note."""
    notes = Notes()
    assert read_section({"a": {1: 2}}, "a", notes) == {"1": 2}
    assert read_section({}, "a", notes) == {}
    assert not notes.lines
    assert read_section({"a": [1]}, "a", notes) == {}
    assert notes.lines == ("a: is no section of settings, and was passed over",)
    assert read_names(None) == {}
