"""Tests of how other gateways are configured."""

from pathlib import Path

import pytest
import yaml

from bench.peers import PEERS, LiteLlm, Portkey, build_litellm_config
from bench.systems import MODEL, Ground


def test_litellm_gets_the_mock_as_its_one_deployment(tmp_path: Path) -> None:
    """The configuration is YAML with the key and one OpenAI deployment."""
    config = yaml.safe_load(build_litellm_config(Ground(1, 18002, tmp_path), "sk-bench-1"))
    (entry,) = config["model_list"]
    assert entry["model_name"] == MODEL
    assert entry["litellm_params"]["model"] == f"openai/{MODEL}"
    assert entry["litellm_params"]["api_base"] == "http://127.0.0.1:18002/v1"
    assert config["general_settings"]["master_key"] == "sk-bench-1"


def test_litellm_runs_one_worker_and_asks_no_network(tmp_path: Path) -> None:
    """One worker on loopback, and the price list of its own package."""
    launch = LiteLlm(tmp_path / "venv").build_launch(Ground(18001, 18002, tmp_path))
    assert launch.argv is not None
    assert list(launch.argv[-6:]) == [
        *("--host", "127.0.0.1", "--port", "18001", "--num_workers", "1")
    ]
    assert launch.variables["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


def test_portkey_is_told_with_each_request_where_the_mock_is(tmp_path: Path) -> None:
    """It has no configuration: headers name the provider and its address."""
    launch = Portkey(tmp_path).build_launch(Ground(18001, 18002, tmp_path))
    assert launch.argv is not None
    assert list(launch.argv[2:]) == ["--port=18001", "--headless"]
    assert launch.headers == {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": "http://127.0.0.1:18002/v1",
    }


def test_an_installed_peer_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its program already is, nothing stands in the way."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    build = tmp_path / "node_modules" / "@portkey-ai" / "gateway" / "build"
    for program in (tmp_path / "bin" / "litellm", build / "start-server.js"):
        program.parent.mkdir(parents=True)
        program.touch()
    assert LiteLlm(tmp_path).find_obstacle() is None
    assert Portkey(tmp_path).find_obstacle() is None


def test_portkey_needs_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Node it is left out with the reason."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert Portkey(tmp_path).find_obstacle() == "Node and npm are not installed"


def test_every_peer_is_called_by_its_name() -> None:
    """The names that PEERS takes are the names of the systems."""
    assert {name: name for name in PEERS} == {name: peer().name for name, peer in PEERS.items()}
