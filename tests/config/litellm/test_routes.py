"""Names, their order, their aliases and their fallbacks."""

from decimal import Decimal
from typing import Any

import pytest

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.routes import build_routes
from proxy.config.litellm.targets import Target


def build(*targets: Target, **settings: Any) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return routes and notes."""
    notes = Notes()
    return build_routes(targets, settings, notes), notes.lines


@pytest.mark.parametrize(
    ("strategy", "ours", "count"),
    [
        (None, "weighted", 0),
        ("simple-shuffle", "weighted", 0),
        ("latency-based-routing", "least_latency", 0),
        ("cost-based-routing", "least_cost", 0),
        ("least-busy", "weighted", 1),
    ],
)
def test_strategies(strategy: str | None, ours: str, count: int) -> None:
    """Each has its counterpart, or a note; a name with one deployment needs none."""
    two = (Target("a", "p", "m"), Target("a", "q", "m"), Target("b", "p", "m"))
    (a, b), notes = build(*two, routing_strategy=strategy)
    assert a["strategy"] == ours
    assert "strategy" not in b
    assert len(notes) == count


@pytest.mark.parametrize(
    ("shares", "weights"),
    [
        (({"weight": 3}, {"weight": 1}), [3, 1]),
        (({"weight": Decimal("0.9")}, {"weight": Decimal("0.1")}), [1000, 111]),
        (({"rpm": 6000}, {"rpm": 600}), [1000, 100]),
        (({"tpm": 10}, {}), [10, 1]),
        (({}, {}), [None, None]),
        (({"weight": 2, "rpm": 9}, {"weight": 1, "rpm": 1}), [2, 1]),
    ],
)
def test_shares(shares: tuple[dict[str, Any], ...], weights: list[int | None]) -> None:
    """Weights go before requests a minute, those before tokens; all fit between 1 and 1000."""
    targets = []
    for index, given in enumerate(shares):
        weight, rpm, tpm = (
            None if given.get(name) is None else Decimal(given[name])
            for name in ("weight", "rpm", "tpm")
        )
        targets.append(Target("a", f"p{index}", "m", None, weight, rpm, tpm))
    ((route,), _) = build(*targets)
    assert [target.get("weight") for target in route["targets"]] == weights


def test_order_is_priority_and_doubles_are_one_deployment() -> None:
    """`order` becomes `priority`; what stands twice has both shares; weight 0 is nobody."""
    first = Target("a", "p", "m", order=1)
    zero = Target("a", "q", "m", weight=Decimal(0))
    ((route,), notes) = build(first, first, zero)
    assert route["targets"] == [{"provider": "p", "model": "m", "priority": 1, "weight": 2}]
    assert "weight 0" in notes[0]


def test_aliases_and_fallbacks() -> None:
    """An alias has targets and fallbacks of its name, unless it has fallbacks of its own."""
    targets = [Target(name, "p", name) for name in ("a", "b", "c")]
    routes, notes = build(
        *targets,
        model_group_alias={"x": "a", "y": {"model": "b", "hidden": True}, "z": "nowhere", "a": "b"},
        fallbacks=[{"a": ["b", {"model": "c"}]}, {"x": ["c"]}, {"*": ["a"]}, "wrong"],
        content_policy_fallbacks=[{"b": ["c", "nobody"]}],
    )
    found = {route["alias"]: route.get("fallbacks") for route in routes}
    assert found == {"a": ["b", "c"], "b": ["c"], "c": ["a"], "x": ["c"], "y": ["c"]}
    places = {line.split(":")[0] for line in notes}
    assert places == {
        *("model_group_alias.y", "model_group_alias.z", "model_group_alias.a", "fallbacks"),
        *("content_policy_fallbacks", "fallbacks of b", "fallbacks of y"),
    }


def test_fallbacks_of_a_name_without_a_route_are_noted() -> None:
    """What only a pattern serves has no route that could hold its fallbacks."""
    routes, notes = build(Target("a", "p", "m"), fallbacks=[{"b": ["a"]}])
    assert "fallbacks" not in routes[0]
    assert notes == ("fallbacks of b: no route has this name: they were left out",)


def test_a_fallback_may_be_one_of_a_pattern() -> None:
    """What a provider of every model serves under such a name is kept."""
    notes = Notes()
    settings = {"fallbacks": [{"a": ["openrouter/auto", "groq/x"]}]}
    patterns = ("openrouter/*",)
    (route,) = build_routes([Target("a", "p", "m")], settings, notes, patterns=patterns)
    assert route["fallbacks"] == ["openrouter/auto"]


def test_fallbacks_that_are_left_out_are_noted() -> None:
    """One mapping is taken as a list of one; what is no mapping, or names no model, is told."""
    targets = (Target("a", "p", "m"), Target("b", "p", "n"))
    (a, b), notes = build(*targets, fallbacks={"a": "b"})
    assert (a["fallbacks"], "fallbacks" in b, notes) == (["b"], False, ())
    _, notes = build(*targets, fallbacks=["a", {"b": [["a"]]}])
    assert notes == (
        "fallbacks: one that does not say whose it is was left out",
        "fallbacks: one that names no model was left out",
    )


def test_a_strategy_that_is_no_text_is_not_written_out() -> None:
    """Lists within lists, by anchors of YAML, would be more text than there is memory for."""
    bomb: list[Any] = ["x"] * 9
    for _ in range(12):
        bomb = [bomb] * 9
    targets = (Target("a", "p", "m"), Target("a", "q", "m"))
    ((route,), notes) = build(*targets, routing_strategy=bomb)
    assert (route["strategy"], len(notes)) == ("weighted", 1)
