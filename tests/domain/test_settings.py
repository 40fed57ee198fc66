"""Tests of `proxy/domain/settings.py`."""

import pytest

from proxy.domain.settings import Clocks, InstallSettings, PoolLimits, Settings


def test_the_default_clocks_are_the_decided_ones() -> None:
    """The waits that the documents promise are what a provider gets without settings."""
    clocks = Clocks()
    assert (clocks.connect_s, clocks.tls_s, clocks.headers_s) == (3.0, 5.0, 30.0)
    assert (clocks.first_token_s, clocks.idle_s, clocks.total_s) == (60.0, 60.0, 1800.0)
    assert clocks.answer_s == Settings().request_timeout_s == 300.0


def test_the_default_caps_are_the_decided_ones() -> None:
    """Sizes and delays that the documents promise are the defaults."""
    settings = Settings()
    assert settings.max_body_bytes == 32 * 1024**2
    assert settings.max_event_bytes == 16 * 1024**2
    assert (settings.commit_delay_s, settings.keep_alive_s) == (10.0, 10.0)
    assert PoolLimits().max_connections is None
    assert PoolLimits().keepalive_s == 15.0


def test_a_fresh_server_listens_on_loopback_only() -> None:
    """Nothing outside of the machine reaches a server that nobody has configured."""
    assert InstallSettings().listen == (("127.0.0.1", 8000),)


def test_settings_cannot_be_changed_in_place() -> None:
    """A request keeps the settings that it began with."""
    with pytest.raises(AttributeError):
        Settings().request_timeout_s = 1.0  # type: ignore[misc]
