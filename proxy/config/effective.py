"""
Every value that is in force, with where it comes from and what it shadows.

Fit to be shown and kept: of a secret there is only a keyed fingerprint, so that a change of it
can be seen.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from proxy.config.node import Node
from proxy.config.problem import DEFAULT_PLACE
from proxy.config.setting import REQUIRED, Setting, list_settings, settings_by_path
from proxy.domain.key_mask import MASK, mask_keys

Steps = tuple[str | int, ...]
Fingerprint = Callable[[str], str]

SecretNodes = Mapping[tuple[str, str], Node]

_LISTS = ("providers", "routes")
_IN_VARIABLES = ("providers[].api_key", "providers[].proxy")
"""What may be written as `${NAME}`."""


class ShadowedValue(Struct, frozen=True):
    """A value that does not count, because a higher source has one too."""

    value: Any
    source: str


class EffectiveValue(Struct, frozen=True):
    """
    One value in force.

    `path` is like `port`, `clocks.tls_s` or `providers.groq.timeout`; lists and headers are
    one value. Where the items of a list come from several sources each is one, like
    `admin_keys[1]`. `value` can be written as JSON. `source` is fit to print: a file with line
    and column, a variable, or `default`. `shadows` has the nearest source first.
    """

    path: str
    value: Any
    source: str
    is_secret: bool = False
    shadows: tuple[ShadowedValue, ...] = ()


def list_effective(
    tree: Node, secret_nodes: SecretNodes, fingerprint: Fingerprint
) -> tuple[EffectiveValue, ...]:
    """
    Return every value in force: the top level, then providers and routes in their order.

    Args:
        tree: what `merge` has made, and validation has found good.
        secret_nodes: what was found in variables, by the name of its provider and its key.
        fingerprint: what is shown in the place of a secret.
    """
    return tuple(_Lister(tree, secret_nodes, fingerprint).list())


def path_text(tree: Node, steps: Steps) -> str:
    """Return a path in words: entries of lists go by their name or alias, where they have one."""
    text = ""
    node: Node | None = tree
    for step in steps:
        node = node.find(step) if node is not None else None
        if isinstance(step, str):
            text += f".{step}" if text else step
            continue
        label = None
        for key in ("name", "alias"):
            found = node.find(key) if node is not None else None
            label = found.value if found is not None else label
        text += f".{label}" if isinstance(label, str) else f"[{step}]"
    return text


class _Lister:
    """Goes through the settings, and finds the node of each in the tree."""

    def __init__(self, tree: Node, secret_nodes: SecretNodes, fingerprint: Fingerprint) -> None:
        self._tree = tree
        self._secret_nodes = secret_nodes
        self._fingerprint = fingerprint

    def list(self) -> Iterator[EffectiveValue]:
        below: dict[str, list[tuple[str, Setting]]] = {name: [] for name in _LISTS}
        for setting in list_settings():
            top, is_item, rest = setting.path.partition("[].")
            if setting.path in _LISTS:
                continue
            if _is_section(setting) and not self._is_none(setting):
                continue
            if not is_item:
                section = settings_by_path().get(top.rpartition(".")[0])
                if section is None or not self._is_none(section):
                    yield from self._show(setting, self._tree, top, top)
            elif top in _LISTS and "[]" not in rest and "{}" not in rest:
                below[top].append((rest, setting))
        for name in _LISTS:
            items = self._tree.find(name)
            for index, item in enumerate(items.items if items else ()):
                prefix = path_text(self._tree, (name, index))
                for rest, setting in below[name]:
                    yield from self._show(setting, item, rest, f"{prefix}.{rest}")

    def _is_none(self, section: Setting) -> bool:
        """Return whether it is a section that is none unless it is written, and is not."""
        node = self._tree.find(*section.path.split("."))
        return section.default == "null" and (node is None or node.value is None)

    def _show(
        self, setting: Setting, within: Node, below: str, path: str
    ) -> Iterator[EffectiveValue]:
        node = within.find(*below.split("."))
        if setting.path in _IN_VARIABLES:
            node = self._find_secret(within, below, node)
        if node is None:
            if setting.default != REQUIRED:
                default = json.loads(setting.default)
                yield EffectiveValue(path, default, str(DEFAULT_PLACE), setting.is_secret)
        elif len({(item.place.source, item.place.variable) for item in node.items}) > 1:
            for index, item in enumerate(node.items):
                yield self._describe(setting, item, f"{path}[{index}]")
        else:
            yield self._describe(setting, node, path)

    def _find_secret(self, provider: Node, key: str, node: Node | None) -> Node | None:
        name = provider.find("name")
        found = None if name is None else self._secret_nodes.get((str(name.value), key))
        if found is None and node is not None and _is_reference(node):
            # The variable is not set, or the value is empty: there is no secret.
            return Node(None, node.place, node.key_place, node.replaced)
        return found or node

    def _describe(self, setting: Setting, node: Node, path: str) -> EffectiveValue:
        return EffectiveValue(
            path,
            self._mask(setting, node.plain()),
            str(node.place),
            setting.is_secret,
            tuple(self._list_shadows(setting, node)),
        )

    def _list_shadows(self, setting: Setting, node: Node) -> Iterator[ShadowedValue]:
        lower = node.replaced
        while lower is not None:
            # Nothing has checked this value: a key may stand where none belongs.
            value = _mask_keys(self._mask(setting, lower.plain()))
            yield ShadowedValue(value, str(lower.place))
            lower = lower.replaced

    def _mask(self, setting: Setting, value: Any) -> Any:
        if not setting.is_secret or value is None:
            return value
        if isinstance(value, list):
            return [self._mask(setting, item) for item in value]
        if isinstance(value, dict):
            return {key: self._mask_below(setting, key, item) for key, item in value.items()}
        return f"{MASK} ({self._fingerprint(str(value))})"

    def _mask_below(self, setting: Setting, key: str, value: Any) -> Any:
        below = settings_by_path().get(f"{setting.path}[].{key}")
        return value if below is not None and not below.is_secret else self._mask(setting, value)


def _is_section(setting: Setting) -> bool:
    prefix = f"{setting.path}."
    return any(path.startswith(prefix) for path in settings_by_path())


def _is_reference(node: Node) -> bool:
    return isinstance(node.value, str) and (not node.value.strip() or "${" in node.value)


def _mask_keys(value: Any) -> Any:
    if isinstance(value, str):
        return mask_keys(value)
    if isinstance(value, list):
        return [_mask_keys(item) for item in value]
    if isinstance(value, dict):
        return {key: _mask_keys(item) for key, item in value.items()}
    return value
