"""What a found provider may be; the addresses are walked in tests/config/test_discovered_file."""

import pytest

from proxy.domain.discovery import FoundProvider, SourceName
from proxy.upstream.found_provider import MAX_MODELS, find_fault


def found(base_url: str, by: SourceName = "registry", models: int = 1) -> FoundProvider:
    """Return a provider at this address."""
    names = tuple(f"m{number}" for number in range(models))
    return FoundProvider("a", "openai_compatible", base_url, names, by, 1.0)


@pytest.mark.parametrize(
    "base_url",
    ["https://8.8.8.8/v1", "https://api.example.com", "http://10.0.0.7:8000", "http://vllm:8000"],
)
def test_public_ones_over_tls_and_named_networks_pass(base_url: str) -> None:
    """TLS is asked for where an address or a name is public, and not in one's own network."""
    assert find_fault(found(base_url), ["10.0.0.0/8"]) is None


def test_the_networks_do_not_open_what_is_never_allowed() -> None:
    """An operator who allows every network has still not allowed metadata services."""
    assert find_fault(found("http://169.254.169.254/"), ["0.0.0.0/0"]) is not None
    assert find_fault(found("http://[fe80::1]/"), ["::/0"]) is not None


def test_loopback_is_for_local_servers() -> None:
    """A registry may not name this machine, unless the operator allows it."""
    assert find_fault(found("http://127.0.0.1:1234/v1", "local"), []) is None
    assert find_fault(found("http://127.0.0.1:1234/v1"), []) is not None
    assert find_fault(found("http://127.0.0.1:1234/v1"), ["127.0.0.0/8"]) is None


def test_its_address_is_short() -> None:
    """An address that fills a file is none."""
    assert find_fault(found("https://a.example/" + "p" * 1900), []) is None
    assert find_fault(found("https://a.example/" + "p" * 2000), []) is not None


def test_its_models_are_few() -> None:
    """A list of models that no server has is refused."""
    assert find_fault(found("https://a.example", models=MAX_MODELS), []) is None
    fault = find_fault(found("https://a.example", models=MAX_MODELS + 1), [])
    assert fault == "it names more than 1000 models"
