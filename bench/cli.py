"""The command line of the benchmark: reads what to measure, runs it, reports."""

import argparse
import os
import resource
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import FrameType

from msgspec import Struct

from bench.cores import choose_cores
from bench.machine import describe_machine
from bench.own_systems import Proxy, ProxyWithAiohttp, ProxyWithRedis, ProxyWithTwoWorkers
from bench.peers import PEERS
from bench.reload import build_reload_row
from bench.report import (
    RESULTS_FOLDER,
    SUBJECT,
    build_markdown,
    read_results,
    write_plots,
    write_results,
)
from bench.results import Results
from bench.retries import build_retries_row
from bench.reverse_proxies import Nginx, find_tls_obstacle
from bench.rounds import Plan, choose_ready, run_rounds
from bench.rows import Row, build_cold_row, build_rows
from bench.summary import find_faults
from bench.systems import TLS_ROWS, Bare, Direct, System
from bench.toolchain import ToolchainMissing, build_tools
from bench.translations import build_hub_rows

DEFAULT_ROUNDS = 3
OWN = ("direct", "bare", "nginx", "proxy", "proxy-2", "proxy-aiohttp", "proxy-redis")
"""What is measured if nothing else is said."""
ALL = "all"
OPEN_FILES = 8192
"""1000 streams are 2000 sockets in the system under test."""


class Options(Struct, frozen=True):
    """What the command line and the environment ask for."""

    systems: tuple[str, ...]
    rows: tuple[str, ...]
    rounds: int
    is_quick: bool
    writes: bool
    proxy_command: str | None
    redraws: bool = False


def read_options(argv: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Return the checked options; a wrong one ends the program with what is allowed instead."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the proxy beside a bare pass-through and nginx.",
        epilog="Environment: ROUNDS=N, QUICK=1 and PEERS=haproxy,litellm (or all) join in.",
    )
    row_names = [row.name for row in build_all_rows(is_quick=False)]
    parser.add_argument("--rows", help=f"of {','.join(row_names)}; all if absent")
    parser.add_argument(
        "--systems", help=f"of {','.join([*OWN, *PEERS])}; {','.join(OWN)} if absent"
    )
    parser.add_argument("--rounds", help=f"how often everything is measured ({DEFAULT_ROUNDS})")
    parser.add_argument("--quick", action="store_true", help="about four minutes: one short round")
    parser.add_argument("--no-write", action="store_true", help="print only, write no files")
    parser.add_argument(
        "--redraw", action="store_true", help="measure nothing: draw the last run's pictures anew"
    )
    parser.add_argument(
        "--proxy-command",
        help="start the proxy with this; {config}, {state_dir} and {port} are filled in",
    )
    given = parser.parse_args(argv)

    is_quick = given.quick or environment.get("QUICK", "") not in ("", "0")
    rounds = given.rounds or environment.get("ROUNDS") or ("1" if is_quick else DEFAULT_ROUNDS)
    if not str(rounds).isdecimal() or int(rounds) < 1:
        parser.error(f"rounds is {rounds!r}; it must be a whole number from 1 on")
    peers = _split(environment.get("PEERS", ""))
    if peers == [ALL]:
        peers = list(PEERS)
    chosen = _split(given.systems) or [*OWN, *peers]
    for what, names, allowed in (
        ("--rows", _split(given.rows), row_names),
        ("PEERS", peers, [*PEERS, ALL]),
        ("--systems", chosen, [*OWN, *PEERS]),
    ):
        for name in names:
            if name not in allowed:
                parser.error(f"{what} names {name!r}; choose from {', '.join(allowed)}")
    return Options(
        systems=tuple(dict.fromkeys(chosen)),
        rows=tuple(_split(given.rows)) or tuple(row_names),
        rounds=int(rounds),
        is_quick=is_quick,
        writes=not given.no_write,
        proxy_command=given.proxy_command,
        redraws=given.redraw,
    )


def build_all_rows(is_quick: bool) -> list[Row]:
    """Return every row that there is, in the order in which they are measured."""
    own_starts = (build_cold_row(), build_reload_row(is_quick), build_retries_row(is_quick))
    return [*build_rows(is_quick), *build_hub_rows(is_quick), *own_starts]


def find_skipped_rows(chosen: Sequence[str]) -> dict[str, str]:
    """Return which of the chosen rows cannot be measured here, each with the reason."""
    obstacle = find_tls_obstacle()
    return {name: obstacle for name in chosen if name in TLS_ROWS and obstacle is not None}


def _split(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def build_command_text(options: Options) -> str:
    """Return the command that repeats this run, with nothing of this machine in it."""
    words = ["python", "-m", "bench", "--rounds", str(options.rounds)]
    words += ["--systems", ",".join(options.systems), "--rows", ",".join(options.rows)]
    if options.is_quick:
        words.append("--quick")
    if options.proxy_command is not None:
        words += ["--proxy-command", "..."]
    return shlex.join(words)


def build_systems(options: Options) -> list[System]:
    """Return the systems of a run in the order in which they are measured."""
    makers: dict[str, Callable[[], System]] = {
        "direct": Direct,
        "bare": Bare,
        "nginx": Nginx,
        "proxy": lambda: Proxy(options.proxy_command),
        "proxy-2": lambda: ProxyWithTwoWorkers(options.proxy_command),
        "proxy-aiohttp": lambda: ProxyWithAiohttp(options.proxy_command),
        "proxy-redis": lambda: ProxyWithRedis(options.proxy_command),
        **PEERS,
    }
    return [makers[name]() for name in options.systems]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; 0 done, 1 something went wrong on the way, 2 it could not begin."""
    options = read_options(argv, os.environ)
    if options.redraws:
        write_plots(read_results(), RESULTS_FOLDER)
        return 0
    signal.signal(signal.SIGTERM, _end)
    _raise_open_files()
    try:
        tools = build_tools()
    except ToolchainMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    cores = choose_cores(os.sched_getaffinity(0))
    if not cores.are_apart:
        print("Fewer than two cores: these figures cannot be compared.", file=sys.stderr)
    skipped_rows = find_skipped_rows(options.rows)
    for name, reason in skipped_rows.items():
        print(f"row {name} is not measured: {reason}", file=sys.stderr)
    rows = [
        row
        for row in build_all_rows(options.is_quick)
        if row.name in options.rows and row.name not in skipped_rows
    ]
    plan = Plan(build_systems(options), rows, options.rounds)
    ready, infos = choose_ready(plan, tools, cores)
    slots = run_rounds(ready, plan, tools, cores)
    results = Results(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=build_command_text(options),
        is_quick=options.is_quick,
        rounds=options.rounds,
        rows=tuple(row.name for row in rows),
        machine=describe_machine(cores),
        systems=tuple(infos),
        slots=tuple(slots),
        skipped_rows=skipped_rows,
    )
    print(build_markdown(results))
    if options.writes:
        names = ", ".join(path.name for path in write_results(results))
        print(f"Written to bench/results/: {names}", file=sys.stderr)
    is_proxy_missing = any(info.name == SUBJECT and info.skipped for info in infos)
    return 1 if is_proxy_missing or find_faults(slots) else 0


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        print(
            f"Only {hard} open files are allowed; 1000 streams need {OPEN_FILES} (ulimit -Hn).",
            file=sys.stderr,
        )
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through the `finally` clauses, which stop what has been started."""
    raise SystemExit(128 + number)
