"""LiteLLM's groups of deployments, their aliases and fallbacks -> entries of `routes`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from proxy.config.litellm.notes import Notes, name_key
from proxy.config.litellm.targets import Target
from proxy.config.litellm.values import is_model_name

_MOST_WEIGHT = 1000
_MOST_ORDER = 1000
_STRATEGIES = {
    "simple-shuffle": "weighted",
    "latency-based-routing": "least_latency",
    "cost-based-routing": "least_cost",
}
_KINDS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_TOGETHER = "stand among all fallbacks, which also follow such a refusal (docs/routing.md)"


def build_routes(
    targets: Sequence[Target],
    settings: Mapping[str, Any],
    notes: Notes,
    *,
    patterns: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """
    Return a route for each name, and for each alias of one.

    Args:
        targets: all deployments.
        settings: those of `litellm_settings` and, before them, of `router_settings`.
        notes: gets what has no counterpart.
        patterns: names such as `openai/*`, which fallbacks may be one of.
    """
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.name, []).append(target)
    strategy = _read_strategy(settings, notes)
    bodies = {}
    for name, group in groups.items():
        written = _build_targets(name, group, notes)
        body: dict[str, Any] = {"targets": written}
        if len(written) > 1:
            body["strategy"] = strategy
        bodies[name] = body
    sources = _read_aliases(settings, bodies, notes)
    fallbacks = _read_fallbacks(settings, notes)
    for name in sorted(fallbacks.keys() - bodies.keys() - sources.keys() - {"*"}):
        notes.add(f"fallbacks of {name_key(name)}", "no route has this name: they were left out")
    routes = []
    for alias, source in {**{name: name for name in bodies}, **sources}.items():
        route = {"alias": alias, **bodies[source]}
        wanted = fallbacks.get(alias) or fallbacks.get(source) or fallbacks.get("*", [])
        known = [
            name
            for name in dict.fromkeys(wanted)
            if name != alias and (name in bodies or name in sources or _is_one_of(name, patterns))
        ]
        for name in wanted:
            if name not in known and name != alias:
                what = f"{name_key(name)} is not served here, and was left out"
                notes.add(f"fallbacks of {name_key(alias)}", what)
        if known:
            route["fallbacks"] = known
        routes.append(route)
    return routes


def _build_targets(name: str, group: Sequence[Target], notes: Notes) -> list[dict[str, Any]]:
    unused = [target for target in group if target.weight == 0]
    used = [target for target in group if target.weight != 0] or list(group)
    if unused and len(used) < len(group):
        notes.add(name_key(name), "a deployment of weight 0 is asked for nothing: left out")
    shares = _read_shares(used)
    written: dict[tuple[object, ...], dict[str, Any]] = {}
    for target, share in zip(used, shares, strict=True):
        entry: dict[str, Any] = {"provider": target.provider, "model": target.model}
        if share is not None:
            entry["weight"] = share
        if target.order is not None:
            entry["priority"] = min(max(target.order, 0), _MOST_ORDER)
        same = written.setdefault((target.provider, target.model, entry.get("priority")), entry)
        if same is not entry and len(used) > 1:
            same["weight"] = min(same.get("weight", 1) + (share or 1), _MOST_WEIGHT)
    return list(written.values())


def _read_shares(group: Sequence[Target]) -> list[int | None]:
    """Return a weight for each deployment, by the first of the three that LiteLLM would take."""
    for name in ("weight", "rpm", "tpm"):
        given: list[Decimal | None] = [getattr(target, name) for target in group]
        if any(given) and len(group) > 1:
            numbers = [number or Decimal(0) for number in given]
            most = max(numbers)
            if most <= _MOST_WEIGHT and all(number % 1 == 0 for number in numbers):
                return [max(int(number), 1) for number in numbers]
            return [max(round(number / most * _MOST_WEIGHT), 1) for number in numbers]
    return [None] * len(group)


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return is_model_name(name) and any(fnmatchcase(name, pattern) for pattern in patterns)


def _read_strategy(settings: Mapping[str, Any], notes: Notes) -> str:
    given = settings.get("routing_strategy") or "simple-shuffle"
    strategy = _STRATEGIES.get(given) if isinstance(given, str) else None
    if strategy is None:
        notes.add("routing_strategy", "has no counterpart: 'weighted' stands for it")
    return strategy or "weighted"


def _read_aliases(
    settings: Mapping[str, Any], bodies: Mapping[str, Any], notes: Notes
) -> dict[str, str]:
    given = settings.get("model_group_alias")
    aliases: dict[str, str] = {}
    for alias, value in given.items() if isinstance(given, dict) else ():
        source = value.get("model") if isinstance(value, dict) else value
        place = f"model_group_alias.{name_key(str(alias))}"
        is_text = is_model_name(alias) and isinstance(source, str)
        if not is_text or source not in bodies or alias in bodies:
            notes.add(place, "stands for nothing that is served here, and was left out")
            continue
        aliases[alias] = str(source)
        if isinstance(value, dict) and value.get("hidden"):
            notes.add(place, "is not hidden: each key may list its own models (docs/security.md)")
    return aliases


def _read_fallbacks(settings: Mapping[str, Any], notes: Notes) -> dict[str, list[str]]:
    """Return the fallbacks of each name, of all three kinds; `*` has those of all others."""
    found: dict[str, list[str]] = {}
    for kind in _KINDS:
        given = settings.get(kind)
        for item in _as_list(given):
            if not isinstance(item, dict):
                notes.add(kind, "one that does not say whose it is was left out")
                continue
            for name, values in item.items():
                listed = _as_list(values)
                if any(isinstance(value, dict) for value in listed):
                    notes.add(kind, "one with parameters of its own is only tried by its name")
                if not all(map(_read_name, listed)):
                    notes.add(kind, "one that names no model was left out")
                names = found.setdefault(str(name), [])
                names.extend(filter(None, map(_read_name, listed)))
        if given and kind != "fallbacks":
            notes.add(kind, _TOGETHER)
    default = _as_list(settings.get("default_fallbacks"))
    found.setdefault("*", []).extend(filter(None, map(_read_name, default)))
    return found


def _as_list(values: object) -> list[Any]:
    return values if isinstance(values, list) else [] if values is None else [values]


def _read_name(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("model")
    return value if isinstance(value, str) else None
