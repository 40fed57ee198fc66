"""Tests of how nginx and HAProxy are configured, as systems and as TLS in front of the mock."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.reverse_proxies import (
    HaProxy,
    Nginx,
    build_haproxy_config,
    build_nginx_config,
    build_tls_front,
    find_tls_obstacle,
    prepare_tls_front,
)
from bench.systems import Ground
from tests.fakes.tls_relay import AUTHORITY


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Two ports and an empty folder."""
    return Ground(port=18001, mock_port=18002, folder=tmp_path)


@pytest.fixture
def behind_tls(ground: Ground) -> Ground:
    """The same with TLS in front of the mock."""
    return replace(ground, tls_port=18004)


def test_nginx_neither_buffers_nor_reconnects(ground: Ground) -> None:
    """The comparison is fair: one worker, no buffering, connections to the mock kept open."""
    config = build_nginx_config(ground)
    for setting in (
        "worker_processes 1;",
        "listen 127.0.0.1:18001 ",
        "server 127.0.0.1:18002;",
        "proxy_buffering off;",
        "keepalive 2048;",
        'proxy_set_header Connection "";',
    ):
        assert setting in config
    assert "ssl" not in config


def test_haproxy_has_one_thread_and_reuses_connections(ground: Ground) -> None:
    """The comparison is fair: one thread, connections to the mock shared and kept open."""
    config = build_haproxy_config(ground)
    for setting in (
        "nbthread 1",
        "bind 127.0.0.1:18001 ",
        "server mock 127.0.0.1:18002 ",
        "http-reuse always",
        "pool-max-conn 2048",
    ):
        assert setting in config
    assert "ssl" not in config


def test_both_check_the_certificate_of_an_upstream_behind_tls(behind_tls: Ground) -> None:
    """They dial its port, and trust our authority and no other."""
    nginx, haproxy = build_nginx_config(behind_tls), build_haproxy_config(behind_tls)
    assert "server 127.0.0.1:18004;" in nginx
    assert "proxy_pass https://mock;" in nginx
    assert "proxy_ssl_verify on;" in nginx
    assert f"proxy_ssl_trusted_certificate {AUTHORITY};" in nginx
    assert "server mock 127.0.0.1:18004 " in haproxy
    assert f"ssl verify required ca-file {AUTHORITY} " in haproxy


def test_tls_in_front_of_the_mock_hands_on_at_once(behind_tls: Ground) -> None:
    """It listens with a certificate, does not buffer, and keeps its connections to the mock."""
    config = build_tls_front(behind_tls)
    for setting in (
        "listen 127.0.0.1:18004 ssl ",
        "ssl_certificate_key ",
        "server 127.0.0.1:18002;",
        "proxy_pass http://mock;",
        "proxy_buffering off;",
        "keepalive 2048;",
    ):
        assert setting in config


def test_nginx_may_stand_behind_nginx(behind_tls: Ground) -> None:
    """The system and the TLS in front of the mock have a folder each."""
    front = prepare_tls_front(behind_tls)
    measured = Nginx().build_launch(behind_tls).argv
    assert measured is not None
    assert Path(front[-1]).parent != Path(measured[-1]).parent
    assert "18001" in Path(measured[-1]).read_text()
    assert "18001" not in Path(front[-1]).read_text()


def test_what_is_not_there_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its program a system is left out with the reason, and so is TLS without nginx."""
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert Nginx().find_obstacle() == "nginx is not installed"
    assert HaProxy().find_obstacle() == "haproxy is not installed"
    assert find_tls_obstacle() == "nginx, the TLS in front of the mock, is missing"
