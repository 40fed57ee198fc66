"""Where providers are searched for, by the configuration."""

from msgspec import Struct

from proxy.domain.secret import Secret


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
    priority: int = 1
    max_providers: int = 100

    @property
    def is_on(self) -> bool:
        """Something is searched."""
        sources = (self.registry, self.kubernetes, self.consul)
        return self.local_servers or any(source is not None for source in sources)
