"""
Replays tests/samples: what each type of provider sends, and what a client gets of it.

A case is a folder: `request.json` (the client's), `sent.json` (ours to the provider),
`response.<status>.<sse|json|html>` (the provider's) and `expected.<status>.<sse|json>` (what
the client gets). An error in a stream that has begun stands at the end of `expected`.
"""

from pathlib import Path

import pytest

from proxy.domain.errors import ProxyError
from proxy.providers.openai_compatible import KINDS
from proxy.providers.registry import find_type
from proxy.wire.openai_error import build_error_body, build_error_event, read_error_answer
from proxy.wire.openai_request import parse_ask
from tests.providers.asking import deployment_of

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
CASES = sorted(path.parent for path in SAMPLES.glob("*/*/request.json"))
NAMES = [f"{path.parent.name}/{path.name}" for path in CASES]


def only(case: Path, pattern: str) -> tuple[int, str, bytes]:
    """(status, format, bytes) of the one file of that pattern."""
    (path,) = case.glob(pattern)
    _, status, kind = path.name.split(".")
    return int(status), kind, path.read_bytes()


def received(case: Path, piece_bytes: int) -> tuple[int, bytes]:
    """(status, body) that a client gets where the provider's bytes come in such pieces."""
    provider = find_type(case.parent.name)
    ask = parse_ask("chat", (case / "request.json").read_bytes())
    status, kind, body = only(case, "response.*")
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
            out += build_error_event(reader.error)
        return 200, out
    except ProxyError as error:
        return error.status, build_error_body(error)


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_client_gets_what_the_sample_says(case: Path, piece_bytes: int) -> None:
    """However the provider's bytes were cut, the client gets the expected ones."""
    status, _, body = only(case, "expected.*")
    assert received(case, piece_bytes) == (status, body)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_provider_gets_what_the_sample_says(case: Path) -> None:
    """The body that goes out is the expected one, byte by byte."""
    ask = parse_ask("chat", (case / "request.json").read_bytes())
    request = find_type(case.parent.name).build_request(ask, deployment_of(case.parent.name), {})
    assert request.body + b"\n" == (case / "sent.json").read_bytes()


def test_each_type_has_its_four_cases() -> None:
    """A text, a stream, a tool call and an error are recorded for every row of the table."""
    wanted = {f"{k.type}/{n}" for k in KINDS for n in ("text", "stream", "tool_call", "error")}
    assert set(NAMES) >= wanted
