"""nginx and HAProxy in front of a server, each as eager to reuse connections as it can be set."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.ports import find_port

CLIENT_S = 1
"""How long a front waits for the rest of a request that never comes."""
START_S = 10.0


def find_program(name: str) -> str | None:
    """Return the path of a front's program, also where only root's PATH leads."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@asynccontextmanager
async def open_front(name: str, server_port: int, folder: Path) -> AsyncIterator[int]:
    """Run a front of FRONTS before a server on 127.0.0.1, and give its port."""
    program = find_program(name.partition(" ")[0])
    assert program is not None
    port = find_port()
    arguments = FRONTS[name](program, port, server_port, folder)
    with (folder / "front.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        await _wait_until_open(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _wait_until_open(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                pass
            else:
                writer.close()
                await writer.wait_closed()
                return
            try:
                # What is waited for is the one thing that would make it useless to go on.
                await asyncio.wait_for(process.wait(), 0.02)
            except TimeoutError:
                continue
            raise AssertionError("the front has ended; front.log in its folder says why")


def _build_nginx(buffering: str) -> "Builder":
    def build(program: str, port: int, server_port: int, folder: Path) -> Sequence[str]:
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{name}_temp_path {folder}/{name};" for name in names)
        path = folder / "nginx.conf"
        path.write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
  access_log off; {folders}
  client_header_timeout {CLIENT_S}s; client_body_timeout {CLIENT_S}s;
  keepalive_timeout {CLIENT_S}s; lingering_timeout {CLIENT_S}s;
  upstream server {{ server 127.0.0.1:{server_port}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    underscores_in_headers on; ignore_invalid_headers off;
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering {buffering};
    }}
  }}
}}
""")
        return [program, "-e", "stderr", "-p", str(folder), "-c", str(path)]

    return build


def _build_haproxy(program: str, port: int, server_port: int, folder: Path) -> Sequence[str]:
    path = folder / "haproxy.cfg"
    path.write_text(f"""
global
  maxconn 512
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout server 10s
  timeout client {CLIENT_S}s
  timeout http-request {CLIENT_S}s
  timeout http-keep-alive {CLIENT_S}s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend server
backend server
  server only 127.0.0.1:{server_port} pool-max-conn 4
""")
    return [program, "-db", "-f", str(path)]


Builder = Callable[[str, int, int, Path], Sequence[str]]

FRONTS: Mapping[str, Builder] = {
    "nginx": _build_nginx("on"),
    "nginx unbuffered": _build_nginx("off"),
    "haproxy": _build_haproxy,
}
"""Every front by its name, whose first word is the program's."""
