"""
The effective tree -> checked entries, with everything that is wrong with them at once.

The schema is applied to the settings of the top level, to each provider and to each route
on its own, so that a mistake in one of them hides no mistake in another. What takes more
than one entry to see (names given twice) is checked on the tree itself.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.node import Node
from proxy.config.problem import Place, Problem, show_name, suggest
from proxy.config.provider_schema import ProviderEntry, Section
from proxy.config.schema import ConfigFile, RouteEntry
from proxy.config.setting import build_pattern, list_settings
from proxy.domain.discovery import SourceName

SectionT = TypeVar("SectionT", bound=Section)
Steps = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_TYPE_WORDS = {
    "string_type": "text is needed here",
    "int_type": "a whole number is needed here",
    "int_from_float": "a whole number is needed here",
    "float_type": "a number is needed here",
    "bool_type": "true or false is needed here",
    "list_type": "a list is needed here",
    "dict_type": "a section with keys is needed here",
    "model_type": "a section with keys is needed here",
    "finite_number": "a finite number is needed here",
}
_TYPE_MENDING = {
    "string_type": "put the value into quotes",
    "int_type": "write plain digits, without quotes",
    "int_from_float": "write plain digits, without a fraction",
    "float_type": "write a plain number, without quotes",
    "bool_type": "write true or false, without quotes",
    "list_type": "write '- ' before each item, on lines of their own",
    "dict_type": "write 'key: value' on indented lines below",
    "model_type": "write 'key: value' on indented lines below",
    "finite_number": "write a plain number",
}
_TO_CA_FILE = "certificates are always verified; an authority of your own goes into 'ca_file'"
_TO_PROXY = "a proxy goes into 'proxy', with 'transport: aiohttp'"
_FOREIGN = {
    **dict.fromkeys(("verify", "verify_ssl", "ssl_verify", "verify_tls"), _TO_CA_FILE),
    **dict.fromkeys(("ca_cert", "ca_certs", "ca_bundle", "cafile", "ssl", "tls"), _TO_CA_FILE),
    **dict.fromkeys(("http_proxy", "https_proxy", "proxies", "proxy_url"), _TO_PROXY),
}
"""What other programs call the settings of a provider's connections -> what to do instead."""
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


class Entry(Struct, frozen=True):
    """One checked provider or route; `steps` lead to it from the root of the tree."""

    steps: Steps
    is_sound: bool
    """False if something in it was wrong and has been left out."""


class CheckedProvider(Entry, frozen=True):
    """One entry of `providers:`; `found_by` is what has found it, None if it was written."""

    entry: ProviderEntry
    found_by: SourceName | None = None


class CheckedRoute(Entry, frozen=True):
    """One entry of `routes:`."""

    entry: RouteEntry


class Checked(Struct, frozen=True):
    """
    What passed the schema; `top` is without providers and routes.

    With problems, entries are here without the values that were wrong: good for finding
    more problems, never for use.
    """

    top: ConfigFile
    providers: tuple[CheckedProvider, ...]
    routes: tuple[CheckedRoute, ...]
    problems: tuple[Problem, ...]


def validate(tree: Node) -> Checked:
    """Hold the effective tree to the schema and return what passed and what did not."""
    if not isinstance(tree.value, dict):
        problem = Problem(
            tree.place, "the file holds no settings", "write 'key: value' lines at its top level"
        )
        return Checked(ConfigFile(), (), (), (problem,))
    problems: list[Problem] = []
    lists = ("providers", "routes")
    top, _ = _check(ConfigFile, _without(tree, lists), tree, (), problems)
    found: dict[str, list[tuple[Steps, Node]]] = {}
    for name in lists:
        node = tree.find(name)
        if node is not None and not isinstance(node.value, list):
            problems.append(_wrong_type(node, "list_type"))
        found[name] = [((name, i), item) for i, item in enumerate(node.items if node else ())]
    providers = []
    for steps, item in found["providers"]:
        provider, is_sound = _check(ProviderEntry, item, tree, steps, problems)
        if provider is not None:
            providers.append(CheckedProvider(steps, is_sound, provider))
    routes = []
    for steps, item in found["routes"]:
        route, is_sound = _check(RouteEntry, item, tree, steps, problems)
        if route is not None:
            routes.append(CheckedRoute(steps, is_sound, route))
    problems.extend(_find_duplicates(tree))
    problems.extend(_find_references(tree))
    return Checked(top or ConfigFile(), tuple(providers), tuple(routes), tuple(problems))


def _without(tree: Node, names: Iterable[str]) -> Node:
    entries = {key: node for key, node in tree.entries.items() if key not in names}
    return Node(entries, tree.place, tree.key_place)


def _check(
    section: type[SectionT], node: Node, tree: Node, steps: Steps, problems: list[Problem]
) -> tuple[SectionT | None, bool]:
    plain = node.plain()
    try:
        return section.model_validate(plain), True
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems.extend(_explain(detail, tree, steps) for detail in details)
    if not isinstance(plain, dict):
        return None, False
    # Once more without what was wrong, so that later checks see the rest of the entry.
    wrong = {detail["loc"][0] for detail in details if detail["loc"]}
    try:
        kept = {key: value for key, value in plain.items() if key not in wrong}
        return section.model_validate(kept), False
    except ValidationError:
        return None, False


def _explain(detail: ErrorDetails, tree: Node, steps: Steps) -> Problem:
    # pydantic marks an error in a mapping's key with a last step of its own.
    path = (*steps, *(step for step in detail["loc"] if step != "[key]"))
    node = tree.find(*path)
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, node, tree)
    if kind == "missing":
        where = tree.place_of(*path)
        return Problem(where, f"'{path[-1]}' is missing here", f"add a line '{path[-1]}: ...'")
    place = node.place if node is not None else tree.place_of(*path)
    if "[key]" in detail["loc"] and node is not None and node.key_place is not None:
        place = node.key_place
    label = _label(path)
    if kind == "refused":
        return Problem(place, f"{label}{context['what']}", str(context["mend"]))
    if kind in _TYPE_WORDS and node is not None:
        return _wrong_type(node, kind, label)
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return Problem(
            place, f"{label}this number is out of range", f"use {words} {context[name]:g}"
        )
    if kind == "literal_error":
        expected = str(context["expected"]).replace("True", "true")
        return Problem(place, f"{label}this value is not known", f"use {expected}")
    if kind in ("too_short", "string_too_short"):
        return Problem(place, f"{label}this is empty", "write at least one, or remove the key")
    if kind == "string_too_long":
        mend = f"use at most {context['max_length']} characters"
        return Problem(place, f"{label}this text is too long", mend)
    return Problem(place, f"{label}this value is not valid", "see docs/configuration.md")


def _label(path: Steps) -> str:
    """Return the setting's name for a message, such as `timeout: `."""
    names = [step for step in path if isinstance(step, str)]
    if "headers" in names:
        names = ["headers"]
    return f"{names[-1]}: " if names and not show_name(names[-1]).startswith("(") else ""


def _wrong_type(node: Node, kind: str, label: str = "") -> Problem:
    what = f"{label}{_TYPE_WORDS[kind]}"
    mend = _TYPE_MENDING[kind]
    if node.value is None:
        return Problem(
            node.place, f"{what}, and there is nothing", "write a value, or remove the key"
        )
    if kind == "string_type" and isinstance(node.value, bool):
        mend = "put it into quotes: YAML reads no, yes, on and off as false and true"
    return Problem(node.place, what, mend)


def _unknown_key(path: Steps, node: Node | None, tree: Node) -> Problem:
    name = str(path[-1])
    place = tree.place_of(*path) if node is None else node.key_place or node.place
    pattern = build_pattern(path[:-1])
    prefix = f"{pattern}." if pattern else ""
    known = [
        setting.path.removeprefix(prefix)
        for setting in list_settings()
        if setting.path.startswith(prefix)
    ]
    what = f"the key {show_name(name)} is not known here"
    if pattern == "providers[]" and name.lower() in _FOREIGN:
        return Problem(place, what, _FOREIGN[name.lower()])
    close = suggest(name, (key for key in known if "." not in key))
    mend = f"did you mean '{close}'?" if close else "remove it, or see docs/configuration.md"
    return Problem(place, what, mend)


def _find_duplicates(tree: Node) -> Iterator[Problem]:
    providers, routes = tree.find("providers"), tree.find("routes")
    provider_items = providers.items if providers else []
    route_items = routes.items if routes else []
    yield from _find_repeats((item.find("name") for item in provider_items), "provider name")
    yield from _find_repeats((item.find("alias") for item in route_items), "alias")
    for item in provider_items:
        models = item.find("models")
        yield from _find_repeats(models.items if models else (), "model")
    for item in route_items:
        targets = item.find("targets")
        seen: dict[tuple[Any, Any], Place] = {}
        for target in targets.items if targets else ():
            provider, model = target.find("provider"), target.find("model")
            if provider is None or model is None:
                continue
            names = (repr(provider.value), repr(model.value))
            if names in seen:
                yield _repeat("target", target.place, seen[names])
            seen.setdefault(names, target.place)


def _find_repeats(nodes: Iterable[Node | None], noun: str) -> Iterator[Problem]:
    seen: dict[str, Place] = {}
    for node in nodes:
        if node is None or not isinstance(node.value, str):
            continue
        if node.value in seen:
            yield _repeat(noun, node.place, seen[node.value])
        seen.setdefault(node.value, node.place)


def _repeat(noun: str, place: Place, first: Place) -> Problem:
    where = f"on line {first.line}" if first.line else "in the same list"
    return Problem(place, f"this {noun} was given before, {where}", "keep one of the two")


def _find_references(tree: Node) -> Iterator[Problem]:
    for path, node in tree.walk():
        may_hold = len(path) == 3 and path[0] == "providers" and path[2] in ("api_key", "proxy")
        if not may_hold and isinstance(node.value, str) and _REFERENCE.search(node.value):
            yield Problem(
                node.place,
                f"{_label(path)}a '${{...}}' is only read in a provider's api_key and proxy",
                "write the value itself, or set it through its PROXY_API_ variable",
            )
