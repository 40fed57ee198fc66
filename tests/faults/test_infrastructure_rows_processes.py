"""Rows I18, I19, I35 and I39: what may happen to the processes of a service."""

import asyncio
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.end_to_end.asking import knobs
from tests.end_to_end.live import LiveProxy, build_live_config, living, starting_live
from tests.end_to_end.served import KEY, write_config
from tests.end_to_end.test_serve import asking, build_chat, wait_until_refused
from tests.fakes.ports import find_port
from tests.promises.tree import ROOT

RESPAWN_PROMISE_S = 1.0
SLACK = 10
FULL_BYTES = 65_536
"""What a pipe holds at most."""
LEAST_LINE_BYTES = 400
"""A request's line in the log is longer than this."""


def workers_of(live: LiveProxy) -> list[int]:
    """Return the processes of the workers."""
    pids: list[int] = live.ask("status")["pids"]
    return pids


def wait_until_up(live: LiveProxy, since: int) -> None:
    """Return when a worker that was lost since a mark has a successor that serves."""
    live.program.wait_for_line(lambda line: "is replaced" in line, since)
    while live.ask("status")["ready_workers"] < 2:
        continue


async def test_i18_a_worker_is_killed(tmp_path: Path) -> None:
    """Its streams end, others go on, nobody is refused, and it is replaced within its promise."""
    pace = knobs(tokens_per_s=20, tokens=60)
    with living(tmp_path, build_live_config("sim-first", workers=2)) as live:
        body = build_chat("sim-story", stream=True, **pace)
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(read_whole(live, body, begun)) for _ in range(16)]
        for _ in streams:
            await begun.acquire()
        killed_s, mark = asyncio.get_running_loop().time(), live.mark
        os.kill(workers_of(live)[0], signal.SIGKILL)
        for _ in range(50):
            assert "sim-first" in await live.list_models()
        await asyncio.to_thread(wait_until_up, live, mark)
        assert asyncio.get_running_loop().time() - killed_s < RESPAWN_PROMISE_S * SLACK
        ended = await asyncio.gather(*streams)
    assert set(ended) <= {"whole", "cut"}


async def read_whole(live: LiveProxy, body: object, begun: asyncio.Semaphore) -> str:
    """Return whether a stream came whole, or was cut by the end of its connection."""
    try:
        async with asking(live, body) as answer:
            begun.release()
            text = await answer.content.read()
    except aiohttp.ClientError:
        return "cut"
    return "whole" if text.endswith(b"data: [DONE]\n\n") else "broken"


async def test_i18_counters_outlive_the_worker(tmp_path: Path) -> None:
    """What a killed worker had counted is still in /metrics, under the same number."""
    with living(tmp_path, build_live_config("sim-first", workers=2)) as live:
        for _ in range(20):
            async with asking(live, build_chat("sim-first")) as answer:
                assert answer.status == 200
        mark = live.mark
        os.kill(workers_of(live)[0], signal.SIGKILL)
        await asyncio.to_thread(wait_until_up, live, mark)
        text = await read_metrics(live)
    assert sum_of(text, "llm_proxy_requests_total{") == 20
    assert 'llm_proxy_worker_restarts_total{reason="died"} 1.0' in text


async def read_metrics(live: LiveProxy) -> str:
    """Return what /metrics says."""
    async with (
        aiohttp.ClientSession(live.url) as session,
        session.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}) as answer,
    ):
        return await answer.text()


def sum_of(text: str, name: str) -> float:
    """Return the sum of the series of a counter that are for chat completions."""
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.split()[-1]) for line in lines if "chat" in line)


async def test_i19_a_drain_has_an_end(tmp_path: Path) -> None:
    """A stream that outlasts `drain_timeout` ends in `server_shutdown`, and the exit is 0."""
    endless = knobs(fault="u17-endless", tokens_per_s=100)
    config = build_live_config("sim-first", workers=2, drain_timeout=0.5)
    with living(tmp_path, config) as live:
        async with asking(live, build_chat("sim-story", stream=True, **endless)) as answer:
            await answer.content.readline()
            live.program.signal(signal.SIGTERM)
            rest = await read_as_far_as_it_goes(answer)
        assert '"code":"server_shutdown"' in rest
        assert "[DONE]" not in rest
        assert await asyncio.to_thread(live.program.wait) == 0


async def read_as_far_as_it_goes(answer: aiohttp.ClientResponse) -> str:
    """Return what came of an answer, also if its end did not."""
    received = b""
    try:
        async for part in answer.content.iter_any():
            received += part
    except aiohttp.ClientPayloadError:
        pass  # the connection was closed behind the error
    return received.decode()


async def test_i19_readiness_goes_first(tmp_path: Path) -> None:
    """During `drain_delay` connections are accepted, readiness is 503 and answers close."""
    config = build_live_config("sim-first", drain_delay=1.0)
    with living(tmp_path, config) as live:
        live.program.signal(signal.SIGTERM)
        while (await live.get("/health/readiness"))[0] != 503:
            continue
        async with asking(live, build_chat("sim-first")) as answer:
            assert answer.status == 200
            assert answer.headers["Connection"].lower() == "close"
        assert await asyncio.to_thread(live.program.wait) == 0


async def test_i19_a_hangup_while_it_drains_changes_nothing(tmp_path: Path) -> None:
    """SIGHUP and edits after SIGTERM are passed over: the stream comes whole, the exit is 0."""
    pace = knobs(tokens_per_s=100, tokens=60)
    with living(tmp_path, build_live_config("sim-first", workers=2)) as live:
        async with asking(live, build_chat("sim-story", stream=True, **pace)) as answer:
            await answer.content.readline()
            live.program.signal(signal.SIGTERM)
            await wait_until_refused(live.port)
            mark = live.mark
            live.program.signal(signal.SIGHUP)
            live.write(build_live_config("sim-first", "sim-second", workers=2))
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
        assert await asyncio.to_thread(live.program.wait) == 0
        assert not [line for line in live.said(mark) if "configuration" in line]


@pytest.mark.parametrize("attempt", range(4))
def test_i19_everybody_is_told_to_end(tmp_path: Path, attempt: int) -> None:
    """SIGTERM to supervisor and workers at once: all of them end, and no worker comes anew."""
    with starting_live(tmp_path, build_live_config("sim-first", workers=2)) as live:
        for pid in (*workers_of(live), live.program.pid):
            os.kill(pid, signal.SIGTERM)
        assert live.program.wait(1.0 * SLACK) == 0


@pytest.mark.parametrize("how", ["signal", "command", "http"])
async def test_a_rolling_restart_loses_nothing(tmp_path: Path, how: str) -> None:
    """New workers serve before the old ones leave; a stream of an old one comes whole."""
    pace = knobs(tokens_per_s=50, tokens=60)
    with living(tmp_path, build_live_config("sim-first", workers=2)) as live:
        before = set(workers_of(live))
        body = build_chat("sim-story", stream=True, **pace)
        async with asking(live, body) as answer:
            await answer.content.readline()
            mark = live.mark
            if how == "signal":
                live.program.signal(signal.SIGUSR2)
            elif how == "command":
                await asyncio.to_thread(live.ask, "restart_workers")
            else:
                status, told = await live.post("/admin/restart-workers")
                assert status == 200, told
            await asyncio.to_thread(
                live.program.wait_for_line, lambda line: "has ended" in line, mark
            )
            for _ in range(20):
                assert "sim-first" in await live.list_models()
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
        assert len(await asyncio.to_thread(wait_until_left, live, before)) == 2


def wait_until_left(live: LiveProxy, pids: set[int]) -> list[int]:
    """Return the workers that there are once none of `pids` is one any more."""
    while pids & set(left := workers_of(live)):
        continue
    return left


async def test_a_worker_that_is_told_to_end_is_replaced(tmp_path: Path) -> None:
    """SIGTERM to one worker: it finishes its stream, and another one serves in its place."""
    pace = knobs(tokens_per_s=50, tokens=60)
    with living(tmp_path, build_live_config("sim-first")) as live:
        [pid] = workers_of(live)
        async with asking(live, build_chat("sim-story", stream=True, **pace)) as answer:
            await answer.content.readline()
            mark = live.mark
            os.kill(pid, signal.SIGTERM)
            await asyncio.to_thread(
                live.program.wait_for_line, lambda line: "is replaced" in line, mark
            )
            assert "sim-first" in await live.list_models()
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")


async def test_workers_outlive_their_supervisor_for_their_streams(tmp_path: Path) -> None:
    """The supervisor is killed: the stream comes whole, then nobody is left and nobody listens."""
    pace = knobs(tokens_per_s=50, tokens=60)
    with starting_live(tmp_path, build_live_config("sim-first", workers=2)) as live:
        workers = [os.pidfd_open(pid) for pid in workers_of(live)]
        async with asking(live, build_chat("sim-story", stream=True, **pace)) as answer:
            await answer.content.readline()
            os.kill(live.program.pid, signal.SIGKILL)
            assert (await answer.content.read()).endswith(b"data: [DONE]\n\n")
        await wait_until_refused(live.port)
        # Its end closes the pipes that it printed to.
        assert await asyncio.to_thread(live.program.wait) == -signal.SIGKILL
        for worker in workers:
            # Readable means ended.
            assert await asyncio.to_thread(select.select, [worker], [], [], 20.0) == (
                [worker],
                [],
                [],
            )
            os.close(worker)


def test_i35_no_more_descriptors(tmp_path: Path) -> None:
    """A worker without free descriptors does not spin, and serves again when there are some."""
    with living(tmp_path, build_live_config("sim-first")) as live:
        [pid] = workers_of(live)
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 20, most))
        asyncio.run(crowd(live, pid))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        status, _ = asyncio.run(live.get("/health"))
        assert status == 200


async def crowd(live: LiveProxy, pid: int) -> None:
    """Open more connections than there is room for; the worker must not be busy with it."""
    opened = [await asyncio.open_connection("127.0.0.1", live.port) for _ in range(60)]
    before_s = cpu_s(pid)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await opened[0][0].read(1)  # nobody has asked for anything: nothing comes
    assert cpu_s(pid) - before_s < 0.5
    for _, writer in opened:
        writer.close()


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_i39_nobody_reads_the_log(tmp_path: Path) -> None:
    """With standard output full and never read, requests are answered, and the exit is 0."""
    port = find_port()
    process, reading = start_unread(tmp_path, port)
    try:
        await asyncio.to_thread(wait_until_listening, port)
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            for _ in range(FULL_BYTES // LEAST_LINE_BYTES + 100):
                async with session.post(url, json=build_chat("sim-first")) as answer:
                    assert answer.status == 200
        assert is_full(reading)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def start_unread(folder: Path, port: int) -> "tuple[subprocess.Popen[bytes], int]":
    """Start a server whose standard output nobody reads; return it, and where one could read."""
    path = write_config(folder, build_live_config("sim-first", workers=2))
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(path), "--port", str(port)]
    reading, writing = os.pipe()
    process = subprocess.Popen(command, cwd=ROOT, stdout=writing, stdin=subprocess.DEVNULL)
    os.close(writing)
    return process, reading


def is_full(reading: int) -> bool:
    """Return whether a pipe takes nothing more; its pages need not be full for that."""
    writing = os.open(f"/proc/self/fd/{reading}", os.O_WRONLY)
    try:
        return not select.select([], [writing], [], 0)[1]
    finally:
        os.close(writing)


def wait_until_listening(port: int) -> None:
    """Return when somebody listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return
