"""
Replays the samples of providers that speak OpenAI's format: tests/samples/<type>/<case>.

A case is a folder: `request.json` (the client's), `sent.json` (ours to the provider),
`response.<status>.<sse|json|html>` (the provider's) and `expected.<status>.<sse|json>` (what
the client gets). An error in a stream that has begun stands at the end of `expected`. Cases whose
names begin with `responses_` are of the Responses API, all others of chat completions.

`python -m tests.providers.samples zenith` writes `sent` and `expected` of every case of a type
anew. What it has written must then be read.
"""

import sys
from pathlib import Path

from proxy.domain.errors import ProxyError
from proxy.domain.exchange import Operation
from proxy.providers.registry import find_type
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from proxy.wire.openai_error import read_error_answer
from tests.providers.asking import deployment_of

REQUEST_ID = "req-of-ours"
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def read_file(case: Path, pattern: str) -> tuple[int, str, bytes]:
    """Return (status, format, bytes) of the one file of that pattern."""
    (path,) = case.glob(pattern)
    _, status, kind = path.name.split(".")
    return int(status), kind, path.read_bytes()


def read_ask(case: Path) -> Ask:
    """Return the client's request."""
    operation: Operation = "responses" if case.name.startswith("responses_") else "chat"
    return find_dialect(operation).parse_ask(operation, (case / "request.json").read_bytes(), {})


def send(case: Path) -> bytes:
    """Return the body that goes out, as one line."""
    ask, type_name = read_ask(case), case.parent.name
    return find_type(type_name).build_request(ask, deployment_of(type_name), {}).body + b"\n"


def receive(case: Path, piece_bytes: int) -> tuple[int, bytes]:
    """Return (status, body) of what the client gets of bytes that come in such pieces."""
    provider = find_type(case.parent.name)
    ask = read_ask(case)
    dialect = find_dialect(ask.operation)
    status, kind, body = read_file(case, "response.*")
    try:
        if status != 200:
            raise read_error_answer(status, {}, body, 0.0)
        if kind != "sse":
            return 200, provider.read_answer(ask, body).body
        reader = provider.open_stream(ask, 1 << 20)
        out = b""
        for start in range(0, len(body), piece_bytes):
            out += reader.feed(body[start : start + piece_bytes])
        out += reader.finish()
        if reader.error is not None:
            if ask.operation == "responses" and not reader.has_content:
                raise reader.error
            out += dialect.build_error_event(reader.error, REQUEST_ID, ask)
        return 200, out
    except ProxyError as error:
        return error.status, dialect.build_error_body(error, REQUEST_ID)


def write(case: Path) -> None:
    """Write `sent` and `expected` of a case as they are now."""
    (case / "sent.json").write_bytes(send(case))
    for old in case.glob("expected.*"):
        old.unlink()
    status, body = receive(case, 1)
    kind = "sse" if status == 200 and read_file(case, "response.*")[1] == "sse" else "json"
    (case / f"expected.{status}.{kind}").write_bytes(body)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for path in sorted((SAMPLES / name).glob("*/request.json")):
            write(path.parent)
