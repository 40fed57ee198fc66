"""Where the configuration is looked for, and how files are read."""

import os
from pathlib import Path

import pytest

from proxy.config import sources
from proxy.config.problem import ConfigError
from proxy.config.sources import (
    MAX_FILE_BYTES,
    find_config,
    find_runtime_dir,
    find_state_dir,
    list_paths,
    read_config,
    read_dot_env,
    read_file,
    read_probe_file,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory, on a machine without a system configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "SYSTEM_PATH", tmp_path / "etc" / "config.yaml")
    return tmp_path


def test_the_order_of_places(folder: Path) -> None:
    """`--config`, PROXY_API_CONFIG, ./config.yaml, /etc, the packaged copy: the first is taken."""
    assert find_config(None, {}) is None
    (folder / "etc").mkdir()
    (folder / "etc" / "config.yaml").touch()
    assert find_config(None, {}) == folder / "etc" / "config.yaml"
    (folder / "config.yaml").touch()
    assert find_config(None, {}) == Path("config.yaml")
    (folder / "named.yaml").touch()
    (folder / "given.yaml").touch()
    environ = {"PROXY_API_CONFIG": str(folder / "named.yaml")}
    assert find_config(None, environ) == folder / "named.yaml"
    assert find_config(folder / "given.yaml", environ) == folder / "given.yaml"


def test_a_named_file_must_exist(folder: Path) -> None:
    """A file that was asked for by name and does not exist is an error, not another file."""
    with pytest.raises(ConfigError, match=r"absent\.yaml: there is no such configuration file"):
        find_config(folder / "absent.yaml", {})
    with pytest.raises(ConfigError, match="environment: PROXY_API_CONFIG: there is no such"):
        find_config(None, {"PROXY_API_CONFIG": "absent.yaml"})


def test_a_broken_link_is_not_passed_over(folder: Path) -> None:
    """A ./config.yaml that links to nothing is reported when it is read."""
    (folder / "config.yaml").symlink_to("nowhere")
    path = find_config(None, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(path)


def test_the_packaged_copy_is_the_shipped_configuration() -> None:
    """Without any file the packaged copy is read, byte for byte the config.yaml of the project."""
    assert read_config(None) == (ROOT / "config.yaml").read_bytes()


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a FIFO that nobody writes to and a link to itself are refused at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_file(tmp_path)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_file(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(tmp_path / "loop")
    with pytest.raises(ConfigError, match="NUL"):
        read_file(Path("a\0b"))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """A file of 8 MiB is read, one byte more is refused."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES)
    assert len(read_file(path)) == MAX_FILE_BYTES
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigError, match="larger than 8 MiB"):
        read_file(path)


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """A link to a regular file is read: that is how Kubernetes mounts configurations."""
    (tmp_path / "real").write_bytes(b"a: 1")
    (tmp_path / "link").symlink_to("real")
    assert read_file(tmp_path / "link") == b"a: 1"


def test_files_beside_the_configuration(folder: Path) -> None:
    """`.env` and the health worker's file are read beside the configuration if they are there."""
    path = folder / "config.yaml"
    assert read_dot_env(path).variables == {}
    assert read_probe_file(path) is None
    (folder / ".env").write_text("A=1")
    (folder / "health_worker_providers.json").write_text("{}")
    assert list(read_dot_env(path).variables) == ["A"]
    assert list(read_dot_env(None).variables) == ["A"]
    assert read_probe_file(path) == (str(folder / "health_worker_providers.json"), b"{}")


def test_a_file_of_a_stranger_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another user than root and our own is refused, also behind a link; chown mends."""
    (tmp_path / "real").write_bytes(b"a: 1")
    (tmp_path / "link").symlink_to("real")
    if os.geteuid() == 0:
        os.chown(tmp_path / "real", 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    for name in ("real", "link"):
        with pytest.raises(ConfigError, match=r"belongs to user .*: run 'chown \d+' on it"):
            read_file(tmp_path / name)


def test_a_file_that_anybody_may_write_is_refused(tmp_path: Path) -> None:
    """A world-writable file is refused with the chmod that mends it; a group may write."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: 1")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="every user may write this file: run 'chmod o-w'"):
        read_file(path)
    path.chmod(0o664)
    assert read_file(path) == b"a: 1"


def test_the_runtime_directory() -> None:
    """The control socket is in systemd's directory, in /run for the system's state, else by it."""
    assert find_runtime_dir(Path("/s"), {}) == Path("/s/run")
    assert find_runtime_dir(Path("/var/lib/llm-proxy"), {}) == Path("/run/llm-proxy")
    assert find_runtime_dir(Path("/s"), {"RUNTIME_DIRECTORY": "/run/a:/run/b"}) == Path("/run/a")


def test_the_files_of_a_configuration() -> None:
    """The configuration, `.env` and the health worker's file; the packaged copy never changes."""
    beside = (Path("a/.env"), Path("a/health_worker_providers.json"))
    assert list_paths(Path("a/b.yaml")) == (Path("a/b.yaml"), *beside)
    assert list_paths(None) == (Path(".env"), Path("health_worker_providers.json"))


def test_the_state_directory() -> None:
    """State is kept where a variable says, else by the place of the configuration."""
    path = Path("/srv/proxy/config.yaml")
    assert find_state_dir(path, {}) == Path("/srv/proxy/.state")
    assert find_state_dir(None, {}) == Path(".state")
    assert find_state_dir(Path("/etc/llm-proxy/a.yaml"), {}) == Path("/var/lib/llm-proxy")
    by_systemd = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}
    assert find_state_dir(path, by_systemd) == Path("/var/lib/one")
    assert find_state_dir(path, {**by_systemd, "PROXY_API_STATE": "/s"}) == Path("/s")
    assert find_state_dir(path, {"PROXY_API_STATE_DIR": "/d"}) == Path("/d")
