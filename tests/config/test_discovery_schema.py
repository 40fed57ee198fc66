"""What `discovery:` may say."""

import pytest
from pydantic import ValidationError

from proxy.config.discovery_schema import ConsulEntry, DiscoveryEntry, KubernetesEntry


def test_everything_is_off_unless_it_is_named() -> None:
    """An empty section searches nothing and allows nothing."""
    entry = DiscoveryEntry()
    assert entry.kubernetes is None
    assert entry.consul is None
    assert not entry.local_servers
    assert entry.private_networks == []
    assert entry.api_key_env is None


def test_a_search_says_what_it_searches_for() -> None:
    """Kubernetes needs a selector and Consul a service: everything there is never asked for."""
    with pytest.raises(ValidationError):
        KubernetesEntry()  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        ConsulEntry(services=[])
    assert ConsulEntry(services=["vllm"]).url == "http://127.0.0.1:8500"
