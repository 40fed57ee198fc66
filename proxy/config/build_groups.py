"""
Providers and routes -> the groups that clients' model names stand for.

A group's deployments are in the order they are to be tried: lower priority first, then
higher weight, then name. Names that nothing here stands for are `Snapshot.find_group`'s
business.
"""

from collections.abc import Sequence

from msgspec import Struct

from proxy.config.build_provider import BuiltProvider
from proxy.config.node import Node
from proxy.config.problem import Place, Problem, suggest
from proxy.config.schema import TargetEntry
from proxy.config.validate import CheckedRoute
from proxy.domain.catalog import (
    SIMULATED,
    SIMULATOR_TYPE,
    WILDCARD,
    Deployment,
    Group,
    Provider,
)


class BuiltGroups(Struct, frozen=True):
    """The groups under their names, what is wrong with the routes, and what is doubtful."""

    groups: dict[str, Group]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def build_groups(
    providers: Sequence[BuiltProvider],
    routes: Sequence[CheckedRoute],
    tree: Node,
    *,
    may_find_more: bool = False,
) -> BuiltGroups:
    """
    Return every alias and every bare model name with its deployments, best first.

    Args:
        providers: those of the configuration, and those that were found.
        routes: the aliases.
        tree: where all of it stands.
        may_find_more: providers are searched for. What a route names and nothing stands for may
            be found yet, or again: a configuration is as good without it.
    """
    return _GroupBuilder(providers, tree, may_find_more=may_find_more).build(routes)


class _GroupBuilder:
    """Knows the providers, and collects what is wrong while it goes through the routes."""

    def __init__(
        self, providers: Sequence[BuiltProvider], tree: Node, *, may_find_more: bool
    ) -> None:
        self._built = {built.provider.name: built for built in providers}
        self._tree = tree
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._missing = self._warnings if may_find_more else self._problems

    def build(self, routes: Sequence[CheckedRoute]) -> BuiltGroups:
        groups = self._build_bare_groups()
        models = set(groups)
        aliases = {route.entry.alias: self._build_alias(route) for route in routes}
        groups.update(aliases)
        for route in routes:
            self._check_fallbacks(route, set(aliases) | models)
        return BuiltGroups(groups, tuple(self._problems), tuple(self._warnings))

    def _build_bare_groups(self) -> dict[str, Group]:
        takers: dict[str, list[Provider]] = {}
        for built in self._built.values():
            if built.is_on:
                for model in built.provider.models:
                    if model != WILDCARD:
                        takers.setdefault(model, []).append(built.provider)
        groups = {}
        takes_any = [
            built.provider
            for built in self._built.values()
            if built.is_on and WILDCARD in built.provider.models
        ]
        for model, listing in takers.items():
            if all(provider.found_by is not None for provider in listing):
                # Who takes any model has served this one; being found takes nothing from anybody.
                listing.extend(takes_any)
            listing.sort(key=lambda p: (not p.enabled, p.priority, -p.weight, p.name))
            groups[model] = Group(
                name=model,
                deployments=tuple(
                    Deployment(p, model, p.priority, p.weight, is_listed=model in p.models)
                    for p in listing
                    if p.enabled
                ),
                owned_by=listing[0].type,
            )
        return groups

    def _build_alias(self, route: CheckedRoute) -> Group:
        entry = route.entry
        deployments: list[Deployment] = []
        types: set[str] = set()
        for index, target in enumerate(entry.targets):
            provider = self._find_provider(route, index, target)
            if provider is not None:
                types.add(provider.type)
                if provider.enabled:
                    deployments.append(
                        Deployment(provider, target.model, target.priority, target.weight)
                    )
                    self._check_price(route, index, deployments[-1])
        deployments.sort(key=lambda d: (d.priority, -d.weight, d.provider.name, d.model))
        return Group(
            name=entry.alias,
            deployments=tuple(deployments),
            strategy=entry.strategy,
            fallbacks=tuple(entry.fallbacks),
            stream_failure=entry.stream_failure,
            owned_by=types.pop() if len(types) == 1 else "llm-proxy",
        )

    def _find_provider(
        self, route: CheckedRoute, index: int, target: TargetEntry
    ) -> Provider | None:
        """Return the provider of a target; None, with a note, if it cannot be used."""
        steps = (*route.steps, "targets", index)
        place = self._tree.place_of(*steps, "provider")
        built = self._built.get(target.provider)
        if built is None:
            if target.provider not in self._raw_names():
                close = suggest(target.provider, self._built)
                mend = f"did you mean '{close}'?" if close else "name an entry of providers"
                self._missing.append(Problem(place, "there is no provider of this name", mend))
            return None
        provider = built.provider
        if not built.is_on:
            what = f"the provider '{provider.name}' of this target is switched off"
            self._warnings.append(Problem(place, what, "switch it on, or remove the target"))
            return None
        if not self._is_served(built, target, self._tree.place_of(*steps, "model")):
            return None
        if provider.type == SIMULATOR_TYPE and not route.entry.alias.startswith(SIMULATED):
            what = "the simulator may stand only behind an alias that begins with 'sim-'"
            mend = "rename the alias, or remove this target: simulated answers are not real ones"
            self._problems.append(Problem(place, what, mend))
        return provider

    def _is_served(self, built: BuiltProvider, target: TargetEntry, place: Place) -> bool:
        models = built.provider.models
        if target.model == WILDCARD:
            what = "a target needs one model, and '*' stands for any"
            self._problems.append(Problem(place, what, "name the model"))
            return False
        # An entry with a mistake may have lost its models: that mistake is reported already.
        if not built.is_sound or target.model in models or WILDCARD in models:
            return True
        close = suggest(target.model, models)
        mend = f"did you mean '{close}'?" if close else "add it to the provider's models"
        what = f"the provider '{built.provider.name}' does not list this model"
        problems = self._problems if built.provider.found_by is None else self._missing
        problems.append(Problem(place, what, mend))
        return False

    def _check_price(self, route: CheckedRoute, index: int, deployment: Deployment) -> None:
        is_choice = route.entry.strategy == "least_cost" and len(route.entry.targets) > 1
        if is_choice and deployment.info.price is None:
            what = "the price of this target is not known, so least_cost puts it last"
            mend = "add both prices to model_info of the provider"
            place = self._tree.place_of(*route.steps, "targets", index, "model")
            self._warnings.append(Problem(place, what, mend))

    def _raw_names(self) -> set[object]:
        providers = self._tree.find("providers")
        names = (item.find("name") for item in (providers.items if providers else ()))
        return {name.value for name in names if name is not None and isinstance(name.value, str)}

    def _check_fallbacks(self, route: CheckedRoute, known: set[str]) -> None:
        for index, name in enumerate(route.entry.fallbacks):
            place = self._tree.place_of(*route.steps, "fallbacks", index)
            if name == route.entry.alias:
                what = "fallbacks: a route cannot be its own fallback"
                self._problems.append(Problem(place, what, "remove it"))
            elif self._is_simulated(name) and not route.entry.alias.startswith(SIMULATED):
                what = "fallbacks: simulated answers cannot stand in for real ones"
                self._problems.append(Problem(place, what, "remove it"))
            elif not self._resolves(name, known):
                close = suggest(name, known)
                mend = f"did you mean '{close}'?" if close else "name an alias or a listed model"
                what = "fallbacks: there is no alias and no model of this name"
                self._missing.append(Problem(place, what, mend))

    def _is_simulated(self, name: str) -> bool:
        built = self._built.get(name.partition("/")[0])
        is_at_simulator = built is not None and built.provider.type == SIMULATOR_TYPE
        return is_at_simulator or name.startswith(SIMULATED)

    def _resolves(self, name: str, known: set[str]) -> bool:
        if name in known or any(WILDCARD in b.provider.models for b in self._built.values()):
            return True
        # With an entry left out for a mistake of its own, nothing can be said about names.
        if len(self._built) < len(self._raw_names()):
            return True
        provider_name, _, model = name.partition("/")
        built = self._built.get(provider_name)
        return built is not None and model in built.provider.models
