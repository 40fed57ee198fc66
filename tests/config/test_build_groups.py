"""Which deployments stand behind which name, and in which order."""

from pathlib import Path

import pytest

from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of

PROVIDERS = f"""
api_keys: [{GOOD_KEY}]
providers:
  - {{name: b, type: lm_studio, models: [m, only-b]}}
  - {{name: a, type: llama_cpp, models: [m]}}
  - {{name: heavy, type: lm_studio, models: [m], weight: 5}}
  - {{name: first, type: lm_studio, models: [m], priority: 0}}
  - {{name: keyless, type: openai, models: [m, gpt]}}
  - {{name: idle, type: lm_studio, models: [m, unseen], enabled: false}}
  - {{name: any, type: lm_studio, models: ["*"]}}
  - {{name: sim, type: simulator, models: [sim-echo]}}
"""


def _order(folder: Path, name: str, routes: str = "") -> list[str]:
    snapshot = load_text(folder, PROVIDERS + routes).snapshot
    return [deployment.id for deployment in snapshot.groups[name].deployments]


def test_a_bare_name_stands_for_all_that_list_it(tmp_path: Path) -> None:
    """Lower priority comes first, then higher weight, then the provider's name."""
    assert _order(tmp_path, "m") == ["first/m", "heavy/m", "a/m", "b/m"]


def test_names_and_owners(tmp_path: Path) -> None:
    """Every listed model is a name, and belongs to the type of its best provider."""
    groups = load_text(tmp_path, PROVIDERS).snapshot.groups
    assert {name: group.owned_by for name, group in groups.items()} == {
        "m": "lm_studio",
        "only-b": "lm_studio",
        "gpt": "openai",
        "sim-echo": "simulator",
    }


def test_a_model_of_keyless_providers_has_no_deployments(tmp_path: Path) -> None:
    """A model whose only provider lacks its key is known but not served."""
    assert _order(tmp_path, "gpt") == []


def test_a_provider_that_is_switched_off_does_not_count(tmp_path: Path) -> None:
    """The models of a provider with `enabled: false` are no names."""
    assert "unseen" not in load_text(tmp_path, PROVIDERS).snapshot.groups


def test_any_other_name_goes_to_the_wildcard(tmp_path: Path) -> None:
    """A name that nobody lists finds the provider that takes any model."""
    group = load_text(tmp_path, PROVIDERS).snapshot.find_group("never-heard-of")
    assert group is not None
    assert [d.id for d in group.deployments] == ["any/never-heard-of"]


def test_an_alias_orders_its_targets(tmp_path: Path) -> None:
    """Targets go by priority, then weight; their own numbers count, not the provider's."""
    routes = """
routes:
  - alias: fast
    strategy: weighted
    stream_failure: buffered
    fallbacks: [m]
    targets:
      - {provider: first, model: m, priority: 2}
      - {provider: a, model: m}
      - {provider: any, model: whatever, weight: 3}
"""
    group = load_text(tmp_path, PROVIDERS + routes).snapshot.groups["fast"]
    assert [d.id for d in group.deployments] == ["any/whatever", "a/m", "first/m"]
    assert (group.strategy, group.stream_failure) == ("weighted", "buffered")
    assert (group.fallbacks, group.owned_by) == (("m",), "llm-proxy")


def test_an_alias_goes_before_a_model_of_its_name(tmp_path: Path) -> None:
    """An alias that is called like a model takes its place."""
    routes = "routes:\n  - {alias: m, targets: [{provider: b, model: only-b}]}\n"
    assert _order(tmp_path, "m", routes) == ["b/only-b"]


def test_targets_that_cannot_serve_now(tmp_path: Path) -> None:
    """Targets without a key are left out; those switched off too, with a warning."""
    routes = "routes:\n  - alias: r\n    targets:\n"
    routes += "      - {provider: keyless, model: gpt}\n      - {provider: idle, model: m}\n"
    loaded = load_text(tmp_path, PROVIDERS + routes)
    group = loaded.snapshot.groups["r"]
    assert (group.deployments, group.owned_by) == ((), "openai")
    assert any("'idle' of this target is switched off" in line for line in warnings_of(loaded))


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        (
            "{alias: r, targets: [{provider: hevy, model: m}]}",
            "14:37: there is no provider of this name: did you mean 'heavy'?",
        ),
        (
            "{alias: r, targets: [{provider: b, model: onlyb}]}",
            "14:47: the provider 'b' does not list this model: did you mean 'only-b'?",
        ),
        (
            "{alias: r, targets: [{provider: any, model: '*'}]}",
            "14:49: a target needs one model, and '*' stands for any: name the model",
        ),
        (
            "{alias: r, targets: [{provider: sim, model: sim-echo}]}",
            "14:37: the simulator may stand only behind an alias that begins with 'sim-'",
        ),
        (
            "{alias: r, fallbacks: [r], targets: [{provider: b, model: m}]}",
            "14:28: fallbacks: a route cannot be its own fallback",
        ),
        (
            "{alias: r, fallbacks: [sim/sim-echo], targets: [{provider: b, model: m}]}",
            "14:28: fallbacks: simulated answers cannot stand in for real ones",
        ),
        (
            "{alias: r, fallbacks: [sim-echo], targets: [{provider: b, model: m}]}",
            "14:28: fallbacks: simulated answers cannot stand in for real ones",
        ),
    ],
)
def test_routes_that_lead_nowhere(tmp_path: Path, route: str, problem: str) -> None:
    """A target or fallback that cannot be meant is a problem at its place."""
    (line,) = problems_of(tmp_path, f"{PROVIDERS}routes:\n\n  - {route}\n")
    assert line.removeprefix("config.yaml:").startswith(problem)


def test_a_choice_by_price_needs_prices(tmp_path: Path) -> None:
    """With `least_cost` a target without both prices gets a warning, but not if it is the only."""
    text = f"""
api_keys: [{GOOD_KEY}]
providers:
  - name: b
    type: lm_studio
    models: [m, n, o]
    model_info:
      m: {{input_usd_per_million_tokens: 0.15, output_usd_per_million_tokens: 0}}
      n: {{input_usd_per_million_tokens: 3}}
routes:
  - alias: r
    strategy: least_cost
    targets: [{{provider: b, model: m}}, {{provider: b, model: n}}, {{provider: b, model: o}}]
  - {{alias: s, strategy: least_cost, targets: [{{provider: b, model: o}}]}}
"""
    loaded = load_text(tmp_path, text)
    lines = [line.removeprefix(f"{tmp_path}/config.yaml:") for line in warnings_of(loaded)]
    what = "the price of this target is not known, so least_cost puts it last"
    mend = "add both prices to model_info of the provider"
    assert lines == [f"13:61: {what}: {mend}", f"13:86: {what}: {mend}"]


def test_a_fallback_must_exist(tmp_path: Path) -> None:
    """Without a provider that takes any model, a fallback nobody lists is a problem."""
    text = f"""
api_keys: [{GOOD_KEY}]
providers: [{{name: b, type: lm_studio, models: [m, n]}}]
routes:
  - {{alias: r, targets: [{{provider: b, model: m}}], fallbacks: [b/n, n, x]}}
"""
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("config.yaml:5:72: fallbacks: there is no alias and no model")


def test_one_mistake_is_reported_once(tmp_path: Path) -> None:
    """A route to a provider that has a mistake of its own is not reported too."""
    text = """
providers:
  - {name: a, type: opnai, models: [m]}
  - {name: b, type: lm_studio, models: m}
routes:
  - {alias: r, fallbacks: [x], targets: [{provider: a, model: m}, {provider: b, model: m}]}
"""
    assert [line.partition(": ")[0] for line in problems_of(tmp_path, text)] == [
        "config.yaml:3:21",
        "config.yaml:4:40",
    ]
