"""
The real program in processes of its own: `python -m proxy serve`, and `simulate` behind it.

Here is how they are started, watched and stopped, and the configuration that the end-to-end
tests serve. Nothing here asks as a client does; conftest.py makes fixtures of it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp

from tests import canaries
from tests.fakes.ports import find_port
from tests.promises.tree import ROOT

KEY = canaries.CLIENT_KEY
ADMIN_KEY = canaries.ADMIN_KEY
PROVIDER_KEY = canaries.PROVIDER_KEY
WRONG_KEY = canaries.WRONG_KEY
PROMPT = canaries.PROMPT

ORIGIN = "https://app.example"
KEY_HEADER = "X-House-Key"
MAX_BODY_BYTES = 1_000_000
MODELS = ["sim-echo", "sim-story", "sim-tools", "sim-embed"]
START_PROMISE_S = 1.0
LEAVE_PROMISE_S = 0.1
SLACK = 10
"""Promised delays are asserted at ten times their value: tests run on busy machines."""

_WITHIN_S = 20.0
_LOOK_S = 0.005
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")

Line = dict[str, Any]


class Program:
    """One started `python -m proxy ...` (or `module`) and every line that it has printed so far."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        variables: Mapping[str, str] | None = None,
        module: str = "proxy",
    ):
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self.started_s = time.monotonic()
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            # Whatever would be warned of appears on standard error, which must stay empty.
            env={**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._news = threading.Condition()
        self._open_streams = 2
        self.lines: list[str] = []
        self._errors: list[str] = []
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self._popen.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self._popen.stderr, self._errors)),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._popen.pid

    @property
    def stderr(self) -> str:
        """Everything on standard error so far."""
        return "\n".join(self._errors)

    @property
    def output(self) -> str:
        """Everything printed so far, on both streams."""
        return "\n".join([*self.lines, *self._errors])

    def wait_for_line(self, wanted: Callable[[str], bool], since: int = 0) -> str:
        """Return the first line from number `since` on that is wanted, as soon as it is there."""
        deadline_s, seen = time.monotonic() + _WITHIN_S, since
        with self._news:
            while True:
                while seen < len(self.lines):
                    seen += 1
                    if wanted(self.lines[seen - 1]):
                        return self.lines[seen - 1]
                left_s = deadline_s - time.monotonic()
                assert left_s > 0 and self._open_streams, f"no such line:\n{self.output}"
                self._news.wait(left_s)

    def wait_for_answer(self, port: int, path: str) -> float:
        """Return the seconds from the start until `path` is answered with 200."""
        deadline_s = self.started_s + _WITHIN_S
        while time.monotonic() < deadline_s:
            if _answers_200(port, path):
                return time.monotonic() - self.started_s
            try:
                # What is waited for is the one thing that would make it useless to go on.
                self._popen.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"{path} was not answered with 200:\n{self.output}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def wait(self, within_s: float = 60.0) -> int:
        """Wait for the program's own end, until all of its output is here; return its status."""
        status = self._popen.wait(within_s)
        for reader in self._readers:
            reader.join()
        return status

    def stop(self) -> int:
        """Ask the program to end and return its exit status."""
        if self._popen.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the program at once if it still runs, and take in what it has printed."""
        if self._popen.poll() is None:
            self._popen.kill()
        self.wait()

    def _read(self, stream: IO[bytes], into: list[str]) -> None:
        with stream:
            for line in stream:
                canaries.WATCH.see("the output of a child process", line)
                with self._news:
                    into.append(line.decode().rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()


class ServedProxy:
    """A proxy that serves: where it is, and its log."""

    def __init__(self, program: Program, port: int, start_s: float):
        self.program = program
        self.port = port
        self.start_s = start_s
        """Seconds from the start of the process to its first 200."""

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def mark(self) -> int:
        """How many lines there are by now: `since` for what is yet to come."""
        return len(self.program.lines)

    def wait_for_request(self, since: int = 0, **fields: Any) -> Line:
        """Return the first request line with these fields, as soon as it is written."""

        def is_wanted(text: str) -> bool:
            line = json.loads(text)
            is_request = line["logger"] == "llm_proxy.requests"
            return is_request and all(line[name] == value for name, value in fields.items())

        found: Line = json.loads(self.program.wait_for_line(is_wanted, since))
        return found

    def request_lines(self) -> list[Line]:
        """Return every request line so far."""
        lines = [json.loads(line) for line in list(self.program.lines)]
        return [line for line in lines if line["logger"] == "llm_proxy.requests"]

    def check_end(self, status: int) -> None:
        """Hold the ended program to what it owes: success, JSON lines, and no secret."""
        assert status == 0, self.program.output
        assert self.program.stderr == ""
        for line in self.program.lines:
            assert isinstance(json.loads(line), dict), line
        check_silence(self.program)


class ServedSimulator:
    """`llm-proxy simulate`, with its ledger."""

    def __init__(self, program: Program, port: int):
        self.program = program
        self.port = port

    async def read_ledger(self, ended: int = 0) -> list[Any]:
        """Return the ledger's entries, once `ended` requests have ended or 10 s are over."""
        query = f"?ended={ended}&within_ms=10000"
        async with self._session() as session, session.get("/ledger" + query) as answer:
            entries: list[Any] = (await answer.json())["entries"]
            return entries

    async def clear_ledger(self) -> None:
        """Forget what was asked so far."""
        async with self._session() as session, session.delete("/ledger") as answer:
            assert answer.status == 204

    async def wait_for_request(self, count: int = 1) -> None:
        """Return when `count` requests have begun to arrive."""
        while len(await self.read_ledger()) < count:
            continue

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {PROVIDER_KEY}"}
        base = f"http://127.0.0.1:{self.port}"
        async with aiohttp.ClientSession(base, headers=headers) as session:
            yield session


def check_silence(program: Program) -> None:
    """Fail if a key or a prompt of the tests is in any output of the program."""
    told = [secret for secret in canaries.SECRETS if secret in program.output]
    assert told == [], "the output holds what must never be logged"


def build_config(simulator_port: int | None = None, **changes: Any) -> dict[str, Any]:
    """
    Return a configuration with the simulator in process, and one over HTTP if it has a port.

    Clients ask for `simulator/sim-echo` or `local/sim-echo`, and so on. `hasty` is `local`
    with short clocks, `locked` is `local` with a key that it does not take.
    """
    providers: list[Any] = [{"name": "simulator", "type": "simulator", "models": MODELS}]
    routes = []
    if simulator_port is not None:
        local = {
            "type": "openai_compatible",
            "base_url": f"http://127.0.0.1:{simulator_port}",
            "api_key": PROVIDER_KEY,
            "models": MODELS,
            "max_retries": 0,
        }
        hasty = {"headers_s": 0.3, "first_token_s": 0.3, "idle_s": 0.3, "answer_s": 0.3}
        providers += [
            {"name": "local", "priority": 2, **local},
            {"name": "hasty", "priority": 3, **local, "clocks": hasty},
            {"name": "locked", "priority": 4, **local, "api_key": WRONG_KEY},
        ]
        routes = [{"alias": "team/fast", "targets": [{"provider": "local", "model": "sim-echo"}]}]
    return {
        "host": "127.0.0.1",
        "api_keys": [KEY],
        "api_key_header": KEY_HEADER,
        "cors_origins": [ORIGIN],
        "max_body_bytes": MAX_BODY_BYTES,
        # Tests that count what providers are asked count no checks; those of checks say so.
        "health_worker": {"enabled": False},
        "providers": providers,
        "routes": routes,
        **changes,
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    """Write a configuration into a folder; JSON is YAML."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=2))
    return path


@contextmanager
def running(
    *arguments: str,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    module: str = "proxy",
) -> Iterator[Program]:
    """Run `python -m proxy` with these arguments; it is killed if it still runs at the end."""
    program = Program(*arguments, cwd=cwd, variables=variables, module=module)
    try:
        yield program
    finally:
        program.kill()


@contextmanager
def serving(
    folder: Path,
    config: Mapping[str, Any],
    *,
    ready_path: str = "/health/readiness",
    variables: Mapping[str, str] | None = None,
) -> Iterator[ServedProxy]:
    """Serve a configuration out of a folder, and hold the process to a good end."""
    with starting(folder, config, ready_path=ready_path, variables=variables) as served:
        yield served
        served.check_end(served.program.stop())


@contextmanager
def starting(
    folder: Path,
    config: Mapping[str, Any],
    *,
    ready_path: str = "/health/readiness",
    variables: Mapping[str, str] | None = None,
) -> Iterator[ServedProxy]:
    """Serve a configuration out of a folder; how it ends is the caller's to judge."""
    path, port = write_config(folder, config), find_port()
    arguments = ("serve", "--config", str(path), "--port", str(port))
    state = ("--state-dir", str(folder / "state"))
    with running(*arguments, *state, cwd=folder, variables=variables) as program:
        yield ServedProxy(program, port, program.wait_for_answer(port, ready_path))


@contextmanager
def simulating(folder: Path) -> Iterator[ServedSimulator]:
    """Run `simulate`, which asks for PROVIDER_KEY, and hold the process to a good end."""
    port = find_port()
    arguments = ("simulate", "--port", str(port), "--api-key", PROVIDER_KEY)
    with running(*arguments, cwd=folder) as program:
        program.wait_for_answer(port, "/health")
        yield ServedSimulator(program, port)
        assert program.stop() == 0
        assert program.stderr == ""
        check_silence(program)


def _answers_200(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            return connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
