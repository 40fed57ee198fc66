"""Tests of how the systems are configured and started."""

import stat
from pathlib import Path

import pytest
import yaml

from bench.systems import (
    MODEL,
    Bare,
    Direct,
    Ground,
    Nginx,
    Proxy,
    ProxyWithRedis,
    build_nginx_config,
    build_proxy_config,
)
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Two ports and an empty folder."""
    return Ground(port=18001, mock_port=18002, folder=tmp_path)


def test_the_proxy_gets_the_mock_as_its_one_provider(ground: Ground) -> None:
    """The configuration is YAML with the key, the ports, the log and one OpenAI provider."""
    config = yaml.safe_load(build_proxy_config(ground, "sk-bench-1"))
    (provider,) = config["providers"]
    assert (config["host"], config["port"]) == ("127.0.0.1", 18001)
    assert config["api_keys"] == ["sk-bench-1"]
    assert str(ground.folder / "requests.log") == config["log_file"]
    assert provider["type"] == "openai"
    assert provider["base_url"] == "http://127.0.0.1:18002/v1"
    assert provider["models"] == [MODEL]


def test_the_proxy_accepts_its_configuration(ground: Ground) -> None:
    """Our own loader takes the generated file without an error and without a warning."""
    config_file = ground.folder / "config.yaml"
    config_file.write_text(build_proxy_config(ground, f"sk-bench-{'0' * 32}"))
    loaded = load_config(config_file, {}, KeyHasher(b"p" * 32), now_at=0.0)
    assert loaded.warnings == ()
    assert loaded.install.listen == (("127.0.0.1", 18001),)
    assert loaded.snapshot.find_group(MODEL) is not None


def test_the_proxy_starts_by_its_own_command(ground: Ground) -> None:
    """The default command serves the written file, which only its owner may read."""
    launch = Proxy().build_launch(ground)
    config_file = ground.folder / "config.yaml"
    assert launch.argv is not None
    assert launch.argv[1:] == [
        *("-m", "proxy", "serve", "--config", str(config_file)),
        *("--state-dir", str(ground.folder / "state")),
    ]
    assert launch.ready_path == "/health/readiness"
    assert launch.api_key in config_file.read_text()
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600


def test_with_redis_only_that_is_different(ground: Ground, tmp_path: Path) -> None:
    """Its configuration is valid and names the server that is started beside it."""
    there = Ground(ground.port, ground.mock_port, tmp_path, beside_port=18003)
    launch = ProxyWithRedis().build_launch(there)
    loaded = load_config(tmp_path / "config.yaml", {}, KeyHasher(b"p" * 32), now_at=0.0)
    assert loaded.install.redis_url == "redis://127.0.0.1:18003"
    assert launch.argv == Proxy().build_launch(there).argv
    assert "18003" in launch.beside


def test_another_command_is_filled_in(ground: Ground) -> None:
    """A given command gets the file and the port where it asks for them."""
    launch = Proxy("serve-it '{config}' --port {port}").build_launch(ground)
    assert launch.argv == ["serve-it", str(ground.folder / "config.yaml"), "--port", "18001"]


def test_no_two_runs_share_a_key(ground: Ground) -> None:
    """Keys are made anew for each start."""
    proxy = Proxy()
    assert proxy.build_launch(ground).api_key != proxy.build_launch(ground).api_key


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


def test_nginx_that_is_not_there_is_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the program nginx is left out with the reason."""
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert Nginx().find_obstacle() == "nginx is not installed"


def test_direct_starts_nothing(ground: Ground) -> None:
    """The load goes to the mock itself."""
    launch = Direct().build_launch(ground)
    assert launch.argv is None
    assert launch.port == 18002


def test_bare_stands_before_the_mock(ground: Ground) -> None:
    """The pass-through listens on its own port and forwards to the mock's."""
    argv = Bare().build_launch(ground).argv
    assert argv is not None
    assert list(argv[1:]) == ["-m", "bench.bare_passthrough", "18001", "http://127.0.0.1:18002"]
