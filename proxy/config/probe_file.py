"""
`health_worker_providers.json`: what the health worker is to watch, matched to our providers.

Nothing in it is ever routed to. An entry belongs to the provider of its name, else to
those at its host; one that belongs to none is watched all the same, with a warning.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import Field, ValidationError

from proxy.config.node import Node
from proxy.config.parse import parse_json
from proxy.config.problem import Problem, show_name, suggest
from proxy.config.provider_schema import Section
from proxy.config.value_types import BaseUrl, ModelId, Name
from proxy.domain.catalog import Provider
from proxy.domain.health import WatchedEndpoint


class ProbeEntry(Section):
    """One endpoint to watch, as the file says it."""

    name: Name = Field(description="The provider's name, or a name for what is only watched.")
    base_url: BaseUrl = Field(description="Where it is.")
    models: list[ModelId] = Field(default=[], description="The models expected there.")


class ProbeFile(Struct, frozen=True):
    """What the file says, what is wrong with it, and what is doubtful."""

    probes: tuple[WatchedEndpoint, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_probes(data: bytes, source: str, providers: Sequence[Provider]) -> ProbeFile:
    """Return what the file `source` holds, matched to `providers`."""
    parsed = parse_json(data, source)
    problems = list(parsed.problems)
    if parsed.tree is None:
        return ProbeFile(problems=parsed.problems)
    root = parsed.tree
    items = root.find("providers")
    if items is None or not isinstance(items.value, list):
        mend = 'write {"providers": [{"name": ..., "base_url": ..., "models": [...]}]}'
        what = "this file needs a list 'providers' at its top level"
        return ProbeFile(problems=(*problems, Problem(root.place, what, mend)))
    for key, node in root.entries.items():
        if key != "providers":
            problems.append(_unknown_key(key, node, ("providers",)))
    probes: list[WatchedEndpoint] = []
    warnings: list[Problem] = []
    names: set[str] = set()
    for item in items.items:
        entry = _read_entry(item, problems)
        if entry is None:
            continue
        if entry.name in names:
            what = "this name was given before"
            problems.append(Problem(item.place_of("name"), what, "keep one of the two"))
        names.add(entry.name)
        matches = _match(entry, providers)
        if not matches:
            what = f"'{entry.name}' is watched, never routed: no provider has its name or host"
            mend = "add a provider to the configuration, or remove the entry"
            warnings.append(Problem(item.place_of("name"), what, mend))
        probes.append(WatchedEndpoint(entry.name, entry.base_url, tuple(entry.models), matches))
    return ProbeFile(tuple(probes), tuple(problems), tuple(warnings))


def _read_entry(item: Node, problems: list[Problem]) -> ProbeEntry | None:
    try:
        return ProbeEntry.model_validate(item.plain())
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        path = detail["loc"]
        node = item.find(*path)
        place = node.place if node is not None else item.place_of(*path)
        label = f"{path[0]}: " if path else ""
        if detail["type"] == "extra_forbidden" and node is not None:
            problems.append(_unknown_key(str(path[-1]), node, tuple(ProbeEntry.model_fields)))
        elif detail["type"] == "refused":
            context = detail["ctx"]
            problems.append(Problem(place, f"{label}{context['what']}", context["mend"]))
        elif detail["type"] == "missing":
            problems.append(Problem(place, f"'{path[-1]}' is missing here", "add it"))
        else:
            mend = "write name and base_url as text, models as a list of texts"
            problems.append(Problem(place, f"{label}this value has the wrong type", mend))
    return None


def _unknown_key(name: str, node: Node, known: tuple[str, ...]) -> Problem:
    close = suggest(name, known)
    mend = f"did you mean '{close}'?" if close else "remove it"
    place = node.key_place or node.place
    return Problem(place, f"the key {show_name(name)} is not known here", mend)


def _match(entry: ProbeEntry, providers: Sequence[Provider]) -> tuple[str, ...]:
    if any(provider.name == entry.name for provider in providers):
        return (entry.name,)
    host = _host_of(entry.base_url)
    return tuple(p.name for p in providers if _host_of(p.base_url) == host)


def _host_of(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.hostname, parts.port or usual
