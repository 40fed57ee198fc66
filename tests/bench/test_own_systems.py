"""Tests of how our own server is configured and started."""

import stat
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from bench.own_systems import (
    Proxy,
    ProxyWithAiohttp,
    ProxyWithRedis,
    ProxyWithTwoWorkers,
    build_proxy_config,
)
from bench.systems import MODEL, Ground
from proxy.config.load import LoadedConfig, load_config
from proxy.domain.identity import KeyHasher
from tests.fakes.tls_relay import AUTHORITY


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Ports and an empty folder."""
    return Ground(port=18001, mock_port=18002, folder=tmp_path, beside_port=18003)


def load(ground: Ground) -> LoadedConfig:
    """Return what our own loader makes of the file that was written."""
    return load_config(ground.folder / "config.yaml", {}, KeyHasher(b"p" * 32), now_at=0.0)


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
    Proxy().build_launch(ground)
    loaded = load(ground)
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


def test_behind_tls_only_the_upstream_is_different(ground: Ground) -> None:
    """Its provider has the other URL, and the environment names the authority to trust."""
    launch = Proxy().build_launch(replace(ground, tls_port=18004))
    config = yaml.safe_load((ground.folder / "config.yaml").read_text())
    assert config["providers"][0]["base_url"] == "https://127.0.0.1:18004/v1"
    assert launch.variables == {"SSL_CERT_FILE": str(AUTHORITY)}


def test_two_workers_have_two_cores_and_are_waited_for(ground: Ground) -> None:
    """Its configuration is valid and asks for two; it is ready when both of them are."""
    system = ProxyWithTwoWorkers()
    launch = system.build_launch(ground)
    assert load(ground).install.workers == launch.workers == system.core_count == 2
    assert (launch.ready_path, launch.ready_words) == ("/health", b'"ready":2')


def test_with_aiohttp_only_the_transport_is_different(ground: Ground) -> None:
    """Its configuration is valid, and its provider is reached through aiohttp's client."""
    ProxyWithAiohttp().build_launch(ground)
    group = load(ground).snapshot.find_group(MODEL)
    assert group is not None
    config = yaml.safe_load((ground.folder / "config.yaml").read_text())
    assert config["providers"][0].pop("transport") == "aiohttp"
    assert config["providers"][0].keys() == read_provider(ground).keys()


def read_provider(ground: Ground) -> dict[str, object]:
    """Return the provider of the server as it comes."""
    config = yaml.safe_load(build_proxy_config(ground, "sk-bench-1"))
    provider: dict[str, object] = config["providers"][0]
    return provider


def test_with_redis_only_that_is_different(ground: Ground) -> None:
    """Its configuration is valid and names the server that is started beside it."""
    launch = ProxyWithRedis().build_launch(ground)
    assert load(ground).install.redis_url == "redis://127.0.0.1:18003"
    assert launch.argv == Proxy().build_launch(ground).argv
    assert "18003" in launch.beside


def test_another_command_is_filled_in(ground: Ground) -> None:
    """A given command gets the file and the port where it asks for them."""
    launch = Proxy("serve-it '{config}' --port {port}").build_launch(ground)
    assert launch.argv == ["serve-it", str(ground.folder / "config.yaml"), "--port", "18001"]


def test_no_two_runs_share_a_key(ground: Ground) -> None:
    """Keys are made anew for each start."""
    proxy = Proxy()
    assert proxy.build_launch(ground).api_key != proxy.build_launch(ground).api_key
