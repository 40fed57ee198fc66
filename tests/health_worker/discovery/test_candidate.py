"""Names and addresses of what was found."""

import pytest

from health_worker.discovery.candidate import build_name, build_url, complete_url, is_name


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("vllm", "10.0.0.7"), "vllm-10-0-0-7"),
        (("vllm", "10.0.0.7", 8000), "vllm-10-0-0-7-8000"),
        (("vllm", "fd00::7"), "vllm-fd00--7"),
        (("vllm", "fd00::7:1"), "vllm-fd00--7-1"),
        (("vllm", "fd00:7::1"), "vllm-fd00-7--1"),
        (("x" * 90, "fd00:" * 7 + "fd00", 65535), "x" * 18 + "-fd00" * 8 + "-65535"),
        (("vllm", "host." * 40, 80), "vllm-da2b1a5fa7523e9c"),
        (("a b/c", "1"), "a-b-c-1"),
        (("", "1"), "found-1"),
        (("x" * 90, "10.0.0.7"), "x" * 55 + "-10-0-0-7"),
    ],
)
def test_names_are_made_of_what_tells_servers_apart(parts: tuple[str, ...], name: str) -> None:
    """A service with an address gives a name that a provider may have."""
    assert build_name(*parts) == name
    assert is_name(name)


def test_addresses_are_whole() -> None:
    """An address of IPv6 has brackets, and `/v1` stands where nobody says another path."""
    assert build_url("http", "fd00::7", 80, None, "vllm") == "http://[fd00::7]:80/v1"
    assert build_url("http", "10.0.0.7", 80, "/api/v2/", "vllm") == "http://10.0.0.7:80/api/v2"
    assert build_url("http", "10.0.0.7", 80, None, "deepseek") == "http://10.0.0.7:80"
    assert complete_url("http://[", "vllm") == "http://["
