"""Tests of `proxy/domain/secret.py`."""

import copy
import pickle
from collections.abc import Callable

import msgspec
import pytest

from proxy.domain.catalog import Provider
from proxy.domain.secret import Secret

TEXT = "sk-canary-4711"


@pytest.mark.parametrize(
    "show",
    [str, repr, "{}".format, "{:>60}".format, "%s".__mod__, lambda secret: f"{secret!r:10}"],
)
def test_printing_gives_stars(show: Callable[[Secret], str]) -> None:
    """However a secret is printed, its text is not in it."""
    assert "canary" not in show(Secret(TEXT))
    assert "***" in show(Secret(TEXT))


def test_what_holds_a_secret_prints_stars_too() -> None:
    """The repr of a struct with a secret in it does not show the text."""
    holder = Provider(name="p", type="openai", base_url="http://h/v1", api_key=Secret(TEXT))
    assert "canary" not in repr(holder)


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode])
def test_a_secret_is_not_written_out(write: Callable[[Secret], object]) -> None:
    """Pickling, copying and encoding a secret fail rather than give it away."""
    with pytest.raises(TypeError) as refusal:
        write(Secret(TEXT))
    assert "canary" not in str(refusal.value)


def test_only_reveal_gives_the_text() -> None:
    """`reveal` returns the text, and equal texts make equal secrets."""
    assert Secret(TEXT).reveal() == TEXT
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
