"""
`llm-proxy serve` in a process of its own for fuzzing: its memory, its counts, every log line.

Lines are looked at as they come and then forgotten: a long run writes millions.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests import canaries
from tests.fakes.ports import find_port
from tests.promises.tree import ROOT

KEY = canaries.CLIENT_KEY
MODELS = ["sim-echo", "sim-embed"]
_OMINOUS = ("Traceback", "never retrieved", "endpoint failed", "request failed", "Unhandled")
_BAD_LEVELS = ("ERROR", "CRITICAL")
_MOST_FINDINGS = 5
_WITHIN_S = 30.0


class FuzzedServer:
    """The running process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self.findings: list[str] = []
        self.request_ids: Counter[str] = Counter()
        self.request_count = 0
        self._process = process
        self._is_up = threading.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, self._judge_line)),
            threading.Thread(target=self._read, args=(process.stderr, self._note)),
        ]
        for reader in self._readers:
            reader.start()

    def wait_until_up(self) -> None:
        """Return when the server has said that it serves."""
        assert self._is_up.wait(_WITHIN_S), self.findings

    @property
    def rss_bytes(self) -> int:
        """Memory of the process that is in use now."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def count_requests(self) -> int:
        """Return how many requests the server itself has counted, as its metrics tell."""
        lines = self._get("/metrics").splitlines()
        name = "llm_proxy_requests_total{"
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)))

    def ask_normally(self) -> None:
        """Ask an ordinary question and hold the server to an ordinary answer."""
        body = {"model": "sim-echo", "messages": [{"role": "user", "content": "still there"}]}
        answer = json.loads(self._get("/v1/chat/completions", json.dumps(body).encode()))
        assert answer["choices"][0]["message"]["content"] == "still there"

    def stop(self) -> int:
        """Ask the process to end, and return its status once every line has been looked at."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            for reader in self._readers:
                reader.join()

    def _get(self, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        request.add_header("Authorization", f"Bearer {KEY}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:
            text: str = answer.read().decode()
            return text

    def _read(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        with stream:
            for line in stream:
                take(line)
        self._is_up.set()

    def _judge_line(self, line: bytes) -> None:
        self._is_up.set()
        text = line.decode()
        fields = json.loads(text)
        if fields["logger"] == "llm_proxy.requests":
            self.request_count += 1
            self.request_ids[fields["request_id"]] += 1
            if fields["status_code"] >= 500:
                self._note(line)
        is_bad = fields["level"] in _BAD_LEVELS or any(word in text for word in _OMINOUS)
        if is_bad or canaries.KEY_MARK in text:
            self._note(line)

    def _note(self, line: bytes) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(line.decode(errors="replace")[:1000])


@contextmanager
def serving_fuzz(folder: Path) -> Iterator[FuzzedServer]:
    """Serve the simulator's models out of a folder; the process is gone at the end."""
    port = find_port()
    config = {
        "host": "127.0.0.1",
        "port": port,
        "api_keys": [KEY],
        "providers": [{"name": "simulator", "type": "simulator", "models": MODELS}],
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = ("serve", "--config", "config.yaml", "--state-dir", "state")
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", *command],
        cwd=folder,
        # Whatever would be warned of appears on standard error, which must stay empty.
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server = FuzzedServer(process, port)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()
