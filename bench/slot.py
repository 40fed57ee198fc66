"""One system's turn: set up, started, checked, loaded row by row, stopped."""

import http.client
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.cores import Cores, pinned_to
from bench.load import LoadFailed
from bench.process import StartedProcess, read_rss_bytes
from bench.reload import NAME as RELOAD
from bench.reload import LargeProxy, measure_reloads
from bench.results import RowResult, SlotResult
from bench.retries import NAME as RETRIES
from bench.retries import FlakyProxy, measure_retries
from bench.rows import Row, Target, measure_row
from bench.systems import CHAT_PATH, CONFIG_NAME, MODEL, ROOT, Ground, Launch, Proxy, System
from bench.toolchain import Tools

POLL_S = 0.002
MOCK_READY_WITHIN_S = 5.0
BESIDE_READY_WITHIN_S = 10.0
ANSWER_WITHIN_S = 30.0
BETWEEN_ROWS_S = 0.2


class SystemFailed(Exception):
    """A system did not start or gave a wrong answer; `log_tail` is what it printed last."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        """Keep the log's end apart: it may hold paths and does not go into a report."""
        super().__init__(message)
        self.log_tail = log_tail


class Running(NamedTuple):
    """A system that is up, and what it has taken to get there."""

    launch: Launch
    measured: StartedProcess
    folder: Path
    start_s: float
    target: Target


def try_out(system: System, tools: Tools, cores: Cores) -> None:
    """Start a system once and check that it answers; also fills the caches of the disk."""
    with _running(system, tools, cores):
        return


def run_slot(
    system: System,
    round_number: int,
    rows: Sequence[Row],
    tools: Tools,
    cores: Cores,
    on_row: Callable[[RowResult], None],
) -> SlotResult:
    """Measure all rows of one system; a failure ends the slot and is kept in the result."""
    figures: dict[str, float] = {}
    done: list[RowResult] = []
    failure: str | None = None

    def keep(result: RowResult) -> None:
        done.append(result)
        on_row(result)

    try:
        with _running(system, tools, cores) as up:
            figures.update(_measure_start(up))
            for row in rows:
                if row.name not in (RELOAD, RETRIES):
                    keep(measure_row(row, up.target, up.measured, tools))
                    _check_alive(up.measured, row)
                    time.sleep(BETWEEN_ROWS_S)
        if isinstance(system, Proxy) and system.has_special_rows:
            for row in rows:
                for result in _measure_special(row, system, tools, cores):
                    keep(result)
    except (SystemFailed, LoadFailed) as error:
        failure = str(error)
    return SlotResult(system.name, round_number, figures, tuple(done), failure)


def _measure_special(row: Row, system: Proxy, tools: Tools, cores: Cores) -> Iterator[RowResult]:
    """Measure a row that has a start of its own; nothing if this one has none."""
    if row.name == RELOAD:
        with _running(LargeProxy(system.command), tools, cores) as up:
            config_file = up.folder / CONFIG_NAME
            yield measure_reloads(row, up.target, up.measured, config_file, tools)
            _check_alive(up.measured, row)
    elif row.name == RETRIES:
        with _running(FlakyProxy(system.command), tools, cores) as up:
            yield measure_retries(row, up.target)
            _check_alive(up.measured, row)


def _measure_start(up: Running) -> dict[str, float]:
    if up.launch.argv is None:
        return {}
    figures = {
        "start_s": up.start_s,
        "rss_idle_mb": read_rss_bytes(up.target.serving_pids) / 1e6,
    }
    if up.launch.is_supervised:
        figures["rss_supervisor_mb"] = read_rss_bytes([up.measured.pid]) / 1e6
    return figures


def _check_alive(measured: StartedProcess, row: Row) -> None:
    if measured.exit_status is not None:
        raise SystemFailed(
            f"ended with status {measured.exit_status} during row {row.name}",
            measured.read_log_tail(),
        )


@contextmanager
def _running(system: System, tools: Tools, cores: Cores) -> Iterator[Running]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-proxy-bench-")))
        ground = Ground(find_free_port(), find_free_port(), folder, find_free_port())
        mock = stack.enter_context(
            StartedProcess(
                [str(tools.mock), str(ground.mock_port)],
                log_file=folder / "mock.log",
                core=cores.tools,
                cwd=folder,
            )
        )
        _wait_until_ready(mock, ground.mock_port, "/v1/models", MOCK_READY_WITHIN_S)
        launch = system.build_launch(ground)
        tool_pids = [os.getpid(), *mock.find_pids()]
        if launch.beside:
            beside = stack.enter_context(
                StartedProcess(
                    launch.beside, log_file=folder / "beside.log", core=cores.tools, cwd=ROOT
                )
            )
            _wait_until_open(beside, ground.beside_port, BESIDE_READY_WITHIN_S)
            tool_pids += beside.find_pids()
        measured = mock
        if launch.argv is not None:
            measured = stack.enter_context(
                StartedProcess(
                    launch.argv,
                    log_file=folder / "system.log",
                    core=cores.system,
                    cwd=ROOT,
                    variables=launch.variables,
                )
            )
        with pinned_to(cores.tools):
            _wait_until_ready(measured, launch.port, launch.ready_path, launch.ready_within_s)
            _check_answer(launch, measured, is_stream=False)
            start_s = time.monotonic() - measured.started_monotonic_s
            _check_answer(launch, measured, is_stream=True)
        serving = measured.find_children() if launch.is_supervised else measured.find_pids()
        target = Target(
            url=f"http://127.0.0.1:{launch.port}{CHAT_PATH}",
            api_key=launch.api_key,
            core=cores.system if launch.argv is not None else None,
            tools_core=cores.tools,
            tool_pids=tuple(tool_pids),
            serving_pids=tuple(serving),
        )
        yield Running(launch, measured, folder, start_s, target)


def find_free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: StartedProcess, port: int, path: str, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    last = "no connection was possible"
    while time.monotonic() < deadline_s:
        if process.exit_status is not None:
            raise SystemFailed(
                f"ended with status {process.exit_status} before it was ready",
                process.read_log_tail(),
            )
        try:
            status, _ = _ask("GET", port, path, {}, None)
        except (OSError, http.client.HTTPException):
            time.sleep(POLL_S)
            continue
        if status == 200:
            return
        last = f"GET {path} answered {status}"
        time.sleep(POLL_S)
    raise SystemFailed(f"was not ready within {within_s:g} s: {last}", process.read_log_tail())


def _wait_until_open(process: StartedProcess, port: int, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while process.exit_status is None and time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=within_s).close()
        except OSError:
            time.sleep(POLL_S)
            continue
        return
    raise SystemFailed("has no program beside it", process.read_log_tail())


def _check_answer(launch: Launch, process: StartedProcess, *, is_stream: bool) -> None:
    body = {
        "model": MODEL,
        "stream": is_stream,
        "messages": [{"role": "user", "content": "bench:n=3,d=0,b=1,t=0; hello"}],
    }
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {launch.api_key}",
    }
    # The mock looks for this exact spelling.
    text = json.dumps(body, separators=(",", ":")).encode()
    kind = "a stream" if is_stream else "JSON"
    try:
        status, answer = _ask("POST", launch.port, CHAT_PATH, headers, text)
    except (OSError, http.client.HTTPException) as error:
        raise SystemFailed(
            f"broke off when asked for {kind}: {type(error).__name__}", process.read_log_tail()
        ) from error
    if status != 200:
        shown = answer[:300].decode(errors="replace")
        raise SystemFailed(
            f"answered {status} when asked for {kind}: {shown}", process.read_log_tail()
        )
    is_right = (
        answer.count(b'"@') == 3 and answer.rstrip().endswith(b"data: [DONE]")
        if is_stream
        else b"short benchmark answer" in answer
    )
    if not is_right:
        raise SystemFailed(f"did not pass on the mock's answer when asked for {kind}")


def _ask(
    method: str, port: int, path: str, headers: dict[str, str], body: bytes | None
) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)
    try:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()
