"""Opens the sources that the settings name."""

from collections.abc import Callable, Collection

from health_worker.discovery.base import Source
from health_worker.discovery.consul import ConsulSource
from health_worker.discovery.kubernetes import KubernetesSource
from health_worker.discovery.local_servers import LocalServersSource
from health_worker.discovery.models import ModelAsker
from health_worker.discovery.registry import RegistrySource
from proxy.domain.discovery import DiscoverySettings, SourceName

OpenSource = Callable[[SourceName, DiscoverySettings, ModelAsker, Collection[int]], Source]


def open_source(
    name: SourceName,
    settings: DiscoverySettings,
    asker: ModelAsker,
    own_ports: Collection[int] = (),
) -> Source:
    """
    Return a source that the settings switch on.

    Args:
        name: which one.
        settings: where it is.
        asker: asks servers for their models.
        own_ports: of this machine, where this proxy listens.

    Raises:
        ValueError: the settings have no such source.
    """
    if name == "registry" and settings.registry is not None:
        return RegistrySource(settings.registry)
    if name == "kubernetes" and settings.kubernetes is not None:
        return KubernetesSource(settings.kubernetes)
    if name == "consul" and settings.consul is not None:
        return ConsulSource(settings.consul)
    if name == "local":
        return LocalServersSource(asker, own_ports)
    raise ValueError(f"{name} is not switched on")


def identify_source(name: SourceName, settings: DiscoverySettings) -> object:
    """Return what a source depends on: while it is equal, the source stays open."""
    parts: dict[SourceName, object] = {
        "registry": settings.registry,
        "kubernetes": settings.kubernetes,
        "consul": settings.consul,
        "local": settings.local_servers,
    }
    return parts[name]
