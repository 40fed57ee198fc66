"""How a body becomes an Ask, whatever the dialect."""

from collections.abc import Mapping

import pytest
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.openai_fields import Check


def start(body: bytes, model: str | None = None, checks: Mapping[str, Check] | None = None) -> Ask:
    """Return the Ask of a body."""
    return start_ask("chat", body, checks or {}, model)


def test_fields_stay_as_they_came() -> None:
    """Every field is there with its bytes, but for the names that are ours."""
    ask = start(b'{"model":"m","x": [1, 2],"models":["n"],"fallbacks":["o"]}')
    assert {name: bytes(raw) for name, raw in ask.fields.items()} == {
        "model": b'"m"',
        "x": b"[1, 2]",
    }
    assert (ask.model, ask.fallbacks, ask.models_count) == ("m", ("n", "o"), 1)


def test_the_paths_model_goes_before_the_bodys() -> None:
    """It is what is asked for and what is sent, whatever the body says of it, or does not."""
    for body in (b'{"model":"other","x":1}', b'{"x":1}', b'{"model":7,"x":1}'):
        ask = start(body, "mine")
        assert (ask.model, bytes(ask.fields["model"])) == ("mine", b'"mine"')


def test_the_first_of_models_stands_in_for_a_model() -> None:
    """Without `model` the first name of the list is asked for, and is a field."""
    ask = start(b'{"models":["a","b"]}')
    assert (ask.model, bytes(ask.fields["model"]), ask.fallbacks) == ("a", b'"a"', ("b",))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model":7}', "model"),
        (b'{"model":"m","Model":"n"}', "model"),
    ],
)
def test_what_names_no_model_is_refused(body: bytes, param: str | None) -> None:
    """A body must be an object that names one model, which nobody reads otherwise."""
    with pytest.raises(InvalidRequest) as caught:
        start(body)
    assert caught.value.param == param


def test_fields_are_checked_in_their_order() -> None:
    """A check gets the name and the bytes of its field; nobody else's is called."""
    seen: list[tuple[str, bytes]] = []

    def check(name: str, raw: Raw) -> None:
        seen.append((name, bytes(raw)))

    start(b'{"b":1,"model":"m","a":2,"c":3}', checks={"a": check, "b": check, "d": check})
    assert seen == [("b", b"1"), ("a", b"2")]
