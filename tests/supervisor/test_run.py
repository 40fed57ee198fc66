"""The whole service in its processes: what it says to systemd, and that nothing is left behind."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.problem import ConfigError
from proxy.supervisor.run import run_supervisor
from proxy.supervisor.spawn import spawn_worker
from tests.end_to_end.live import build_live_config, living
from tests.supervisor.places import Folder, build_file


@pytest.mark.parametrize("ruin", ["config", "port", "log", "state"])
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, ruin: str) -> None:
    """The worker that was started ahead ends, and no socket stays open."""
    folder = Folder(tmp_path)
    folder.write("providers: 1\n" if ruin == "config" else build_file("a"))
    first = spawn_worker()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {**folder.environ, "PROXY_API_PORT": "0"}
        if ruin == "port":
            environ["PROXY_API_PORT"] = str(taken.getsockname()[1])
        elif ruin == "log":
            environ["PROXY_API_LOG_FILE"] = str(folder.config / "log")
        elif ruin == "state":
            environ["PROXY_API_STATE_DIR"] = str(folder.config)
        with pytest.raises((OSError, ConfigError)):
            run_supervisor(folder.config, environ, first)
    assert first.process.poll() is not None


def test_systemd_is_told(tmp_path: Path) -> None:
    """READY when workers serve, RELOADING and READY around a reload, WATCHDOG, STOPPING."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"}
        with living(tmp_path, build_live_config("sim-first"), variables=variables) as live:
            hear_until(notify, heard, lambda text: "READY=1" in text)
            hear_until(notify, heard, lambda text: "WATCHDOG=1" in text)
            live.wait_for_reload(live.write(build_live_config("sim-first", "sim-second")))
            hear_until(notify, heard, lambda text: "RELOADING=1" in text)
            hear_until(notify, heard, lambda text: "READY=1" in text and "generation 2" in text)
            live.program.signal(signal.SIGTERM)
            hear_until(notify, heard, lambda text: "STOPPING=1" in text)


def hear_until(notify: socket.socket, heard: list[str], is_wanted: Callable[[str], bool]) -> None:
    """Take messages until one is wanted."""
    while True:
        heard.append(notify.recv(4096).decode())
        if is_wanted(heard[-1]):
            return


async def test_the_control_socket_is_gone_after_the_end(tmp_path: Path) -> None:
    """What commands connect to is there while it serves, and removed when it has ended."""
    with living(tmp_path, build_live_config("sim-first")) as live:
        path = live.state_dir / "run" / "control.sock"
        assert await asyncio.to_thread(os.path.exists, path)
    assert not await asyncio.to_thread(os.path.exists, path)
