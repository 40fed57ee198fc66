"""One immutable catalog of everything a request can be sent to, and how a name finds it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from proxy.domain.health import ProbeSettings
from proxy.domain.identity import Caller
from proxy.domain.model_name import is_plain_name
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks, PoolLimits, Settings

Strategy = Literal["priority", "weighted", "least_latency", "least_cost"]
StreamFailure = Literal["terminate", "buffered"]
Auth = Literal["header", "bearer"]
"""The key in a header of the type's own, or as `Authorization: Bearer`."""
WILDCARD = "*"
LATEST = ":latest"
"""What Ollama's clients put behind a name that has no tag."""
SIMULATOR_TYPE = "simulator"
SIMULATED = "sim-"
"""What the name of everything simulated begins with, so that nobody takes it for real."""


# `gc=False`: these can hold no reference to themselves, and a large catalog has ten thousands
# of them that the garbage collector would walk through for nothing.


class ModelInfo(Struct, frozen=True, gc=False):
    """What is known of a model at a provider; None is what nobody has said."""

    max_input_tokens: int | None = None
    input_usd_micros_per_million_tokens: int | None = None
    """Millionths of a dollar, so that prices stay whole numbers."""
    output_usd_micros_per_million_tokens: int | None = None

    @property
    def price(self) -> int | None:
        """
        One number to compare models by: of four tokens three are a prompt's, one an answer's.

        In millionths of a dollar for four million tokens; None unless both prices are known.
        """
        input_price = self.input_usd_micros_per_million_tokens
        output_price = self.output_usd_micros_per_million_tokens
        if input_price is None or output_price is None:
            return None
        return 3 * input_price + output_price


class Provider(Struct, frozen=True, gc=False):
    """One company's or server's endpoint, with its defaults filled in."""

    name: str
    type: str
    base_url: str
    api_key: Secret | None = None
    models: tuple[str, ...] = ()
    enabled: bool = True
    disabled_reason: str | None = None
    priority: int = 1
    weight: int = 1
    max_retries: int = 3
    retry_delay_s: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)
    clocks: Clocks = Clocks()
    pool: PoolLimits = PoolLimits()
    transport: str = "httptools"
    ca_file: str | None = None
    """Certificates that are trusted besides the system's, in PEM."""
    api_version: str | None = None
    """The version of its API that it is asked in, where its type has several; None: the usual."""
    auth: Auth | None = None
    """How the key is sent, where its type knows more than one way; None: its usual one."""
    min_context_tokens: int = 8192
    """The least that a local server sets aside for a prompt and its answer, where it is told."""
    max_context_tokens: int = 131_072
    """The most."""
    proxy: Secret | None = None
    """The URL of what it is asked through, which may hold a password."""
    private_networks: tuple[str, ...] = ()
    """Networks in CIDR notation that `base_url` may lead to although they are not public."""
    model_info: Mapping[str, ModelInfo] = field(default_factory=dict)
    """By model; not every model has an entry."""
    probe: ProbeSettings = ProbeSettings()
    files_organization: str | None = None
    """Whose the files and batches in its account are; None: it is not said."""
    found_by: str | None = None
    """What has discovered it, such as `consul`; None: it stands in the configuration."""


class Deployment(Struct, frozen=True, gc=False):
    """One model at one provider."""

    provider: Provider
    model: str
    priority: int = 1
    weight: int = 1
    is_listed: bool = True
    """The configuration names the model; else a client does, at a provider that takes any."""
    id: str = ""
    """`provider/model`: what logs and headers call it; filled in by itself."""
    breaker_id: str = ""
    """The same, or `provider/*` for all models together that only clients name."""

    def __post_init__(self) -> None:
        # Made once: a request asks for them several times.
        name = self.provider.name
        own_id = f"{name}/{self.model}"
        force_setattr(self, "id", own_id)
        force_setattr(self, "breaker_id", own_id if self.is_listed else f"{name}/{WILDCARD}")

    @property
    def info(self) -> ModelInfo:
        """What is known of its model there."""
        return self.provider.model_info.get(self.model, UNKNOWN_MODEL)


UNKNOWN_MODEL = ModelInfo()


class Group(Struct, frozen=True, gc=False):
    """The deployments behind one name, best first, and why in that order."""

    name: str
    deployments: tuple[Deployment, ...]
    strategy: Strategy = "priority"
    fallbacks: tuple[str, ...] = ()
    stream_failure: StreamFailure = "terminate"
    owned_by: str = "llm-proxy"

    @property
    def is_simulated(self) -> bool:
        """Some of its answers are not real ones."""
        return any(d.provider.type == SIMULATOR_TYPE for d in self.deployments)


class Snapshot(Struct, frozen=True, dict=True):
    """
    Everything a request may need, under one generation number.

    A request keeps the snapshot it began with. `groups` holds the aliases of `routes:`
    and the bare model names; `callers` is indexed by `KeyHasher.digest`. Deployments are at
    the providers of `providers`.
    """

    generation: int
    created_at: float
    settings: Settings
    providers: Mapping[str, Provider]
    groups: Mapping[str, Group]
    callers: Mapping[bytes, Caller]

    @cached_property
    def has_admin_keys(self) -> bool:
        """At least one key may administrate."""
        return any(caller.role == "admin" for caller in self.callers.values())

    @cached_property
    def organizations(self) -> frozenset[str]:
        """Those that have keys; a key that may administrate may do everything, and is of none."""
        return frozenset(
            caller.organization_id for caller in self.callers.values() if caller.role != "admin"
        )

    def find_group(self, name: str) -> Group | None:
        """
        Return what a client's model name stands for, or None.

        An alias or a bare model name first; else `provider/model`, split at the first
        slash, if that provider lists the model (or `*`); else a bare name at the providers
        that take any model. A group without deployments is known, but cannot be served now.
        """
        group = self.groups.get(name)
        if group is not None:
            return group
        provider_name, slash, model = name.partition("/")
        provider = self.providers.get(provider_name) if slash else None
        if provider is None or not model:
            return self._wildcard_group(name) if is_name(name) else None
        is_listed = model in provider.models and model != WILDCARD
        target = Deployment(
            provider, model, provider.priority, provider.weight, is_listed=is_listed
        )
        if provider.found_by is not None and self._takers and is_name(name):
            # Who takes any model has served this name; being found takes nothing from anybody.
            return self._wildcard_group(name, (target,) if is_listed and provider.enabled else ())
        if is_listed or (WILDCARD in provider.models and is_name(model)):
            return Group(name, (target,) if provider.enabled else (), owned_by=provider.type)
        return None

    def find_untagged(self, name: str) -> str:
        """
        Return the name without the `:latest` that Ollama's clients put behind it.

        Where only the whole name stands for something, or neither does, it is left as it is.
        """
        bare, tag, rest = name.rpartition(LATEST)
        if not tag or rest or self._is_known(name) or not self._is_known(bare):
            return name
        return bare

    def _is_known(self, name: str) -> bool:
        """Return whether a name is one that the configuration has."""
        provider_name, slash, model = name.partition("/")
        provider = self.providers.get(provider_name) if slash else None
        return name in self.groups or (provider is not None and model in provider.models)

    def _wildcard_group(self, name: str, found: tuple[Deployment, ...] = ()) -> Group | None:
        takers = self._takers
        if not takers:
            return None
        any_model = [Deployment(p, name, p.priority, p.weight, is_listed=False) for p in takers]
        return Group(name, tuple(sorted((*any_model, *found), key=lambda each: each.priority)))

    @cached_property
    def _takers(self) -> tuple[Provider, ...]:
        """The providers in service that take any model, best first."""
        takers = [p for p in self.providers.values() if p.enabled and WILDCARD in p.models]
        return tuple(sorted(takers, key=lambda p: (p.priority, -p.weight, p.name)))


def is_name(text: str) -> bool:
    """Return whether a client's text could be a model's name."""
    return is_plain_name(text) and text != WILDCARD
