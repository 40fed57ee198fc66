"""Where providers are searched for, by the configuration, and what is found there."""

from typing import Literal

from msgspec import Struct

from proxy.domain.secret import Secret

SourceName = Literal["registry", "kubernetes", "consul", "local"]
"""What has found a provider; `local` is a server at its own port of this machine."""


class FoundProvider(Struct, frozen=True):
    """
    One provider that discovery has found, as `discovered.json` keeps it.

    It holds nothing but this: a key, a header or a proxy is never taken from what was found.
    `found_at` is when it was found first, epoch seconds.
    """

    name: str
    type: str
    base_url: str
    models: tuple[str, ...]
    found_by: SourceName
    found_at: float
    priority: int | None = None
    """Counts where it comes later than the `priority` of the settings; None: theirs."""
    weight: int = 1


class RegistrySettings(Struct, frozen=True):
    """A JSON list of providers behind a URL."""

    url: str
    token: Secret | None = None
    """Sent as `Authorization: Bearer`."""


class KubernetesSettings(Struct, frozen=True):
    """EndpointSlices of a Kubernetes cluster; None stands for what a pod finds in itself."""

    label_selector: str
    namespace: str | None = None
    port: str | None = None
    """The name of the port; None: the first."""
    api_url: str | None = None
    token_file: str | None = None
    ca_file: str | None = None


class ConsulSettings(Struct, frozen=True):
    """Services of a Consul catalog that pass their checks."""

    url: str
    services: tuple[str, ...]
    tag: str | None = None
    token: Secret | None = None


class DiscoverySettings(Struct, frozen=True):
    """What is searched, how often, and what is allowed of what is found."""

    interval_s: float = 300.0
    registry: RegistrySettings | None = None
    kubernetes: KubernetesSettings | None = None
    consul: ConsulSettings | None = None
    local_servers: bool = False
    """LM Studio, llama.cpp and Ollama at their own ports of this machine."""
    private_networks: tuple[str, ...] = ()
    """Networks in CIDR notation that found addresses may lie in although they are not public."""
    api_key: Secret | None = None
    """What found providers are asked with; those of the configuration's types never are."""
    priority: int = 100
    max_providers: int = 100

    @property
    def sources(self) -> tuple[SourceName, ...]:
        """What is searched; of two sources that find the same name the first one counts."""
        is_on: dict[SourceName, bool] = {
            "registry": self.registry is not None,
            "kubernetes": self.kubernetes is not None,
            "consul": self.consul is not None,
            "local": self.local_servers,
        }
        return tuple(name for name, on in is_on.items() if on)

    @property
    def is_on(self) -> bool:
        """Something is searched."""
        return bool(self.sources)
