"""
What all sources tell -> the providers that go into `discovered.json`. Pure.

Every rule is here or in `proxy/upstream/found_provider.py`; whoever is left out is named with
the reason.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from health_worker.discovery.candidate import MAX_WEIGHT, Candidate, is_name
from proxy.domain.catalog import WILDCARD
from proxy.domain.discovery import DiscoverySettings, FoundProvider, SourceName
from proxy.providers.registry import find_kind
from proxy.upstream.found_provider import MAX_MODELS, find_fault

MAX_NAME_CHARACTERS = 200
MAX_ALL_MODELS = 20_000
MAX_ALL_BYTES = 3 * 1024 * 1024
"""Of all providers together, so that the file stays one that is read: it may have 8 MiB."""


class Collected(Struct, frozen=True):
    """The providers, and why others are none, by their name or by their source."""

    providers: tuple[FoundProvider, ...]
    problems: dict[str, str]


def collect(
    candidates: Mapping[SourceName, Sequence[Candidate]],
    known: Mapping[str, FoundProvider],
    settings: DiscoverySettings,
    now_at: float,
) -> Collected:
    """
    Return the providers that may be used, in a stable order.

    Args:
        candidates: what each source tells, with the models that were learnt; a source that has
            not answered since the start is missing, and what it found before goes on.
        known: what was found before, by name: whoever stays keeps the time of its first sight.
        settings: where is searched, and what is allowed.
        now_at: epoch seconds.
    """
    found: dict[str, FoundProvider] = {}
    names_by_url: dict[str, str] = {}
    model_count = size_bytes = 0
    problems: dict[str, str] = {}
    for source in settings.sources:
        told = candidates.get(source)
        if told is None:
            entries = [entry for entry in known.values() if entry.found_by == source]
        else:
            entries = [_build(candidate, source, known, now_at) for candidate in told]
        for entry in entries:
            fault = _find_fault(entry, found, settings)
            url = entry.base_url.rstrip("/")
            if url in names_by_url:
                # As behind two Services that select the same pods.
                fault = f"it is at the address of '{names_by_url[url]}'"
            if fault is None and model_count + len(entry.models) > MAX_ALL_MODELS:
                fault = f"all together name more than {MAX_ALL_MODELS} models"
            own_bytes = 0 if fault else len("".join((entry.base_url, *entry.models)).encode())
            if size_bytes + own_bytes > MAX_ALL_BYTES:
                fault = "the names of all models together are too long"
            if fault is None:
                model_count += len(entry.models)
                size_bytes += own_bytes
                found[entry.name] = entry
                names_by_url[url] = entry.name
            else:
                problems[entry.name if is_name(entry.name) else source] = fault
    return Collected(tuple(found.values()), problems)


def is_shrunk(before: Sequence[str], after: Sequence[str]) -> bool:
    """Tell whether more than half of the names are gone at once, as after a glitch."""
    gone = len(set(before) - set(after))
    return gone * 2 > len(set(before))


def _build(
    candidate: Candidate, source: SourceName, known: Mapping[str, FoundProvider], now_at: float
) -> FoundProvider:
    before = known.get(candidate.name)
    is_same = before is not None and before.found_by == source
    return FoundProvider(
        name=candidate.name,
        type=candidate.type,
        base_url=candidate.base_url,
        models=tuple(filter(_may_be_served, dict.fromkeys(candidate.models))),
        found_by=source,
        found_at=before.found_at if before is not None and is_same else now_at,
        priority=candidate.priority,
        weight=candidate.weight,
    )


def _may_be_served(model: str) -> bool:
    is_text = 0 < len(model) <= MAX_NAME_CHARACTERS and model.isprintable()
    return is_text and model == model.strip() and model != WILDCARD


def _find_fault(
    entry: FoundProvider, found: Mapping[str, FoundProvider], settings: DiscoverySettings
) -> str | None:
    if not is_name(entry.name):
        return "its name cannot be used"
    if entry.name in found:
        return f"its name is taken by one that was found by {found[entry.name].found_by}"
    if len(found) >= settings.max_providers:
        return f"more than {settings.max_providers} were found (discovery.max_providers)"
    if find_kind(entry.type) is None:
        return "its type is not known"
    if not 1 <= entry.weight <= MAX_WEIGHT or not 0 <= (entry.priority or 0) <= MAX_WEIGHT:
        return "its weight or priority is out of range"
    if len(entry.models) > MAX_MODELS:
        return f"it names more than {MAX_MODELS} models"
    return find_fault(entry, settings.private_networks)
