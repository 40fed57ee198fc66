"""Where a provider is: what `check` refuses, and what it warns of."""

from pathlib import Path

import pytest

from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of

ENTRY = "providers:\n  - {name: p, type: vllm, models: [m], base_url: '%s'%s}\n"


def test_a_type_without_an_address_needs_one(tmp_path: Path) -> None:
    """`vllm` and `openai_compatible` must be told where they are."""
    (problem,) = problems_of(tmp_path, "providers:\n  - {name: p, type: vllm, models: [m]}\n")
    assert problem.startswith("config.yaml:2:5: 'base_url' is missing here")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/v1", "http://0.0.0.0:8000/v1", "http://[fe80::1]/v1", "http://127.1"],
)
def test_a_base_url_that_can_never_be_reached_is_a_problem(tmp_path: Path, url: str) -> None:
    """Metadata, link-local, unspecified and odd numbers are refused, and not repeated."""
    text = f"providers:\n  - {{name: p, type: vllm, models: [m], base_url: '{url}'}}\n"
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("config.yaml:2:")
    assert "base_url: " in problem
    assert url not in problem


@pytest.mark.parametrize("network", ["169.254.0.0/16", "169.254.169.254", "fe80::/64", "::"])
def test_a_network_that_is_never_allowed_is_a_problem(tmp_path: Path, network: str) -> None:
    """Nobody is left to believe that `private_networks` opens a metadata service."""
    text = ENTRY % ("http://llm.example", f", private_networks: ['10.0.0.0/8', '{network}']")
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("config.yaml:2:")
    assert "private_networks: no provider is ever reached" in problem


@pytest.mark.parametrize(
    ("url", "is_doubtful"),
    [
        ("http://vllm:8000/v1", True),
        ("http://VLLM.", True),
        ("http://gpu.lan", True),
        ("http://llm.default.svc.cluster.local", True),
        ("http://llm.default.svc", True),
        ("https://api.provider.example", False),
        ("http://localhost:1234", False),
        ("http://10.0.0.5:8000", False),
        ("http://[fd00::5]:8000", False),
    ],
)
def test_a_private_name_without_its_network_is_a_warning(
    tmp_path: Path, url: str, is_doubtful: bool
) -> None:
    """A container's name would end in upstream_address_refused; `check` says so before."""
    keys = f"api_keys: [{GOOD_KEY}]\n"
    found = warnings_of(load_text(tmp_path, keys + ENTRY % (url, "")))
    assert any("name the network in private_networks" in line for line in found) is is_doubtful
    named = keys + ENTRY % (url, ", private_networks: ['172.16.0.0/12']")
    assert not any("private_networks" in line for line in warnings_of(load_text(tmp_path, named)))
    off = keys + ENTRY % (url, ", enabled: false")
    assert not any("private_networks" in line for line in warnings_of(load_text(tmp_path, off)))


@pytest.mark.parametrize(
    ("kind", "url", "end"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions", "/chat"),
        ("anthropic", "https://api.anthropic.com/v1/messages", "/messages"),
        ("azure", "https://a.example/openai/deployments/d", "/deployments"),
        ("azure_openai", "https://a.example/openai/deployments/d/embeddings", "/deployments"),
        ("openai_compatible", "https://a.example/openai/deployments/d", None),
        ("openai_compatible", "https://a.example/models", None),
        ("azure", "https://a.example/openai/v1", None),
    ],
)
def test_the_path_of_a_request_in_a_base_url_is_a_warning(
    tmp_path: Path, kind: str, url: str, end: str | None
) -> None:
    """What was copied from a curl command says where it has to end."""
    entry = f"{{name: p, type: {kind}, api_key: k, models: [m], base_url: '{url}'}}"
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {entry}\n"
    found = [line for line in warnings_of(load_text(tmp_path, text)) if "path of a request" in line]
    if end is None:
        assert found == []
    else:
        (line,) = found
        assert line.endswith(f"end it in front of '{end}'")


def test_azure_is_told_what_its_address_looks_like(tmp_path: Path) -> None:
    """Its example is a resource at Azure, not a server at a port of its own."""
    (problem,) = problems_of(tmp_path, "providers:\n  - {name: p, type: azure, models: [m]}\n")
    assert problem.endswith("add a line 'base_url: https://my-resource.openai.azure.com'")
