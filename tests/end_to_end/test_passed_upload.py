"""A long upload through a served proxy: what it costs a worker's memory."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.served import KEY, build_config, serving, simulating

UPLOAD_BYTES = 200 * 1000 * 1000
MOST_GROWTH_BYTES = 10 * 1024 * 1024
_PIECE = bytes(256 * 1024)
_START = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nlocal/sim-echo\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
)
_END = b"\r\n--b--\r\n"


@pytest.fixture
def uploading(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The port of a proxy in front of the simulator, and the number of its only worker."""
    with simulating(tmp_path) as simulator:
        config = build_config(simulator.port)
        with serving(tmp_path, config) as proxy:
            yield proxy.port, _find_worker(proxy.program.pid)


async def test_a_recording_of_200_mb_passes_and_is_never_held(uploading: tuple[int, int]) -> None:
    """A worker's memory grows by 10 MiB at most, at its highest, while 200 MB pass through it."""
    port, worker = uploading
    # What the first request loads is not the upload's.
    assert await _upload(port, 1_000_000) == "I heard 1000000 bytes of long.wav."
    before_bytes = _read_status(worker, "VmRSS")
    _forget_peak(worker)
    assert await _upload(port, UPLOAD_BYTES) == f"I heard {UPLOAD_BYTES} bytes of long.wav."
    assert _read_status(worker, "VmHWM") - before_bytes <= MOST_GROWTH_BYTES


async def _upload(port: int, size_bytes: int) -> str:
    """Send a form with a file of this size, which is made as it goes; return what was heard."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    total_bytes = len(_START) + size_bytes + len(_END)
    writer.write(
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: it\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {total_bytes}\r\n"
        "Connection: close\r\n\r\n".encode()
        + _START
    )
    left_bytes = size_bytes
    while left_bytes:
        piece = _PIECE[:left_bytes]
        writer.write(piece)
        left_bytes -= len(piece)
        await writer.drain()
    writer.write(_END)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 "), head
    text: str = json.loads(body)["text"]
    return text


def _find_worker(supervisor: int) -> int:
    """Return the number of the worker that a supervisor has."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    for child in children:
        if b"proxy.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("there is no worker")


def _forget_peak(process: int) -> None:
    """Have the kernel count the highest size of a process from now on."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def _read_status(process: int, name: str) -> int:
    """Return one of the sizes that the kernel tells of a process, in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"there is no {name}")
