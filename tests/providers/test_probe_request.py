"""Tests of `proxy/providers/probe_request.py`."""

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.settings import Clocks
from proxy.providers.probe_request import build_free_probe


@pytest.mark.parametrize("own", [{}, {"content-type": "text/plain", "A": "b"}])
def test_a_probe_is_a_get_without_a_body(own: dict[str, str]) -> None:
    """It has the key and the dialect's headers, and the operator's own, and sends nothing."""
    provider = Provider("it", "openai", "https://it.example/v1", headers=own)
    clocks = Clocks(connect_s=1.5)
    url = "https://it.example/v1/models"
    probe = build_free_probe(provider, url, ("X-Key", "k"), clocks, {"version": "1"})
    assert (probe.method, probe.url, probe.body, probe.streams) == ("GET", url, b"", False)
    assert (probe.provider, probe.clocks, probe.pool) == ("it", clocks, provider.pool)
    assert {"X-Key": "k", "version": "1", **own}.items() <= probe.headers.items()
    assert "Content-Type" not in probe.headers
