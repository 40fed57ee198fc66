"""Which transport the proxies of these tests use: each of both where a file asks for that."""

import pytest

from tests.fakes import proxy_server

TRANSPORTS = ("httptools", "aiohttp")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have tests that are marked `both_transports` run once over each."""
    if metafunc.definition.get_closest_marker("both_transports"):
        metafunc.parametrize("transport_kind", TRANSPORTS, indirect=True)


@pytest.fixture(autouse=True)
def transport_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make it the transport of every provider that a test builds; the default unless asked."""
    kind = str(getattr(request, "param", TRANSPORTS[0]))
    monkeypatch.setattr(proxy_server, "TRANSPORT", kind)
    return kind
