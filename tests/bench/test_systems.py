"""Tests of what a system is told, and of the two that need no program of somebody else's."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.systems import Bare, Direct, Ground
from tests.fakes.tls_relay import AUTHORITY


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Two ports and an empty folder."""
    return Ground(port=18001, mock_port=18002, folder=tmp_path)


def test_the_upstream_is_the_mock_or_the_tls_in_front_of_it(ground: Ground) -> None:
    """Its URL has the scheme and the port of where it is to be reached."""
    assert (ground.upstream, ground.upstream_port) == ("http://127.0.0.1:18002", 18002)
    behind_tls = replace(ground, tls_port=18004)
    assert (behind_tls.upstream, behind_tls.upstream_port) == ("https://127.0.0.1:18004", 18004)


def test_direct_starts_nothing(ground: Ground) -> None:
    """The load goes to the mock itself."""
    launch = Direct().build_launch(ground)
    assert launch.argv is None
    assert launch.port == 18002


def test_bare_stands_before_the_upstream(ground: Ground) -> None:
    """The pass-through listens on its own port and forwards to the mock's; it trusts our TLS."""
    launch = Bare().build_launch(ground)
    assert launch.argv is not None
    assert list(launch.argv[1:]) == [
        *("-m", "bench.bare_passthrough", "18001", "http://127.0.0.1:18002")
    ]
    assert launch.variables == {}
    behind_tls = Bare().build_launch(replace(ground, tls_port=18004))
    assert behind_tls.variables == {"SSL_CERT_FILE": str(AUTHORITY)}
