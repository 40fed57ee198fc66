"""What operators may name, and what one name says about another."""

import pytest

from proxy.policy.breaker_targets import BreakerName, covers, is_target, split_breaker_id
from tests.telemetry.records import build_snapshot

SNAPSHOT = build_snapshot()
"""alpha lists small and large, beta takes any model."""


@pytest.mark.parametrize(
    ("breaker_id", "name"),
    [
        ("alpha/small", BreakerName("deployment", "alpha", "small")),
        ("alpha/org/model:free", BreakerName("deployment", "alpha", "org/model:free")),
        ("host:alpha", BreakerName("host", "alpha")),
        ("key:alpha", BreakerName("key", "alpha")),
        ("key:alpha/x", BreakerName("deployment", "key:alpha", "x")),
        ("alpha", BreakerName("deployment", "alpha", "")),
        ("", BreakerName("deployment", "", "")),
    ],
)
def test_an_id_is_taken_apart(breaker_id: str, name: BreakerName) -> None:
    """The first slash ends the provider; without one it is a host's or a key's."""
    assert split_breaker_id(breaker_id) == name


@pytest.mark.parametrize(
    ("target", "is_one"),
    [
        ("*", True),
        ("alpha", True),
        ("host:beta", True),
        ("key:alpha", True),
        ("alpha/small", True),
        ("alpha/unlisted", False),
        ("alpha/", False),
        ("alpha/*", False),
        ("beta/any/model", True),
        ("beta/*", True),
        ("beta/with blank", False),
        ("gone", False),
        ("gone/small", False),
        ("host:gone", False),
        ("small", False),
        ("", False),
    ],
)
def test_only_what_the_catalog_has_can_be_meant(target: str, is_one: bool) -> None:
    """A listed model, any name at a provider that takes any, a host, a key, a provider, `*`."""
    assert is_target(target, SNAPSHOT) is is_one


@pytest.mark.parametrize(
    ("wider", "narrower", "does"),
    [
        ("*", "alpha", True),
        ("*", "*", True),
        ("alpha", "*", False),
        ("alpha", "alpha", True),
        ("alpha", "alpha/small", True),
        ("alpha", "host:alpha", True),
        ("alpha", "key:beta", False),
        ("alpha/small", "alpha", False),
        ("alpha/small", "alpha/small", True),
        ("host:alpha", "alpha", False),
        ("host:alpha", "alpha/small", False),
    ],
)
def test_a_name_covers_what_is_its_own(wider: str, narrower: str, does: bool) -> None:
    """`*` covers all, a provider's name its breakers, an id itself."""
    assert covers(wider, narrower) is does
