"""Where providers are searched for."""

import pytest

from proxy.domain.discovery import (
    ConsulSettings,
    DiscoverySettings,
    KubernetesSettings,
    RegistrySettings,
)


@pytest.mark.parametrize(
    "settings",
    [
        DiscoverySettings(local_servers=True),
        DiscoverySettings(registry=RegistrySettings("https://registry.example")),
        DiscoverySettings(kubernetes=KubernetesSettings("app=vllm")),
        DiscoverySettings(consul=ConsulSettings("http://127.0.0.1:8500", ("vllm",))),
    ],
)
def test_one_search_is_enough(settings: DiscoverySettings) -> None:
    """Discovery is on as soon as one place is searched, and off without any."""
    assert settings.is_on
    assert not DiscoverySettings().is_on
