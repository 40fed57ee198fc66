"""One system's turn: set up, started, checked, loaded row by row, stopped."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from bench.cores import Cores, pinned_to
from bench.load import LoadFailed, LoadPlan
from bench.own_systems import CONFIG_NAME, Proxy
from bench.process import StartedProcess, read_rss_bytes
from bench.readiness import (
    SystemFailed,
    check_answer,
    find_free_port,
    wait_until_open,
    wait_until_ready,
)
from bench.reload import NAME as RELOAD
from bench.reload import LargeProxy, measure_reloads
from bench.results import RowResult, SlotResult
from bench.retries import NAME as RETRIES
from bench.retries import FlakyProxy, measure_retries
from bench.reverse_proxies import prepare_tls_front
from bench.rows import Row, Target, measure_row, run_load
from bench.systems import CHAT_PATH, COLD, ROOT, Ground, Launch, System
from bench.toolchain import Tools
from bench.translations import TranslatingProxy

BESIDE_READY_WITHIN_S = 10.0
BETWEEN_ROWS_S = 0.2

Kind = Literal["plain", "tls", "cold"]
PLAIN: Kind = "plain"
TLS: Kind = "tls"


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

    taken = [row for row in rows if row.name not in system.left_out]
    fresh, behind_tls = ([row for row in taken if row.start == name] for name in ("fresh", "tls"))
    try:
        with _running(system, tools, cores) as up:
            figures.update(_measure_start(up))
            if up.launch.warm_up_s:
                warm_up = LoadPlan(64, up.launch.warm_up_s, 0.0)
                run_load(warm_up, up.target, tools, lambda _, __: None)
            for row in taken:
                if row.start == "plain":
                    keep(_measure(row, up, tools))
        for others, kind in ((fresh, PLAIN), (behind_tls, TLS)):
            if others:
                with _running(system, tools, cores, kind) as up:
                    for row in others:
                        keep(_measure(row, up, tools))
        translated = [row for row in taken if row.start == "hub" and row.name in system.own_starts]
        if translated and isinstance(system, Proxy):
            with _running(TranslatingProxy(system.command), tools, cores) as up:
                for row in translated:
                    keep(_measure(row, up, tools))
        for row in taken:
            if row.name == COLD and COLD in system.own_starts:
                figures.update(_measure_cold_start(system, tools, cores))
            elif row.name in system.own_starts and isinstance(system, Proxy):
                for result in _measure_special(row, system, tools, cores):
                    keep(result)
    except (SystemFailed, LoadFailed) as error:
        failure = str(error)
    return SlotResult(system.name, round_number, figures, tuple(done), failure)


def _measure(row: Row, up: Running, tools: Tools) -> RowResult:
    result = measure_row(row, up.target, up.measured, tools)
    _check_alive(up.measured, row)
    time.sleep(BETWEEN_ROWS_S)
    return result


def _measure_special(row: Row, system: Proxy, tools: Tools, cores: Cores) -> Iterator[RowResult]:
    """Measure a row that has a start, and a configuration, of its own."""
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
    figures = {"start_s": up.start_s, "rss_idle_mb": up.target.read_rss_bytes() / 1e6}
    if up.launch.is_supervised:
        figures["rss_supervisor_mb"] = read_rss_bytes([up.measured.pid]) / 1e6
    return figures


def _measure_cold_start(system: System, tools: Tools, cores: Cores) -> dict[str, float]:
    with _running(system, tools, cores, "cold") as up:
        return {"start_cold_s": up.start_s}


def _check_alive(measured: StartedProcess, row: Row) -> None:
    if measured.exit_status is not None:
        raise SystemFailed(
            f"ended with status {measured.exit_status} during row {row.name}",
            measured.read_log_tail(),
        )


@contextmanager
def _running(system: System, tools: Tools, cores: Cores, kind: Kind = PLAIN) -> Iterator[Running]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-proxy-bench-")))
        ground = Ground(
            port=find_free_port(),
            mock_port=find_free_port(),
            folder=folder,
            beside_port=find_free_port(),
            tls_port=find_free_port() if kind == TLS else None,
        )
        tool_pids = [os.getpid()]

        def start(
            argv: Sequence[str], name: str, on: Sequence[int], variables: Mapping[str, str]
        ) -> StartedProcess:
            return stack.enter_context(
                StartedProcess(
                    argv, log_file=folder / f"{name}.log", cores=on, cwd=ROOT, variables=variables
                )
            )

        def start_tool(argv: Sequence[str], name: str, port: int) -> StartedProcess:
            tool = start(argv, name, cores.tools, {})
            wait_until_open(tool, port, BESIDE_READY_WITHIN_S)
            tool_pids.extend(tool.find_pids())
            return tool

        mock = start_tool([str(tools.mock), str(ground.mock_port)], "mock", ground.mock_port)
        if ground.tls_port is not None:
            start_tool(prepare_tls_front(ground), "tls-front", ground.tls_port)
        launch = system.build_launch(ground)
        if launch.beside:
            start_tool(launch.beside, "beside", ground.beside_port)
        system_cores = cores.take(system.core_count)
        measured = mock
        if launch.argv is not None:
            # An empty folder for compiled files hides those that lie beside the sources.
            hidden = {"PYTHONPYCACHEPREFIX": str(folder / "compiled")} if kind == "cold" else {}
            variables = {**launch.variables, **hidden}
            measured = start(launch.argv, "system", system_cores, variables)
        with pinned_to(cores.tools):
            wait_until_ready(measured, launch)
            check_answer(launch, measured, is_stream=False)
            start_s = time.monotonic() - measured.started_monotonic_s
            check_answer(launch, measured, is_stream=True)
        serving = measured.find_pids()
        if launch.is_supervised:
            serving = measured.find_children(launch.serves_as)
        target = Target(
            url=f"http://127.0.0.1:{launch.port}{CHAT_PATH}",
            api_key=launch.api_key,
            cores=system_cores if launch.argv is not None else (),
            tools_cores=cores.tools,
            tool_pids=tuple(tool_pids),
            serving_pids=tuple(serving),
            workers=launch.workers,
            headers=launch.headers,
        )
        yield Running(launch, measured, folder, start_s, target)
