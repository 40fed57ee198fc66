"""The commands, run as a person runs them: what they print, where, and how they exit."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.version import __version__
from tests.end_to_end.served import (
    KEY,
    PROVIDER_KEY,
    ServedProxy,
    build_config,
    running,
    write_config,
)
from tests.promises.tree import ROOT

BROKEN = f"""\
host: 127.0.0.1
port: eighty
api_keys:
  - "{KEY}"
api_key_haeder: X-Key
providers:
  - name: a
    type: opnai
  - name: b
    type: openai
    api_key: {PROVIDER_KEY}
    priority: first
"""
LOAD_NOTHING = """
import sys
import proxy.cli.main
print(*{name.partition(".")[0] for name in sys.modules})
"""


def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Return (exit status, standard output, standard error) of a command that ends by itself."""
    with running(*arguments, cwd=folder, variables=variables) as program:
        status = program.wait()
        return status, "\n".join(program.lines), program.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    """`--version` prints the version and nothing else."""
    assert run(tmp_path, "--version") == (0, __version__, "")


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_help_names_every_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Help is shown where it is asked for, and where nothing is asked for."""
    status, out, err = run(tmp_path, *arguments)
    assert status == (0 if arguments else 2)
    for command in ("serve", "check", "simulate"):
        assert re.search(rf"^  {command} ", out + err, re.MULTILINE)


def test_the_command_line_itself_is_light() -> None:
    """Until a command runs, neither the server nor what reads configurations is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_NOTHING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"aiohttp", "pydantic", "yaml", "prometheus_client", "uvloop", "structlog"}
    assert heavy & set(done.stdout.split()) == set()


def test_check_accepts_the_packaged_configuration(tmp_path: Path) -> None:
    """Without any file the packaged copy is checked: valid, with what is served and what not."""
    status, out, err = run(tmp_path, "check")
    assert (status, err) == (0, "")
    assert "the packaged configuration is valid." in out
    assert "providers: simulator" in out
    assert "disabled: openai" in out
    assert "models: sim-echo, sim-story, sim-tools, sim-embed" in out


@pytest.mark.parametrize("how", ["argument", "option", "variable", "found"])
def test_check_finds_the_file(tmp_path: Path, how: str) -> None:
    """The file may be an argument, an option, a variable, or lie where one works."""
    path = write_config(tmp_path, build_config())
    arguments = {"argument": [str(path)], "option": ["--config", str(path)]}.get(how, [])
    variables = {"PROXY_API_CONFIG": str(path)} if how == "variable" else {}
    folder = tmp_path if how == "found" else ROOT / "proxy"
    status, out, _ = run(folder, "check", *arguments, **variables)
    assert status == 0
    assert f"{'config.yaml' if how == 'found' else path} is valid." in out


def test_check_warns(tmp_path: Path) -> None:
    """What is doubtful and what is not in force yet is said, and the file is valid all the same."""
    config = build_config(api_keys=["your-api-key-here"], web_ui=True)
    status, out, err = run(tmp_path, "check", str(write_config(tmp_path, config)))
    assert (status, err) == (0, "")
    assert re.search(r"^warning: .*config\.yaml:\d+:\d+: api_keys: .*placeholder", out, re.M)
    assert re.search(r"^not yet in force: web_ui", out, re.M)


@pytest.mark.parametrize("command", ["check", "serve"])
def test_every_problem_is_told_at_once(tmp_path: Path, command: str) -> None:
    """A broken file ends with 2 and each problem on a line of its own, with place and mend."""
    path = tmp_path / "config.yaml"
    path.write_text(BROKEN)
    status, out, err = run(tmp_path, command, "--config", str(path))
    assert (status, out) == (2, "")
    lines = err.splitlines()
    for line, words in ((2, "port"), (5, "api_key_header"), (8, "openai"), (12, "priority")):
        assert [text for text in lines if text.startswith(f"{path}:{line}:") and words in text]
    assert len(lines) == 4
    assert "Traceback" not in err
    assert KEY not in err
    assert PROVIDER_KEY not in err


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_missing_file_is_told(tmp_path: Path, command: str) -> None:
    """A file that does not exist is named, and no other one is taken instead."""
    status, out, err = run(tmp_path, command, "--config", "nowhere.yaml")
    assert (status, out) == (2, "")
    assert err == (
        "nowhere.yaml: there is no such configuration file: create it, or correct the path"
    )


def test_a_bad_variable_is_told(tmp_path: Path) -> None:
    """A problem of the environment names its variable."""
    status, _, err = run(tmp_path, "check", PROXY_API_PORT="80000")
    assert status == 2
    assert "PROXY_API_PORT" in err


@pytest.mark.parametrize("command", ["serve", "simulate"])
def test_a_port_in_use_is_told(tmp_path: Path, command: str) -> None:
    """An address that is taken ends with 2 and one line that names it: no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = run(tmp_path, command, "--port", str(port))
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "127.0.0.1" in err
    assert str(port) in err
    assert "address already in use" in err.lower()
    assert '"serving"' not in out


def test_a_state_directory_that_is_none_is_told(tmp_path: Path) -> None:
    """A file where the state directory should be is named, with the option that helps."""
    path = tmp_path / "state"
    path.touch()
    status, _, err = run(tmp_path, "serve", "--port", "0", "--state-dir", str(path))
    assert status == 2
    assert str(path) in err
    assert "--state-dir" in err
    assert "Traceback" not in err


def test_a_log_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A log file inside of something that is no directory is named."""
    (tmp_path / "file").touch()
    config = build_config(log_file=str(tmp_path / "file" / "proxy.log"))
    status, _, err = run(tmp_path, "serve", "--config", str(write_config(tmp_path, config)))
    assert status == 2
    assert "log file" in err
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def read_serving_line(lines: list[str]) -> Any:
    """Return the log line that says where the server listens."""
    return next(json.loads(line) for line in lines if '"serving"' in line)


def test_port_0_takes_a_free_one_and_tells_it(tmp_path: Path) -> None:
    """`serve --port 0` listens on a port of the system's choice, and the log has the real one."""
    with running("serve", "--port", "0", cwd=tmp_path) as program:
        line = read_serving_line([program.wait_for_line(lambda text: '"serving"' in text)])
        port = int(line["addresses"].removeprefix("http://127.0.0.1:"))
        program.wait_for_answer(port, "/health/readiness")
        assert program.stop() == 0
    assert (line["config"], line["version"]) == ("packaged", __version__)


def test_state_lies_beside_the_configuration(tmp_path: Path, loopback_port: int) -> None:
    """Without `--state-dir` it is `.state` beside the file, which only its owner can enter."""
    folder = tmp_path / "conf"
    folder.mkdir()
    path = write_config(folder, build_config(port=loopback_port))
    with running("serve", "--config", str(path), cwd=tmp_path) as program:
        program.wait_for_answer(loopback_port, "/health/readiness")
        assert program.stop() == 0
    assert (folder / ".state").is_dir()
    assert (folder / ".state").stat().st_mode & 0o077 == 0


def test_the_log_may_go_to_a_file(tmp_path: Path, loopback_port: int) -> None:
    """With `log_file` the lines are there, and standard output stays empty."""
    log = tmp_path / "logs" / "proxy.log"
    path = write_config(tmp_path, build_config(log_file=str(log), port=loopback_port))
    with running("serve", "--config", str(path), cwd=tmp_path) as program:
        served = ServedProxy(
            program, loopback_port, program.wait_for_answer(loopback_port, "/health")
        )
        while '"serving"' not in log.read_text():  # a worker may answer before it is said
            os.sched_yield()
        served.check_end(program.stop())
        assert program.output == ""
    assert read_serving_line(log.read_text().splitlines())["addresses"] == served.url


def test_simulate_says_where_it_is(tmp_path: Path, loopback_port: int) -> None:
    """`simulate` prints its base URL, answers, and ends with 0 on Ctrl-C."""
    with running("simulate", "--port", str(loopback_port), cwd=tmp_path) as program:
        program.wait_for_line(lambda line: f"http://127.0.0.1:{loopback_port}/v1" in line)
        program.wait_for_answer(loopback_port, "/v1/models")
        program.signal(signal.SIGINT)
        assert program.wait() == 0
        assert program.stderr == ""
