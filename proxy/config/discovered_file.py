"""
`discovered.json`: what the health worker has found -> further entries of `providers:`.

Deny by default, and never a reason to refuse a configuration: what cannot be used is left out
with a warning, and the other entries serve. What the operator has written wins.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from pydantic import ValidationError

from proxy.config.build_discovery import BuiltDiscovery
from proxy.config.node import Node
from proxy.config.problem import ConfigError, Place, Problem
from proxy.config.provider_schema import ProviderEntry
from proxy.config.sources import DISCOVERED_NAME, read_discovered_file
from proxy.config.validate import Checked, CheckedProvider
from proxy.domain.discovery import DiscoverySettings, FoundProvider
from proxy.providers.registry import find_kind
from proxy.upstream.found_provider import find_fault
from proxy.upstream.guard import is_localhost

_REWRITTEN = "the next search writes it anew"
_NOT_USED = "a provider that was found is left out"
_CORRECT = "correct it where it was found"


class _File(Struct):
    """The whole file; each entry is judged by itself."""

    providers: list[Raw]


class Discovered(Struct, frozen=True):
    """
    What was found, merged with what the operator has written.

    `tree` and `checked` are those of the configuration with the found providers behind its own;
    `data` is what was read of the file, None if there was nothing that could be read.
    """

    tree: Node
    checked: Checked
    searched: BuiltDiscovery
    data: bytes | None = None
    warnings: tuple[Problem, ...] = ()


def merge_discovered(
    tree: Node,
    checked: Checked,
    searched: BuiltDiscovery,
    state_dir: Path,
    last: bytes | None = None,
) -> Discovered:
    """
    Read what was found and put it behind the providers of the configuration.

    Args:
        tree: the effective tree, in which no variable can reach what is added here.
        checked: what validation has made of it.
        searched: where is searched; what another source has found once counts no more.
        state_dir: where the file is.
        last: what it held when it could be read last; goes on while it cannot be.
    """
    settings = searched.settings
    if not settings.is_on or not isinstance(tree.value, dict):
        return Discovered(tree, checked, searched)
    data, fault = _read(state_dir, last)
    merger = _Merger(tree, checked, settings, [fault] if fault else [])
    for found in merger.decode(data):
        merger.add(found)
    warnings = tuple(merger.warnings)
    return Discovered(merger.build_tree(), merger.build_checked(), searched, data, warnings)


def _read(state_dir: Path, last: bytes | None) -> tuple[bytes | None, Problem | None]:
    """Return the file's content and what is wrong with it; the last good one if it is no use."""
    place = Place(str(state_dir / DISCOVERED_NAME))
    try:
        data = read_discovered_file(state_dir)
        if data is not None:
            msgspec.json.decode(data, type=_File)
    except ConfigError as error:
        return last, error.problems[0]
    except msgspec.MsgspecError:
        kept = "what it held before goes on" if last is not None else "nothing of it is used"
        return last, Problem(place, f"this file cannot be read; {kept}", _REWRITTEN)
    return data, None


class _Merger:
    """Adds one found provider after the other, and gathers what is doubtful."""

    def __init__(
        self, tree: Node, checked: Checked, settings: DiscoverySettings, warnings: list[Problem]
    ) -> None:
        self._tree = tree
        self._checked = checked
        self._settings = settings
        self.warnings = warnings
        providers = tree.find("providers")
        self._items = list(providers.items) if providers is not None else []
        self._own = len(self._items)
        self._names = {_text(item, "name"): index for index, item in enumerate(self._items)}
        self._own_names = frozenset(self._names)
        self._urls = {
            _identify_url(entry.entry.base_url or ""): entry.entry.name
            for entry in checked.providers
        }
        self._found: list[CheckedProvider] = []

    def decode(self, data: bytes | None) -> Iterator[FoundProvider]:
        """Yield the entries that can be read, of the sources that are searched."""
        file = msgspec.json.decode(data, type=_File) if data is not None else _File([])
        for number, raw in enumerate(file.providers, 1):
            try:
                found = msgspec.json.decode(raw, type=FoundProvider)
            except msgspec.MsgspecError:
                self._warn(Place(DISCOVERED_NAME), f"entry {number} cannot be read", _REWRITTEN)
                continue
            if found.found_by in self._settings.sources:
                yield found

    def add(self, found: FoundProvider) -> None:
        """Put one provider behind the others, or say why not."""
        place = Place(f"{DISCOVERED_NAME} ({found.found_by})")
        entry = self._check(found, place)
        if entry is None:
            return
        if found.name in self._names:
            self._shadow(self._names[found.name], found, place)
            return
        url = _identify_url(found.base_url)
        if url in self._urls:
            what = f"'{found.name}' was found at the address of '{self._urls[url]}': {_NOT_USED}"
            self._warn(place, what, "nothing has to be done")
            return
        if len(self._found) >= self._settings.max_providers:
            what = f"more than {self._settings.max_providers} providers were found: {_NOT_USED}"
            self._warn(place, what, "raise discovery.max_providers")
            return
        own = [model for model in entry.models if not self._is_written(model)]
        if len(own) < len(entry.models):
            what = f"'{found.name}' was found with models that are called like '<provider>/<model>'"
            self._warn(place, f"{what} of yours: these are left out", "rename them there")
        if not own:
            return
        entry = entry.model_copy(update={"models": own})
        steps = ("providers", len(self._items))
        self._names[found.name] = len(self._items)
        self._urls[url] = found.name
        self._items.append(self._build_node(entry, place))
        self._found.append(CheckedProvider(steps, True, entry, found.found_by))

    def build_tree(self) -> Node:
        """Return the tree with all that was added."""
        providers = self._tree.find("providers")
        node = providers or Node([], self._tree.place)
        entries = dict(self._tree.entries)
        if self._items or providers is not None:
            entries["providers"] = replace(node, value=self._items)
        return replace(self._tree, value=entries)

    def build_checked(self) -> Checked:
        """Return the checked entries with all that was added."""
        return replace(self._checked, providers=(*self._checked.providers, *self._found))

    def _check(self, found: FoundProvider, place: Place) -> ProviderEntry | None:
        """Return the entry as the configuration would have it, None with a warning if it can't."""
        settings = self._settings
        given = settings.priority if found.priority is None else found.priority
        if find_kind(found.type) is None:
            # Before it is checked: nobody who is found has a package's code run.
            self._warn(place, f"type: this provider type is not known: {_NOT_USED}", _CORRECT)
            return None
        try:
            entry = ProviderEntry(
                name=found.name,
                type=found.type,
                base_url=found.base_url,
                models=list(dict.fromkeys(found.models)),
                # Nobody who is found may go before what the operator wants to come first.
                priority=max(settings.priority, given),
                weight=found.weight,
                private_networks=(
                    [] if found.found_by == "local" else list(settings.private_networks)
                ),
            )
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            key = detail["loc"][0] if detail["loc"] else "entry"
            what = detail["ctx"]["what"] if detail["type"] == "refused" else "this is not valid"
            self._warn(place, f"{key}: {what}: {_NOT_USED}", _CORRECT)
            return None
        fault = find_fault(found, settings.private_networks)
        if fault is not None:
            self._warn(place, f"'{found.name}': {fault}: {_NOT_USED}", "see docs/discovery.md")
            return None
        return entry

    def _is_written(self, model: str) -> bool:
        """Tell whether a model is called like one at a provider of the operator's."""
        # The name of a model goes before `provider/model`: requests meant for that would leave it.
        provider, slash, _ = model.partition("/")
        return bool(slash) and provider in self._own_names

    def _shadow(self, index: int, found: FoundProvider, place: Place) -> None:
        """Show beside the provider that wins what has lost."""
        what = f"'{found.name}' was found, and another provider has this name: {_NOT_USED}"
        self._warn(place, what, "rename one of the two")
        if index >= self._own:
            return
        lost = {"name": found.name, "type": found.type, "base_url": found.base_url}
        item = self._items[index]
        entries = dict(item.entries)
        for key, value in lost.items():
            if key in entries:
                entries[key] = _put_below(entries[key], Node(value, place))
        self._items[index] = replace(item, value=entries)

    def _build_node(self, entry: ProviderEntry, place: Place) -> Node:
        models = Node([Node(model, place) for model in entry.models], place)
        entries = {
            "name": Node(entry.name, place),
            "type": Node(entry.type, place),
            "base_url": Node(entry.base_url, place),
            "models": models,
            "weight": Node(entry.weight, place),
            "priority": Node(entry.priority, place),
        }
        networks = self._tree.find("discovery", "private_networks")
        if networks is not None and entry.private_networks:
            entries["private_networks"] = networks
        return Node(entries, place)

    def _warn(self, place: Place, what: str, mend: str) -> None:
        self.warnings.append(Problem(place, what, mend))


def _identify_url(url: str) -> object:
    """Return what two ways to write one address have in common."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return url
    host = (parts.hostname or "").removesuffix(".")
    here = "127.0.0.1" if is_localhost(host) else host
    # Types that need it add it to an address without a path.
    return parts.scheme, here, port, parts.path.rstrip("/").removesuffix("/v1")


def _put_below(node: Node, lowest: Node) -> Node:
    below = lowest if node.replaced is None else _put_below(node.replaced, lowest)
    return replace(node, replaced=below)


def _text(item: Node, key: str) -> str:
    node = item.find(key)
    return node.value if node is not None and isinstance(node.value, str) else ""
