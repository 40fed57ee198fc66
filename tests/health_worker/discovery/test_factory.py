"""Settings open what they name, and say when something has to be opened anew."""

import pytest
from msgspec.structs import replace

from health_worker.discovery.factory import identify_source, open_source
from health_worker.discovery.models import ModelAsker
from proxy.domain.discovery import (
    ConsulSettings,
    DiscoverySettings,
    KubernetesSettings,
    RegistrySettings,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

EVERYTHING = DiscoverySettings(
    registry=RegistrySettings("https://r.example/list"),
    kubernetes=KubernetesSettings("a=b"),
    consul=ConsulSettings("http://127.0.0.1:8500", ("s",)),
    local_servers=True,
)


async def test_every_source_can_be_opened_and_closed() -> None:
    """Each name that settings switch on opens the source of that name."""
    asker = ModelAsker(EVERYTHING)
    assert EVERYTHING.sources == ("registry", "kubernetes", "consul", "local")
    for name in EVERYTHING.sources:
        source = open_source(name, EVERYTHING, asker)
        assert source.name == name
        assert source.waits_itself is (name in ("kubernetes", "consul"))
        await source.close()
    with pytest.raises(ValueError, match="not switched on"):
        open_source("consul", DiscoverySettings(), asker)
    await asker.close()


def test_a_source_depends_on_its_own_settings() -> None:
    """Another address of the registry opens it anew, and leaves Consul alone."""
    other = replace(EVERYTHING, registry=RegistrySettings("https://r.example/other"))
    assert identify_source("registry", EVERYTHING) != identify_source("registry", other)
    assert identify_source("consul", EVERYTHING) == identify_source("consul", other)
