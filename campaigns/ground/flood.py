"""The real server before an upstream that floods: what campaigns about slow clients stand on."""

import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaigns.base import ROOT
from tests.end_to_end.served import KEY, ServedProxy, serving

PROGRAM = ROOT / "campaigns" / "programs" / "flood_upstream.py"


def raise_file_limit(needed: int) -> None:
    """Allow this process, and those it starts, as many descriptors as the system lets it have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < needed:
        raise SystemExit(f"this campaign needs {needed} descriptors; `ulimit -Hn` allows {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))


@contextmanager
def serving_flood(folder: Path, models: int = 0, **config: Any) -> Iterator[ServedProxy]:
    """
    Serve the models `small` and `flood` by a provider that never pauses of its own will.

    Besides them so many more `models` are listed, which nobody asks for.
    """
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as upstream:
        assert upstream.stdout is not None
        provider = {
            "name": "up",
            "type": "openai_compatible",
            "base_url": f"http://127.0.0.1:{int(upstream.stdout.readline())}",
            "api_key": "sk-campaign-upstream-0123456789abcdef",
            "models": ["small", "flood", *(f"model-{n:0100d}" for n in range(models))],
        }
        whole: Mapping[str, Any] = {
            "host": "127.0.0.1",
            "api_keys": [KEY],
            "log_file": str(folder / "requests.log"),
            "providers": [provider],
            **config,
        }
        with serving(folder, whole) as served:
            yield served
        upstream.kill()


def build_stream_request(model: str) -> bytes:
    """Return a request for a stream as bytes."""
    message = '{"role":"user","content":"go on"}'
    body = f'{{"model":"{model}","stream":true,"messages":[{message}]}}'.encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: campaign\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_resident_bytes(pid: int) -> int:
    """Return how much memory a process has in use."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has no memory in use")
