"""Tests of how `lg` is called and how its answer is read."""

import subprocess
from pathlib import Path

import pytest

from bench.load import LoadFailed, LoadPlan, build_command, parse_result
from bench.process import StartedProcess
from bench.readiness import find_free_port
from bench.toolchain import Tools

PRINTED = (
    b'{"conns":64,"elapsed":3.000,"ok":300,"err":2,"err_status":1,"err_conn":0,"err_short":1,'
    b'"rps":100.0,"chunks":9,"cps":3.0,"reads":310,"p50":250,"p90":300,"p99":900,"max":950,"ttft50":-1,'
    b'"ttft99":-1,"chunk50":40,"chunk99":90,"lg_cpu":0.120}\n'
)


def test_a_result_is_read_with_its_units() -> None:
    """The short names that `lg` prints become names that tell their unit."""
    result = parse_result(PRINTED)
    assert (result.connections, result.elapsed_s) == (64, 3.0)
    assert (result.ok, result.err, result.err_status, result.err_short) == (300, 2, 1, 1)
    assert (result.requests_per_s, result.chunks_per_s) == (100.0, 3.0)
    assert (result.p50_us, result.p99_us, result.max_us) == (250.0, 900.0, 950.0)
    assert result.ttft50_us == -1.0


@pytest.mark.parametrize("printed", [b"", b"Killed\n", b'{"ok":1}'])
def test_anything_else_is_refused_and_shown(printed: bytes) -> None:
    """Output that is no result raises LoadFailed with what was printed."""
    with pytest.raises(LoadFailed) as caught:
        parse_result(printed, ["/somewhere/lg"])
    assert "lg printed no result" in str(caught.value)
    assert repr(printed.decode()) in str(caught.value)


def test_silence_is_neither_an_answer_nor_part_of_a_stream() -> None:
    """A result is silent only without good answers and without chunks."""
    assert not parse_result(PRINTED).is_silent
    assert not parse_result(PRINTED.replace(b'"ok":300', b'"ok":0')).is_silent
    nothing = PRINTED.replace(b'"ok":300', b'"ok":0').replace(b'"chunks":9', b'"chunks":0')
    assert parse_result(nothing).is_silent


def test_a_plan_for_json_asks_for_no_stream() -> None:
    """The command names the address, the key, the clients and the times, and nothing of streams."""
    argv = build_command(Path("lg"), "http://127.0.0.1:1/x", "sk-1", LoadPlan(64, 3.0, 0.5))
    assert argv == [
        *("lg", "-u", "http://127.0.0.1:1/x", "-H", "Authorization: Bearer sk-1"),
        *("-c", "64", "-t", "3", "-w", "0.5"),
    ]


def test_a_plan_may_ask_for_large_prompts_and_more_headers() -> None:
    """The command says how long the prompt is, and each header behind the key."""
    plan = LoadPlan(64, 3.0, 0.5, prompt_bytes=32_500)
    argv = build_command(Path("lg"), "http://127.0.0.1:1/x", "sk-1", plan, {"x-a": "b"})
    assert argv[3:7] == ["-H", "Authorization: Bearer sk-1", "-H", "x-a: b"]
    assert argv[-2:] == ["-B", "32500"]


def test_a_plan_may_ask_in_anthropics_format_for_another_model() -> None:
    """The command names the model, and the format last."""
    plan = LoadPlan(64, 3.0, 0.5, model="claude-bench", as_anthropic=True)
    argv = build_command(Path("lg"), "http://127.0.0.1:1/x", "sk-1", plan)
    assert argv[-3:] == ["-m", "claude-bench", "-a"]


def test_a_plan_for_streams_says_how_they_run() -> None:
    """The command asks for streams with their chunks, their delay and the ramp."""
    plan = LoadPlan(1000, 3.0, 2.2, streams=True, delay_ms=10, ramp_ms=1000)
    argv = build_command(Path("lg"), "http://127.0.0.1:1/x", "sk-1", plan)
    assert argv[-7:] == ["-s", "-n", "100", "-d", "10", "-R", "1000"]


def test_lg_counts_only_whole_streams_of_the_mock(tools: Tools, tmp_path: Path) -> None:
    """Against the mock, 0.3 seconds of JSON and of streams give answers and no error."""
    port = find_free_port()
    mock = [str(tools.mock), str(port)]
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    json_plan = LoadPlan(4, 0.3, 0.1)
    stream_plan = LoadPlan(4, 0.3, 0.1, streams=True, chunks=5, delay_ms=2)
    with StartedProcess(mock, log_file=tmp_path / "mock.log", cores=(), cwd=tmp_path):
        # A refused connection is tried again by lg, which bridges the mock's start.
        runs = [
            subprocess.run(
                build_command(tools.lg, url, "sk-test", plan), check=True, capture_output=True
            )
            for plan in (json_plan, stream_plan)
        ]
    as_json, as_streams = (parse_result(run.stdout) for run in runs)
    assert as_json.ok > 100
    assert as_json.p50_us > 0
    assert (as_streams.err, as_streams.ok > 4) == (0, True)
    assert as_streams.chunks >= 5 * as_streams.ok - 5 * 4
    assert as_streams.ttft50_us > 0
