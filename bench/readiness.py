"""Whether a system that was started is up, and answers as it should before it is loaded."""

import http.client
import json
import socket
import time

from bench.process import StartedProcess
from bench.systems import CHAT_PATH, MODEL, Launch

POLL_S = 0.002
ANSWER_WITHIN_S = 30.0


class SystemFailed(Exception):
    """A system did not start or gave a wrong answer; `log_tail` is what it printed last."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        """Keep the log's end apart: it may hold paths and does not go into a report."""
        super().__init__(message)
        self.log_tail = log_tail


def find_free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(process: StartedProcess, launch: Launch) -> None:
    """Wait until the GET that the launch names is answered with 200 and its words."""
    path, within_s = launch.ready_path, launch.ready_within_s
    deadline_s = time.monotonic() + within_s
    last = "no connection was possible"
    while time.monotonic() < deadline_s:
        if process.exit_status is not None:
            raise SystemFailed(
                f"ended with status {process.exit_status} before it was ready",
                process.read_log_tail(),
            )
        try:
            status, body = _ask("GET", launch.port, path, {}, None)
        except (OSError, http.client.HTTPException):
            time.sleep(POLL_S)
            continue
        if status == 200 and launch.ready_words in body:
            return
        last = f"GET {path} answered {status}"
        time.sleep(POLL_S)
    raise SystemFailed(f"was not ready within {within_s:g} s: {last}", process.read_log_tail())


def wait_until_open(process: StartedProcess, port: int, within_s: float) -> None:
    """Wait until a program that stands beside a system listens."""
    deadline_s = time.monotonic() + within_s
    while process.exit_status is None and time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=within_s).close()
        except OSError:
            time.sleep(POLL_S)
            continue
        return
    raise SystemFailed("has no program beside it", process.read_log_tail())


def check_answer(launch: Launch, process: StartedProcess, *, is_stream: bool) -> None:
    """Ask a system for a chat completion and compare the answer with what the mock sends."""
    body = {
        "model": MODEL,
        "stream": is_stream,
        "messages": [{"role": "user", "content": "bench:n=3,d=0,b=1,t=0; hello"}],
    }
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {launch.api_key}",
        **launch.headers,
    }
    # The mock looks for this exact spelling.
    text = json.dumps(body, separators=(",", ":")).encode()
    kind = "a stream" if is_stream else "JSON"
    try:
        status, answer = _ask("POST", launch.port, CHAT_PATH, headers, text)
    except (OSError, http.client.HTTPException) as error:
        raise SystemFailed(
            f"broke off when asked for {kind}: {type(error).__name__}", process.read_log_tail()
        ) from error
    if status != 200:
        shown = answer[:300].decode(errors="replace")
        raise SystemFailed(
            f"answered {status} when asked for {kind}: {shown}", process.read_log_tail()
        )
    is_right = (
        answer.count(b'"@') == 3 and answer.rstrip().endswith(b"data: [DONE]")
        if is_stream
        else b"short benchmark answer" in answer
    )
    if not is_right:
        raise SystemFailed(f"did not pass on the mock's answer when asked for {kind}")


def _ask(
    method: str, port: int, path: str, headers: dict[str, str], body: bytes | None
) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)
    try:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()
