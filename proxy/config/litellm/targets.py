"""The deployments of LiteLLM's `model_list` -> providers, and which of them stand behind a name."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from proxy.config.litellm.notes import Notes, name_key
from proxy.config.litellm.provider_entry import EntryReader
from proxy.config.litellm.values import is_model_name, read_names, read_number
from proxy.config.litellm.vendors import find_vendor
from proxy.providers.registry import find_kind

_SHARES = ("weight", "rpm", "tpm")
_READ = frozenset(
    (
        *("model", "custom_llm_provider", "api_base", "base_url", "api_key", "api_version"),
        *("extra_headers", "headers", "organization", "timeout", "stream_timeout"),
        *("max_retries", "num_retries", "order", *_SHARES),
        *("input_cost_per_token", "output_cost_per_token"),
    )
)
_READ_INFO = frozenset(
    (
        *("input_cost_per_token", "output_cost_per_token", "max_input_tokens"),
        # Of no consequence here: what LiteLLM keeps for itself.
        *("id", "mode", "base_model", "max_tokens", "max_output_tokens", "litellm_provider"),
        *("description", "db_model", "created_at", "updated_at"),
    )
)
_NO_LIMIT = "no limit of a provider is kept; it is a share where no weight is given"
_WHY = {
    "tags": "requests are not routed by tags",
    "max_parallel_requests": "set max_connections of the provider",
    "azure_ad_token": "tokens of Entra expire, and nobody renews them here: use a key",
    "tenant_id": "tokens of Entra expire, and nobody renews them here: use a key",
    "mock_response": "use the simulator (docs/simulator.md)",
    "drop_params": "unsupported_params holds for all providers",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_PRICE_STEP = Decimal("0.000001")
_LONGEST_NAME = 56
"""So that a number has its place behind it."""


class Target(Struct, frozen=True):
    """One deployment: the name that clients ask for, and what stands behind it."""

    name: str
    provider: str
    model: str
    order: int | None = None
    weight: Decimal | None = None
    rpm: Decimal | None = None
    tpm: Decimal | None = None


class Targets(Struct, frozen=True):
    """What a `model_list` comes to: entries of `providers`, and targets in the order given."""

    providers: list[dict[str, Any]]
    targets: list[Target]
    patterns: tuple[str, ...] = ()
    """Names with a `*` in them, whose providers serve every model."""


class _Provider(Struct):
    fields: dict[str, Any]
    wished_name: str
    is_for_all: bool = False
    """It is meant by `*`, not only by a name with its own in front."""
    models: list[str] = field(default_factory=list)
    info: dict[str, dict[str, float | int]] = field(default_factory=dict)


def read_targets(
    models: object, variables: Mapping[str, Any], retries: int | None, notes: Notes
) -> Targets:
    """
    Return the providers and targets of a `model_list`.

    Args:
        models: the list.
        variables: LiteLLM's own `environment_variables`.
        retries: `num_retries` of the whole configuration.
        notes: gets what has no counterpart.
    """
    if not isinstance(models, list):
        notes.add("model_list", "is no list, and was passed over")
        return Targets([], [])
    reader = _Reader(EntryReader(variables, retries, notes), notes)
    for index, item in enumerate(models):
        reader.read(index, item)
    return reader.build()


class _Reader:
    """Collects targets, and providers by what their deployments have in common."""

    def __init__(self, entries: EntryReader, notes: Notes) -> None:
        self._entries = entries
        self._notes = notes
        self._providers: dict[bytes, _Provider] = {}
        self._targets: list[tuple[bytes, Target]] = []
        self._patterns: list[str] = []

    def read(self, index: int, item: object) -> None:
        """Add what one item of the list says."""
        fields = read_names(item)
        params, name = read_names(fields.get("litellm_params")), fields.get("model_name")
        place = f"model_list[{index}]"
        if not is_model_name(name) or not params:
            what = "has no litellm_params, or no model_name that can be one here: passed over"
            self._notes.add(place, what)
            return
        place = f"{place} {name_key(name)}"
        model, given = params.get("model"), params.get("custom_llm_provider")
        vendor = find_vendor(
            model if isinstance(model, str) else "",
            given if isinstance(given, str) else None,
            has_address=bool(params.get("api_base") or params.get("base_url")),
        )
        kind = None if vendor is None else find_kind(vendor.type)
        if vendor is None or kind is None or not is_model_name(vendor.model):
            self._notes.add(place, "no provider type here is for this model: it was left out")
            return
        entry = self._entries.read(place, vendor, kind, params)
        key = msgspec.json.encode(entry)
        provider = self._providers.setdefault(key, _Provider(entry, entry["type"]))
        info = read_names(fields.get("model_info"))
        self._read_info(place, provider, vendor.model, params, info)
        self._note_rest(place, fields, params, info)
        if "*" in name or "*" in vendor.model:
            self._add_any(place, provider, name)
            return
        if vendor.model not in provider.models:
            provider.models.append(vendor.model)
        order = params.get("order")
        shares = {word: read_number(params.get(word, fields.get(word))) for word in _SHARES}
        # Its provider has no name yet.
        target = Target(name, "", vendor.model, order if type(order) is int else None, **shares)
        self._targets.append((key, target))

    def build(self) -> Targets:
        """Return what was read, each provider under a name of its own."""
        # Of who serves any model, clients write the name before it: it goes first.
        order = sorted(self._providers, key=lambda key: "*" not in self._providers[key].models)
        taken: set[str] = set()
        names = {key: _find_name(self._providers[key].wished_name, taken) for key in order}
        entries = {}
        for key, provider in self._providers.items():
            entry = {"name": names[key], **provider.fields, "models": provider.models}
            if provider.info:
                entry["model_info"] = provider.info
            if "*" in provider.models and not provider.is_for_all:
                # Whom a bare name is not meant for is asked behind whom it is.
                entry["priority"] = 2
            checked = self._entries.check(entry)
            if checked is not None:
                entries[key] = checked
        targets = [replace(t, provider=names[key]) for key, t in self._targets if key in entries]
        return Targets(list(entries.values()), targets, tuple(self._patterns))

    def _add_any(self, place: str, provider: _Provider, name: str) -> None:
        """Have a provider serve every model, for a name such as `*` or `openai/*`."""
        prefix, _, rest = name.rpartition("/")
        if rest == "*" and "*" not in prefix:
            provider.wished_name = prefix or provider.wished_name
            provider.is_for_all = provider.is_for_all or not prefix
            what = "its provider serves every model that it is asked for"
        else:
            what = "a pattern inside of a name stands for every model at its provider"
        self._patterns.append(name)
        self._notes.add(place, what)
        if "*" not in provider.models:
            provider.models.append("*")

    def _read_info(
        self,
        place: str,
        provider: _Provider,
        model: str,
        params: Mapping[str, Any],
        info: Mapping[str, Any],
    ) -> None:
        known: dict[str, float | int] = {}
        tokens = read_number(info.get("max_input_tokens"))
        if tokens:
            known["max_input_tokens"] = int(tokens)
        for side in ("input", "output"):
            name = f"{side}_cost_per_token"
            price = read_number(info.get(name, params.get(name)))
            if price is not None:
                usd = (price * 1_000_000).quantize(_PRICE_STEP)
                known[f"{side}_usd_per_million_tokens"] = float(usd)
        if known and "*" not in model and provider.info.setdefault(model, known) != known:
            self._notes.add(place, "other prices or limits of the same model: the first ones hold")

    def _note_rest(
        self,
        place: str,
        item: Mapping[str, Any],
        params: Mapping[str, Any],
        info: Mapping[str, Any],
    ) -> None:
        for name in ("rpm", "tpm"):
            if params.get(name, item.get(name)) is not None:
                self._notes.add(f"{place}.{name}", _NO_LIMIT)
        self._notes.add_rest(place, params, _READ, _WHY)
        told = {name: value for name, value in info.items() if not name.startswith("supports_")}
        self._notes.add_rest(f"{place}.model_info", told, _READ_INFO, {})


def _find_name(wished: str, taken: set[str]) -> str:
    base = _NOT_IN_NAMES.sub("-", wished).strip("-_.")[:_LONGEST_NAME] or "provider"
    found, number = base, 2
    while found in taken:
        found, number = f"{base}-{number}", number + 1
    taken.add(found)
    return found
