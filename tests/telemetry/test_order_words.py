"""What is said of orders to the health worker."""

from proxy.domain.health import HealthVerdict
from proxy.telemetry.order_words import SUSPECT, describe_order, find_late


def test_a_check_says_of_how_many_something_is_known_now() -> None:
    """All, some, one by its name, or none because the health worker doubts itself."""
    assert describe_order("check", (), checked=3, total=3) == ("3 of 3 providers checked.")
    assert "1 of 2" in describe_order("check", (), checked=1, total=2)
    assert describe_order("check", ("a",), checked=1, total=1) == "a: checked."
    assert "not checked" in describe_order("check", ("a",), checked=0, total=1)
    assert describe_order("check", (), checked=0, total=3, is_suspect=True) == SUSPECT


def test_a_check_says_who_has_not_answered_yet() -> None:
    """What is older than the order is no answer to it, and is named as such, at most 8 times."""
    told = describe_order("check", (), checked=3, total=3, late=["slow"])
    assert told == "2 of 3 providers checked; no answer yet from slow: what is told is older."
    told = describe_order("check", ("slow",), checked=1, total=1, late=["slow"])
    assert told == "slow: no answer yet; what is told is older."
    told = describe_order("check", (), checked=20, total=20, late=[f"p{n}" for n in range(10)])
    assert "p7 and 2 more:" in told


def test_a_verdict_from_before_the_order_is_late() -> None:
    """By more than clocks of two machines may differ."""
    old, new, here = (
        HealthVerdict(name, "https://p.example", "healthy", "200", 1.0, checked_at, 30.0)
        for name, checked_at in (("old", 98.9), ("new", 100.5), ("here", 99.5))
    )
    assert find_late([old, new, here], 100.0) == ["old"]


def test_a_search_says_how_many_it_has_found() -> None:
    """If the health worker says so, and where to read on if something was in the way."""
    told = describe_order("discover", (), checked=0, total=0, summary={"found": 2})
    assert told == "Providers were searched for: 2 found."
    assert describe_order("discover", (), checked=0, total=0) == "Providers were searched for."
    summary = {"found": 0, "problems": {"registry": "it is away"}}
    told = describe_order("discover", (), checked=0, total=0, summary=summary)
    assert told == "Providers were searched for: 0 found; 'problems' says what is in the way."


def test_what_is_forgotten_is_said() -> None:
    """Whoever clears the cache is told what that means."""
    assert "unknown" in describe_order("clear", (), checked=0, total=3)
