"""`make install` and `make uninstall`, into a root of their own."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.promises.tree import ROOT
from tests.systemd.units import UNITS

SCRIPT = ROOT / "systemd-services" / "install.sh"
UNIT_DIR = "usr/local/lib/systemd/system"
NOBODY = 65534

Result = subprocess.CompletedProcess[str]


def run_script(what: str, destination: Path, **variables: str) -> Result:
    """Run the script, without the program unless told otherwise."""
    environ = {
        "PATH": os.environ["PATH"],
        "DESTDIR": str(destination),
        "INSTALL_VENV": "no",
        **variables,
    }
    return subprocess.run(
        [str(SCRIPT), what], env=environ, capture_output=True, text=True, check=False
    )


def list_files(root: Path) -> set[str]:
    """Return what an installation has made, without the folders."""
    found = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(root).as_posix() for path in found}


def test_everything_is_put_where_systemd_looks(tmp_path: Path) -> None:
    """Units, user, directories, command and a first configuration are installed."""
    result = run_script("install", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert list_files(tmp_path) == {
        *(f"{UNIT_DIR}/{unit}" for unit in UNITS),
        "usr/local/lib/sysusers.d/llm-proxy.conf",
        "usr/local/lib/tmpfiles.d/llm-proxy.conf",
        "usr/local/bin/llm-proxy",
        "etc/llm-proxy/config.yaml",
        "etc/llm-proxy/.env",
        "etc/llm-proxy/environment.example",
    }
    config = tmp_path / "etc" / "llm-proxy"
    modes = [path.stat().st_mode & 0o777 for path in (config, config / "config.yaml")]
    assert modes == [0o750, 0o640]
    assert "systemctl enable --now llm-proxy" in result.stdout


def test_an_upgrade_leaves_the_configuration_alone(tmp_path: Path) -> None:
    """A second installation renews the units and keeps every edit of the configuration."""
    run_script("install", tmp_path)
    edited, unit = tmp_path / "etc/llm-proxy/config.yaml", tmp_path / UNIT_DIR / UNITS[0]
    edited.write_text("mine: true\n")
    unit.write_text("old\n")
    assert run_script("install", tmp_path).returncode == 0
    assert edited.read_text() == "mine: true\n"
    assert unit.read_text() == (ROOT / "systemd-services" / UNITS[0]).read_text()


def test_another_prefix_is_in_force_everywhere(tmp_path: Path) -> None:
    """Units and command name the chosen prefix, and no file the default one."""
    run_script("install", tmp_path, PREFIX="/srv/proxy")
    unit = (tmp_path / UNIT_DIR / "llm-proxy.service").read_text()
    assert "\nExecStart=/srv/proxy/bin/llm-proxy serve " in unit
    assert "/opt/llm-proxy" not in unit
    assert (tmp_path / "usr/local/bin/llm-proxy").readlink() == Path("/srv/proxy/bin/llm-proxy")


def test_what_is_removed_and_what_is_kept(tmp_path: Path) -> None:
    """Uninstalling removes all but the configuration and the state, and says so."""
    run_script("install", tmp_path)
    release = tmp_path / "opt/llm-proxy/releases/1/bin"
    release.mkdir(parents=True)
    (release.parents[2] / "bin").symlink_to("releases/1/bin")
    state = tmp_path / "var/lib/llm-proxy/secret.key"
    state.parent.mkdir(parents=True)
    state.touch()
    result = run_script("uninstall", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert {name.rpartition("/")[0] for name in list_files(tmp_path)} == {
        "etc/llm-proxy",
        "var/lib/llm-proxy",
    }
    assert not (tmp_path / "opt/llm-proxy").exists()
    assert "/etc/llm-proxy, /var/lib/llm-proxy" in result.stdout


@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_a_strangers_directory_is_not_touched(tmp_path: Path, what: str) -> None:
    """A prefix that holds something else is refused, and stays as it is."""
    theirs = tmp_path / "usr" / "releases" / "1"
    theirs.mkdir(parents=True)
    result = run_script(what, tmp_path, PREFIX="/usr")
    assert result.returncode == 1
    assert "holds something else" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["usr", "releases", "1"]


@pytest.mark.parametrize("prefix", ["relative", "/", "/opt/a b", "/opt/x/", "/a|b", "/a;b"])
def test_a_strange_prefix_is_refused(tmp_path: Path, prefix: str) -> None:
    """A prefix that is no plain absolute path is refused before anything is made."""
    result = run_script("install", tmp_path, PREFIX=prefix)
    assert result.returncode == 1
    assert "PREFIX=" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_rights_it_says_what_to_do() -> None:
    """Whoever is not root and names no other root is told both ways out."""
    # pytest's own directories are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "install.sh"
        copied.write_bytes(SCRIPT.read_bytes())
        Path(folder).chmod(0o755)
        result = subprocess.run(
            ["bash", str(copied), "install"],
            env={"PATH": os.environ["PATH"]},
            user=NOBODY if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert "'sudo make install'" in result.stderr
    assert "DESTDIR" in result.stderr


def test_a_python_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """A program that is no Python of 3.11 or newer is refused with the way to get one."""
    result = run_script("install", tmp_path, INSTALL_VENV="yes", PYTHON="/bin/false")
    assert result.returncode == 1
    assert "'/bin/false' is not Python 3.11" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failed_installation_changes_nothing(tmp_path: Path) -> None:
    """If the program cannot be installed, the release before it stays, and nothing is left over."""
    broken = tmp_path / "python"
    broken.write_text('#!/bin/sh\n[ "$1" = -c ] && exec python3 "$@"\nexit 1\n')
    broken.chmod(0o755)
    root = tmp_path / "root"
    before = root / "opt/llm-proxy/releases/1/bin"
    before.mkdir(parents=True)
    (root / "opt/llm-proxy/bin").symlink_to("releases/1/bin")
    result = run_script("install", root, INSTALL_VENV="yes", PYTHON=str(broken))
    assert result.returncode != 0
    assert [path.name for path in (root / "opt/llm-proxy/releases").iterdir()] == ["1"]
    assert list_files(root) == {"opt/llm-proxy/bin"}


def test_make_knows_both(tmp_path: Path) -> None:
    """`make install` and `make uninstall` run the script with what they are told."""
    for what, said in (("install", "Installed into"), ("uninstall", "Removed")):
        result = subprocess.run(
            ["make", what, f"DESTDIR={tmp_path}", "PREFIX=/srv/proxy"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "INSTALL_VENV": "no"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert f"{said} {tmp_path}/srv/proxy" in result.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean() -> None:
    """shellcheck finds nothing in the script."""
    result = subprocess.run(
        ["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
