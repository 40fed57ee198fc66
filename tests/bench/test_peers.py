"""Tests of how other gateways are configured."""

import json
import subprocess
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


def install_litellm(folder: Path, version: str) -> None:
    """Lay out what pip leaves behind."""
    write(folder / "bin" / "litellm", "")
    site = folder / "lib" / "python3.11" / "site-packages"
    name = f"Name: litellm\nVersion: {version}\n"
    write(site / f"litellm-{version}.dist-info" / "METADATA", f"Metadata-Version: 2.1\n{name}")


def install_portkey(folder: Path, version: str, server: str) -> None:
    """Lay out what npm leaves behind."""
    modules = folder / "node_modules"
    write(modules / "@portkey-ai" / "gateway" / "build" / "start-server.js", "")
    for name, installed in (("@portkey-ai/gateway", version), ("@hono/node-server", server)):
        write(modules / name / "package.json", json.dumps({"name": name, "version": installed}))


def write(file: Path, text: str) -> None:
    """Write a file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def installers(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was called to install anything; nothing is installed, and Node is there."""
    calls: list[list[str]] = []

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(argv)
        return subprocess.CompletedProcess(argv, 0, "v20.1.0\n", "")

    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    return calls


def test_an_installed_peer_is_not_installed_again(
    tmp_path: Path, installers: list[list[str]]
) -> None:
    """Where these very versions are, nothing stands in the way and nothing is fetched."""
    install_litellm(tmp_path, LiteLlm.version)
    install_portkey(tmp_path, Portkey.version, "1.13.8")
    assert LiteLlm(tmp_path).find_obstacle() is None
    assert Portkey(tmp_path).find_obstacle() is None
    assert installers == []


def test_another_version_of_litellm_is_replaced(
    tmp_path: Path, installers: list[list[str]]
) -> None:
    """The environment is made anew, and pip is asked for the one version."""
    install_litellm(tmp_path, "1.80.0")
    assert LiteLlm(tmp_path).find_obstacle() is None
    assert "--clear" in installers[0]
    assert installers[1][-1] == f"litellm[proxy]=={LiteLlm.version}"


@pytest.mark.parametrize(("own", "server"), [("1.9.0", "1.13.8"), (Portkey.version, "1.19.0")])
def test_another_version_of_portkey_or_of_its_server_is_replaced(
    own: str, server: str, tmp_path: Path, installers: list[list[str]]
) -> None:
    """What was there is gone, npm's lock too, and npm is told both versions."""
    folder = tmp_path / "portkey"
    install_portkey(folder, own, server)
    write(folder / "package-lock.json", "{}")
    assert Portkey(folder).find_obstacle() is None
    assert [path.name for path in folder.iterdir()] == ["package.json"]
    wanted = json.loads((folder / "package.json").read_text())
    assert wanted["dependencies"] == {"@portkey-ai/gateway": Portkey.version}
    assert wanted["overrides"] == {"@hono/node-server": "1.13.8"}
    assert [argv[:2] for argv in installers] == [["npm", "install"]]


def test_the_versions_that_are_told_are_the_installed_ones(
    tmp_path: Path, installers: list[list[str]]
) -> None:
    """The report never names what was asked for: only what is there, or that it is unknown."""
    assert LiteLlm(tmp_path).read_version() == "litellm unknown"
    install_litellm(tmp_path, "1.80.0")
    install_portkey(tmp_path, "1.9.0", "1.19.0")
    assert LiteLlm(tmp_path).read_version() == "litellm 1.80.0"
    told = "@portkey-ai/gateway 1.9.0, @hono/node-server 1.19.0, node v20.1.0"
    assert Portkey(tmp_path).read_version() == told
    # A server of its own, beneath it, would be the one that runs.
    nested = tmp_path / "node_modules" / "@portkey-ai" / "gateway" / "node_modules"
    write(nested / "@hono" / "node-server" / "package.json", '{"version": "1.20.0"}')
    assert "node-server 1.20.0" in Portkey(tmp_path).read_version()


def test_portkey_needs_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Node it is left out with the reason."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert Portkey(tmp_path).find_obstacle() == "Node and npm are not installed"


def test_every_peer_is_called_by_its_name() -> None:
    """The names that PEERS takes are the names of the systems."""
    assert {name: name for name in PEERS} == {name: peer().name for name, peer in PEERS.items()}
