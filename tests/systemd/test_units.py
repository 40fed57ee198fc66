"""The unit files: valid, sandboxed, argued, and in agreement with the program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.config import sources
from proxy.config.master_secret import CREDENTIAL_NAME
from proxy.control.handover import BACKLOG
from proxy.domain.settings import InstallSettings
from tests.promises.tree import listed
from tests.systemd.units import SERVICES, UNIT_DIR, UNITS, read_settings, read_values

EXPOSURE = "12"
"""The most that is allowed, in tenths: 1.2 of 10."""
TIDY_UP_S = 30

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_analyze
def test_systemd_takes_every_unit_without_a_warning(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about any unit, its programs being there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("llm-proxy", "llm-health-worker"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for unit in UNITS:
        text = (UNIT_DIR / unit).read_text().replace("/opt/llm-proxy/bin", str(programs))
        (tmp_path / unit).write_text(text)
    found = analyze("verify", *(str(tmp_path / unit) for unit in UNITS))
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@needs_analyze
@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_exposed_no_more_than_it_has_to_be(unit: str) -> None:
    """The exposure that `systemd-analyze security` finds is 1.2 or below."""
    path = str(UNIT_DIR / unit)
    found = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", path)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_every_setting_is_argued(unit: str) -> None:
    """Each setting, or the group that it belongs to, has a comment above it."""
    settings = read_settings(UNIT_DIR / unit)
    assert len(settings) > 5
    bare = [f"{unit}:{s.line}: {s.name}={s.value}" for s in settings if not s.is_argued]
    assert not bare, listed(bare)


def test_the_time_to_stop_covers_the_drain() -> None:
    """systemd waits for as long as requests may go on by default, and 30 s to tidy up."""
    drain_s = InstallSettings().drain_timeout_s
    assert read_values("llm-proxy.service", "TimeoutStopSec") == [f"{drain_s + TIDY_UP_S:.0f}"]


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_works_where_the_program_looks(unit: str) -> None:
    """Configuration and state are where commands look for the installed service."""
    (command,) = read_values(unit, "ExecStart")
    assert command.endswith(f"--config {sources.SYSTEM_PATH}")
    assert read_values(unit, "StateDirectory") == [sources.SYSTEM_STATE_DIR.name]
    assert str(sources.SYSTEM_STATE_DIR.parent) == "/var/lib"
    (environment,) = read_values(unit, "EnvironmentFile")
    assert environment == f"-{sources.SYSTEM_PATH.parent}/environment"


def test_commands_find_the_running_service() -> None:
    """The control socket's directory is where commands look; a reload names the same file."""
    found = [f"/run/{name}" for name in read_values("llm-proxy.service", "RuntimeDirectory")]
    assert found == [str(sources.SYSTEM_RUNTIME_DIR)]
    (command,) = read_values("llm-proxy.service", "ExecReload")
    assert command.endswith(f"reload --config {sources.SYSTEM_PATH}")


def test_the_socket_is_the_default_address() -> None:
    """systemd listens where the program would by default, with its backlog."""
    ((host, port),) = InstallSettings().listen
    assert read_values("llm-proxy.socket", "ListenStream") == [f"{host}:{port}"]
    assert read_values("llm-proxy.socket", "Backlog") == [str(BACKLOG)]


def test_the_optional_credential_has_the_name_that_is_read() -> None:
    """The line to enable for a master secret names the credential that the program looks for."""
    text = (UNIT_DIR / "llm-proxy.service").read_text()
    assert f"\n#LoadCredentialEncrypted={CREDENTIAL_NAME}:" in text


def test_both_services_have_one_sandbox() -> None:
    """The health worker is held by exactly the restrictions that are argued for the service."""
    sandboxes = []
    for unit in SERVICES:
        settings = read_settings(UNIT_DIR / unit)
        first = next(n for n, s in enumerate(settings) if s.name == "CapabilityBoundingSet")
        held = [(s.name, s.value) for s in settings[first:] if s.section == "Service"]
        sandboxes.append(held)
    assert len(sandboxes[0]) > 25
    assert sandboxes[0] == sandboxes[1]


@needs_analyze
def test_user_and_directories_are_taken_by_systemd(tmp_path: Path) -> None:
    """systemd makes the user, then the directory with its group, in an empty root."""
    if any(shutil.which(f"systemd-{tool}") is None for tool in ("sysusers", "tmpfiles")):
        pytest.skip("systemd-sysusers or systemd-tmpfiles is not installed")
    (tmp_path / "etc").mkdir()
    root = f"--root={tmp_path}"
    users = run("systemd-sysusers", root, str(UNIT_DIR / "llm-proxy.sysusers"))
    assert users.returncode == 0, users.stderr
    assert "\nllm-proxy:" in "\n" + (tmp_path / "etc" / "passwd").read_text()
    files = run("systemd-tmpfiles", "--create", root, str(UNIT_DIR / "llm-proxy.tmpfiles"))
    assert files.returncode == 0, files.stderr
    assert (tmp_path / "etc" / "llm-proxy").stat().st_mode & 0o7777 == 0o2750


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze, and return what it had to say."""
    return run("systemd-analyze", *arguments)


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of systemd's to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)
