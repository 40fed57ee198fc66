"""The watch finds a canary on every way out of the product, and fails the test it flew in."""

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.metrics import Metrics
from tests.canaries import (
    ADMIN_KEY,
    CLIENT_KEY,
    PROMPT,
    PROVIDER_KEY,
    WATCH,
    WRONG_KEY,
    planting,
)
from tests.fakes.proxy_server import build_provider, build_snapshot
from tests.promises.tree import ROOT

SESSION = f'''
"""A session of its own: each test has a canary fly by another way."""
import warnings
from pathlib import Path
import pytest

CANARY = {CLIENT_KEY!r}

def test_that_is_quiet():
    pass

def test_that_prints():
    print(CANARY)

@pytest.mark.filterwarnings("default")
def test_that_warns():
    warnings.warn(CANARY)

def test_that_leaves_a_file(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "spool").write_text("key " + CANARY)
    (tmp_path / "config.yaml").write_text(CANARY)

def test_that_shows_it_by_failing():
    assert CANARY == ""
'''


@pytest.mark.parametrize("canary", [CLIENT_KEY, ADMIN_KEY, PROVIDER_KEY, WRONG_KEY, PROMPT])
def test_every_canary_is_found_in_a_log_line(canary: str) -> None:
    """A log line that holds any of the canaries is a finding that names the test."""
    writer = LogWriter(os.open(os.devnull, os.O_WRONLY))
    with planting() as found:
        writer.write(b'{"message":"' + canary.encode() + b'"}\n')
        writer.write(b"nothing\n")
    writer.close()
    assert len(found) == 1
    assert "in a log line, during tests/test_canaries.py::test_every_canary" in found[0]


def test_a_key_that_was_cut_is_found() -> None:
    """Either half of a key is as good as the key."""
    with planting() as found:
        WATCH.see("halves", CLIENT_KEY[: len(CLIENT_KEY) // 2])
        WATCH.see("halves", CLIENT_KEY[len(CLIENT_KEY) // 2 :])
    assert len(found) == 2


def test_records_of_logging_are_seen() -> None:
    """A message with its arguments, and the exception behind an exception, are looked at."""
    log = logging.getLogger("somebody's library")
    with planting() as found:
        log.warning("the key is %s", PROVIDER_KEY)
        try:
            try:
                raise ValueError(PROMPT)
            except ValueError as error:
                raise RuntimeError("unheard of") from error
        except RuntimeError:
            log.exception("it failed")
    assert ["a key" in found[0], "a prompt" in found[1]] == [True, True]


def test_extra_fields_of_records_are_seen() -> None:
    """A line of the log is made of them too, whatever is configured while a test runs."""
    with planting() as found:
        logging.getLogger("llm_proxy.pipeline").error("it failed", extra={"detail": [CLIENT_KEY]})
        logging.getLogger("llm_proxy.pipeline").error("it failed", extra={"status_code": 500})
    assert len(found) == 1
    assert "a key in an extra field of the logger llm_proxy.pipeline" in found[0]


def test_metrics_are_seen() -> None:
    """A label that holds a key is found when metrics are rendered."""
    with tempfile.TemporaryDirectory() as folder, planting() as found:
        metrics = Metrics(Path(folder), endpoints=("/chat/completions",))
        metrics.apply_snapshot(build_snapshot(build_provider("http://a.test", name=WRONG_KEY)))
        metrics.render()
        metrics.close()
    assert found
    assert "a key in the metrics" in found[0]


def test_files_are_seen() -> None:
    """A file at any depth is looked into, a configuration that a test wrote is not."""
    with tempfile.TemporaryDirectory() as folder, planting() as found:
        (Path(folder) / "config.yaml").write_text(CLIENT_KEY)
        deep = Path(folder) / "state" / "run"
        deep.mkdir(parents=True)
        (deep / "log").write_text(CLIENT_KEY)
        WATCH.see_files(Path(folder))
    assert len(found) == 1
    assert "the file state/run/log" in found[0]


def test_output_of_child_processes_is_seen() -> None:
    """Both streams of a child process are looked at."""
    script = "import sys; print(sys.argv[1]); print(sys.argv[1], file=sys.stderr)"
    with planting() as found:
        subprocess.run(
            [sys.executable, "-c", script, ADMIN_KEY], capture_output=True, check=True, timeout=60
        )
    assert ["the output" in found[0], "the error output" in found[1]] == [True, True]


@pytest.mark.parametrize(
    ("status", "headers", "body", "is_found"),
    [
        (200, {}, "You said: " + PROMPT, False),
        (200, {}, "Your key: " + PROVIDER_KEY, True),
        (200, {"x-said": PROMPT}, "", True),
        (200, {"x-key": CLIENT_KEY}, "", True),
        (400, {}, "You said: " + PROMPT, True),
        (200, {}, f'data: {{"error":{{"message":"{PROMPT}"}}}}\n\n', True),
    ],
)
async def test_answers_to_clients_are_seen(
    status: int, headers: dict[str, str], body: str, is_found: bool
) -> None:
    """Keys are found anywhere in an answer; prompts in headers and errors, not in successes."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    with planting() as found:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}"):
            pass
    await runner.cleanup()
    assert bool(found) == is_found


async def test_what_a_client_writes_is_its_own_business() -> None:
    """Keys and prompts go to servers: only what servers write back is looked at."""
    with planting() as found:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(CLIENT_KEY.encode() + PROMPT.encode())
        writer.close()
        server.close()
    assert found == []


@pytest.mark.timeout(180)  # it runs sessions of their own
@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_canary_fails_its_test_or_the_session(processes: str) -> None:
    """Tests that print one fail; a warning or a file with one fails the session, by name."""
    # Not below this session's own temporary directory, whose files are looked at too.
    with tempfile.TemporaryDirectory() as name, planting():
        folder = Path(name)
        (folder / "conftest.py").write_text("from tests.conftest import *\n")
        (folder / "test_session.py").write_text(SESSION)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA",
             "-n", processes, "--basetemp", str(folder / "base"), str(folder)],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, check=False, timeout=150,
        )  # fmt: skip
    told = done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, told
    assert "PASSED test_session.py::test_that_is_quiet" in told
    assert "FAILED test_session.py::test_that_prints" in told
    assert "a key in Captured stdout call, during test_session.py::test_that_prints" in told
    assert told.count("a key in a warning (runtest), during test_session.py::test_that_warns") == 1
    assert told.count("test_that_leaves_a_file0/state/spool, during the whole session") == 1
    assert told.count("a key in the file") == 1
