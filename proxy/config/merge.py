"""
The file's tree and the environment -> the effective tree. One pure function, `merge`.

A variable `PROXY_API_<KEY>` goes before the file, `PROXY_API_<SECTION>__<KEY>` reaches
into a section and `PROXY_API_PROVIDERS__<NAME>__<KEY>` into a provider of that name. The
unprefixed names of older installations are read too; the prefixed ones go before them.
Every node keeps the place it came from and the node that it has replaced, so the result knows
the source of each value and what that shadows.
"""

import json
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from proxy.config.environment import Variable, read_variable
from proxy.config.node import Node, Scalar
from proxy.config.problem import Place, Problem, show_name, suggest
from proxy.config.reference import REFERENCE
from proxy.config.setting import Setting, list_settings

PREFIX = "PROXY_API_"
OLDER_NAMES = {
    "LOG_LEVEL": "log_level",
    "HEALTH_CHECK_INTERVAL": "health_check_interval",
    "HEALTH_CHECK_CACHE_TTL": "health_check_cache_ttl",
    "PROVIDER_DISCOVERY_INTERVAL": "provider_discovery_interval",
    "HTTP_MAX_CONNECTIONS": "max_connections",
    "HTTP_MAX_KEEPALIVE": "max_keepalive_connections",
    "HTTP_TIMEOUT": "health_check_timeout",
}
MASTER_KEY = "LITELLM_MASTER_KEY"
NOT_SETTINGS = frozenset(
    ("PROXY_API_MASTER_SECRET", "PROXY_API_CONFIG", "PROXY_API_STATE", "PROXY_API_STATE_DIR")
)

_PROVIDERS = "PROXY_API_PROVIDERS__"
_DISCOVERY_VARIABLES = (("api_key_env",), ("registry_token_env",), ("consul", "token_env"))
"""What below `discovery` holds the name of a variable."""
_KEY_VARIABLE = re.compile(r"PROXY_API_[A-Z0-9_]+_API_KEY\Z")
_OTHER = re.compile(r"[^A-Z0-9_]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?\Z")
_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip

Path = tuple[str | int, ...]


class Merged(Struct, frozen=True):
    """The effective tree, with what is wrong and what is doubtful about the variables."""

    tree: Node
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _Target(Struct, frozen=True):
    """What one variable sets."""

    path: Path
    setting: Setting


def merge(tree: Node, environment: Mapping[str, Variable]) -> Merged:
    """
    Return the file's tree with the environment's overrides in it.

    Pure and deterministic: the order of `environment` does not matter, and merging the
    result again with the same environment changes nothing.

    Args:
        tree: what the file says; a root that is no mapping is returned as it is.
        environment: all variables; those that mean nothing here are passed over. An empty
            variable counts as one that is not set.

    Returns:
        The effective tree. `problems`: values that cannot be read, provider names that
        need the same variable. `warnings`: PROXY_API_ variables that nothing reads.

    Raises:
        Nothing.

    Source: docs/configuration.md, "Environment variables".
    """
    if not isinstance(tree.value, dict):
        return Merged(tree)
    problems = list(_find_collisions(tree))
    targets = dict(_list_targets(tree))
    # Lowest first: each later one replaces what an earlier one has set.
    for name in (*OLDER_NAMES, *(PREFIX + older for older in OLDER_NAMES), *sorted(targets)):
        variable = read_variable(environment, name)
        if variable is None:
            continue
        target = targets.get(name) or targets[_canonical(OLDER_NAMES[name.removeprefix(PREFIX)])]
        node = _read_value(variable, target.setting)
        if isinstance(node, Problem):
            problems.append(node)
            continue
        lower = variable.replaced and _read_value(variable.replaced, target.setting)
        for layer in (lower, node):
            if isinstance(layer, Node):
                tree = _replace(tree, target.path, layer)
    tree = _add_master_key(tree, environment)
    known = {*targets, *NOT_SETTINGS, *(PREFIX + older for older in OLDER_NAMES)}
    known |= _named_variables(tree)
    warnings = tuple(_find_unknown(environment, known))
    return Merged(tree, tuple(problems), warnings)


def variable_part(name: str) -> str:
    """Return how a provider's name is written inside the name of a variable."""
    return _OTHER.sub("_", name.upper())


def _canonical(path: str) -> str:
    return PREFIX + path.upper().replace(".", "__")


def _list_targets(tree: Node) -> Iterator[tuple[str, _Target]]:
    below_provider: list[tuple[str, Setting]] = []
    for setting in list_settings():
        top, _, below = setting.path.partition("[].")
        is_section = setting.default == "{}" and not setting.path.endswith("headers")
        # What stands under names of the operator's own has no name of a variable.
        if is_section or setting.item == "object" or top == "end_of_config" or "{}" in below:
            continue
        if below:
            if top == "providers" and below != "name":
                below_provider.append((below, setting))
            continue
        yield _canonical(top), _Target(tuple(top.split(".")), setting)
    providers = tree.find("providers")
    for index, provider in enumerate(providers.items if providers else ()):
        name = provider.find("name")
        if name is None or not isinstance(name.value, str):
            continue
        for below, setting in below_provider:
            variable = (
                f"{_PROVIDERS}{variable_part(name.value)}__{_canonical(below)[len(PREFIX) :]}"
            )
            yield variable, _Target(("providers", index, *below.split(".")), setting)


def _find_collisions(tree: Node) -> Iterator[Problem]:
    providers = tree.find("providers")
    seen: dict[str, Node] = {}
    for provider in providers.items if providers else ():
        name = provider.find("name")
        if name is None or not isinstance(name.value, str):
            continue
        first = seen.setdefault(variable_part(name.value), name)
        if first.value != name.value:
            yield Problem(
                name.place,
                "in the names of variables this name is the same as another provider's, "
                f"on line {first.place.line}",
                "choose a name that differs in more than case and punctuation",
            )


def _read_value(variable: Variable, setting: Setting) -> Node | Problem:
    text = variable.text.reveal().strip()
    place = variable.place
    if "array" in setting.kinds:
        if text.startswith("["):
            return _read_json(text, place, list)
        parts = [part.strip() for part in text.split(",")]
        return Node([Node(part, place) for part in parts if part], place)
    if "object" in setting.kinds:
        return _read_json(text, place, dict)
    return Node(_read_scalar(text, setting.kinds), place)


def _read_scalar(text: str, kinds: tuple[str, ...]) -> Scalar:
    # What does not fit is left as text, for the schema to refuse with its own words.
    if "null" in kinds and text.lower() in ("null", "none"):
        return None
    if "boolean" in kinds:
        return _BOOLEANS.get(text.lower(), text)
    if "integer" in kinds and _INTEGER.match(text):
        return int(text)
    if "number" in kinds and _NUMBER.match(text):
        return float(text)
    return text


def _read_json(text: str, place: Place, kind: type) -> Node | Problem:
    value: object = None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if kind is list and isinstance(value, list) and not any(map(_is_nested, value)):
        return Node([Node(item, place) for item in value], place)
    if kind is dict and isinstance(value, dict) and not any(map(_is_nested, value.values())):
        return Node({key: Node(item, place, place) for key, item in value.items()}, place)
    shape = 'a,b or ["a", "b"]' if kind is list else '{"name": "value"}'
    return Problem(place, "this value cannot be read", f"write it like {shape}")


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)


def _replace(node: Node, path: Path, new: Node) -> Node:
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(node.items)
        items[step] = _replace(items[step], rest, new)
        return replace(node, value=items)
    if not isinstance(node.value, dict) and node.value is not None:
        # The file has something else where a section belongs; that will be reported.
        return node
    entries = dict(node.entries)
    below = entries.get(step)
    if rest:
        section = below or Node({}, new.place, new.place)
        entries[step] = _replace(section, rest, new)
    else:
        entries[step] = Node(new.value, new.place, new.place, _without(below, new.place))
    return replace(node, value=entries)


def _without(node: Node | None, place: Place) -> Node | None:
    """Return a node and what it has replaced without the one from `place`, for a second merge."""
    if node is None:
        return None
    below = _without(node.replaced, place)
    return below if node.place == place else replace(node, replaced=below)


def _add_master_key(tree: Node, environment: Mapping[str, Variable]) -> Node:
    variable = read_variable(environment, MASTER_KEY)
    keys = tree.find("admin_keys")
    if variable is None or (keys is not None and not isinstance(keys.value, list | None)):
        return tree
    text = variable.text.reveal().strip()
    items = keys.items if keys is not None else []
    if any(item.value == text for item in items):
        return tree
    added = Node(text, variable.place)
    if keys is None or not items:
        return _replace(tree, ("admin_keys",), Node([added], variable.place))
    entries = {**tree.entries, "admin_keys": replace(keys, value=[*items, added])}
    return replace(tree, value=entries)


def _named_variables(tree: Node) -> set[str]:
    nodes = (tree.find("discovery", *path) for path in _DISCOVERY_VARIABLES)
    named = {node.value for node in nodes if node is not None and isinstance(node.value, str)}
    providers = tree.find("providers")
    for provider in providers.items if providers else ():
        by_name = provider.find("api_key_env")
        if by_name is not None and isinstance(by_name.value, str):
            named.add(by_name.value)
        for literal in (provider.find("api_key"), provider.find("proxy")):
            if literal is not None and isinstance(literal.value, str):
                reference = REFERENCE.match(literal.value.strip())
                named.update(reference.groups() if reference else ())
    return named


def _find_unknown(environment: Mapping[str, Variable], known: set[str]) -> Iterator[Problem]:
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known:
            continue
        if _KEY_VARIABLE.match(name) and not name.startswith(_PROVIDERS):
            continue
        close = suggest(name, known)
        shown = environment[name].place
        if show_name(name).startswith("("):
            shown = Place(shown.source, shown.line, shown.column, f"{PREFIX}...")
        yield Problem(
            shown,
            "nothing reads this variable",
            f"did you mean {close}?" if close else "correct its name, or unset it",
        )
