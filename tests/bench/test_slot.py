"""Tests of one system's turn, with the real mock, load generator and pass-through."""

import shlex
import sys

import pytest
from msgspec.structs import replace

from bench.cores import NOT_PINNED
from bench.load import LoadPlan
from bench.own_systems import Proxy
from bench.readiness import SystemFailed
from bench.results import RowResult
from bench.reverse_proxies import find_tls_obstacle
from bench.rows import Row, build_cold_row
from bench.slot import run_slot, try_out
from bench.systems import Bare, Direct, Ground, Launch
from bench.toolchain import Tools

LISTENS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while listener.accept():
    pass
"""
ROWS = (
    Row("busy", "2 clients", LoadPlan(2, 0.3, 0.1)),
    Row("paced", "2 streams", LoadPlan(2, 0.3, 0.1, streams=True, chunks=5, delay_ms=2)),
)


def test_the_pass_through_is_measured_without_errors(tools: Tools) -> None:
    """A slot gives the start, the memory and the figures of its rows, and no error."""
    seen: list[RowResult] = []
    slot = run_slot(Bare(), 1, ROWS, tools, NOT_PINNED, seen.append)
    assert slot.failure is None
    assert list(slot.rows) == seen
    assert [row.load.err for row in slot.rows] == [0, 0]
    assert {"start_s", "rss_idle_mb"} == set(slot.figures)
    assert slot.rows[0].figures["requests_per_s"] > 0
    assert slot.rows[1].figures["cpu_us_per_chunk"] > 0


def test_direct_has_no_start_of_its_own(tools: Tools) -> None:
    """Without a system in between only the rows are measured, on the mock."""
    slot = run_slot(Direct(), 1, ROWS[:1], tools, NOT_PINNED, lambda row: None)
    assert slot.failure is None
    assert slot.figures == {}
    assert slot.rows[0].figures["cpu_us_per_request"] > 0


class BesideBare(Bare):
    """The pass-through, with a program beside it."""

    def __init__(self, code: str) -> None:
        self._code = code

    def build_launch(self, ground: Ground) -> Launch:
        """Start the program with the port that it is to listen on."""
        beside = [sys.executable, "-c", self._code, str(ground.beside_port)]
        return replace(super().build_launch(ground), beside=beside)


def test_a_program_beside_a_system_listens_before_it_starts(tools: Tools) -> None:
    """What the launch names is started too, and waited for."""
    try_out(BesideBare(LISTENS), tools, NOT_PINNED)


def test_a_program_beside_a_system_that_ends_is_told(tools: Tools) -> None:
    """Without it nothing is measured, and its last words are told."""
    with pytest.raises(SystemFailed, match="has no program beside it") as caught:
        try_out(BesideBare("print('no memory')"), tools, NOT_PINNED)
    assert caught.value.log_tail == "no memory"


def test_a_system_that_ends_at_once_is_told_with_its_last_words(tools: Tools) -> None:
    """The failure has the exit status, and apart from it what the program printed."""
    code = "import sys; print('port is taken'); sys.exit(3)"
    failing = Proxy(shlex.join([sys.executable, "-c", code]))
    with pytest.raises(SystemFailed, match="ended with status 3 before it was ready") as caught:
        try_out(failing, tools, NOT_PINNED)
    assert caught.value.log_tail == "port is taken"
    slot = run_slot(failing, 1, ROWS, tools, NOT_PINNED, lambda row: None)
    assert slot.failure == "ended with status 3 before it was ready"
    assert slot.rows == ()


@pytest.mark.skipif(find_tls_obstacle() is not None, reason="needs nginx")
def test_a_row_behind_tls_has_a_start_of_its_own(tools: Tools) -> None:
    """The pass-through checks the certificate of the TLS in front of the mock, and is measured."""
    rows = (Row("tls", "2 clients", LoadPlan(2, 0.3, 0.2), start="tls"),)
    slot = run_slot(Bare(), 1, rows, tools, NOT_PINNED, lambda row: None)
    assert slot.failure is None
    assert slot.rows[0].load.err == 0
    assert slot.rows[0].figures["tls_requests_per_s"] > 0


def test_rows_that_a_system_leaves_out_are_not_measured(tools: Tools) -> None:
    """Nothing is started or loaded for them."""
    rows = (Row("tls", "2 clients", LoadPlan(2, 0.3, 0.2), start="tls"),)
    slot = run_slot(Direct(), 1, rows, tools, NOT_PINNED, lambda row: None)
    assert (slot.failure, slot.rows) == (None, ())


def test_a_cold_start_finds_nothing_compiled(tools: Tools) -> None:
    """It takes longer than one that need not compile, and has no load."""
    slot = run_slot(Bare(), 1, [build_cold_row()], tools, NOT_PINNED, lambda row: None)
    assert slot.failure is None
    assert slot.figures["start_cold_s"] > slot.figures["start_s"]
    assert slot.rows == ()


class NeverReady(Bare):
    """The pass-through, asked for words that the mock never says."""

    def build_launch(self, ground: Ground) -> Launch:
        """Wait for them a short while."""
        launch = super().build_launch(ground)
        return replace(launch, ready_words=b"two workers", ready_within_s=1.0)


def test_a_system_without_its_words_is_not_ready(tools: Tools) -> None:
    """Status 200 alone is not enough where the launch asks for more."""
    with pytest.raises(SystemFailed, match="was not ready within 1 s"):
        try_out(NeverReady(), tools, NOT_PINNED)
