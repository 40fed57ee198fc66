"""
Replays the samples of providers whose dialect is not every client's.

A case is a folder with, for each dialect of clients that asks: `request.<operation>.json` (the
client's), `sent.<operation>.json` (address and body of ours to the provider, and what was left
out of it) and `expected.<operation>.<status>.<sse|ndjson|json>` (what the client gets); and once
`response.<status>.<sse|ndjson|json>` (the provider's), `headers.json` (those of the response) and
`deployment.json` (the model at the provider, and its API version) where they matter.
An error in a stream that has begun stands at the end of `expected`.

`python -m tests.providers.hub_samples anthropic/text` writes `sent` and `expected` of a case
anew, of all cases without an argument. What it has written must then be read.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import ProxyError, UpstreamError
from proxy.domain.exchange import Operation
from proxy.domain.secret import Secret
from proxy.providers.registry import find_kind, find_type
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from proxy.wire.ndjson import NDJSON
from proxy.wire.openai_error import read_error_answer

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
PROVIDERS = ("anthropic", "gemini", "azure", "cohere", "ollama")
OPERATIONS: tuple[Operation, ...] = (
    *("chat", "messages", "responses", "completions", "generate"),
    *("ollama_chat", "ollama_generate"),
)
MODELS = {
    "anthropic": "claude-sonnet-4-6",
    "gemini": "gemini-3-pro",
    "azure": "my-deployment",
    "cohere": "command-a-reasoning-08-2025",
    "ollama": "qwen3:8b",
}
AZURE_URL = "https://it.openai.azure.com"
NOW = 1_760_000_000
KEY = "sk-canary"
REQUEST_ID = "req-of-ours"

Sample = tuple[Path, Operation]
Cut = Callable[[bytes], Iterable[bytes]]


def list_samples() -> list[Sample]:
    """Return every case with every dialect that asks it."""
    cases = [path for name in PROVIDERS for path in sorted((SAMPLES / name).iterdir())]
    return [
        (case, operation)
        for case in cases
        for operation in OPERATIONS
        if (case / f"request.{operation}.json").exists()
    ]


def name_sample(sample: Sample) -> str:
    """Return what a test calls it."""
    case, operation = sample
    return f"{case.parent.name}/{case.name}/{operation}"


def read_response(case: Path) -> tuple[int, str, bytes]:
    """Return (status, format, body) of what the provider has answered."""
    (path,) = case.glob("response.*")
    _, status, kind = path.name.split(".")
    return int(status), kind, path.read_bytes()


def read_expected(sample: Sample) -> tuple[int, str, bytes]:
    """Return (status, format, body) of what the client is to get."""
    case, operation = sample
    (path,) = case.glob(f"expected.{operation}.*")
    _, _, status, kind = path.name.split(".")
    return int(status), kind, path.read_bytes()


def read_json(path: Path) -> Any:
    """Return the file's JSON, {} if there is no such file."""
    return json.loads(path.read_bytes()) if path.exists() else {}


def open_ask(sample: Sample) -> Ask:
    """Return the client's request as the pipeline has it."""
    case, operation = sample
    body = (case / f"request.{operation}.json").read_bytes()
    ask = find_dialect(operation).parse_ask(operation, body, {})
    ask.asked_at = NOW
    return ask


def find_deployment(case: Path) -> Deployment:
    """Return the model at the provider that the case is about."""
    name = case.parent.name
    facts = read_json(case / "deployment.json")
    kind = find_kind(name)
    provider = Provider(
        name="it",
        type=name,
        base_url=(kind and kind.base_url) or AZURE_URL,
        api_key=Secret(KEY),
        api_version=facts.get("api_version"),
    )
    return Deployment(provider, facts.get("model", MODELS[name]))


def send(sample: Sample) -> dict[str, Any]:
    """Return where the request goes, as what, and what is left out of it."""
    case, _ = sample
    ask = open_ask(sample)
    try:
        request = find_type(case.parent.name).build_request(ask, find_deployment(case), {})
    except ProxyError as error:
        return {"refused": {"message": error.message, "param": error.param}}
    headers = {
        name: value.replace(KEY, "<key>")
        for name, value in request.headers.items()
        if name != "User-Agent"  # it has our version in it
    }
    return {
        "url": request.url,
        "headers": headers,
        "dropped": ask.dropped,
        "body": json.loads(request.body),
    }


def receive(sample: Sample, cut: Cut = lambda body: [body]) -> tuple[int, bytes]:
    """Return (status, body) that the client gets where the provider's bytes come in such pieces."""
    case, operation = sample
    ask = open_ask(sample)
    dialect = find_dialect(operation)
    provider = find_type(case.parent.name)
    status, kind, body = read_response(case)
    # Ids that we make are numbered, so that they can be expected.
    with patch("proxy.wire.new_id.choices", _number()):
        try:
            provider.build_request(ask, find_deployment(case), {})
            if status != 200:
                raise read_error_answer(status, read_json(case / "headers.json"), body, NOW)
            if kind == "json":
                return 200, provider.read_answer(ask, body).body
            reader = provider.open_stream(ask, 1 << 20)
            out = b"".join([reader.feed(piece) for piece in cut(body)]) + reader.finish()
            if reader.error is not None:
                if not reader.has_content:
                    raise reader.error
                out += dialect.build_error_event(reader.error, REQUEST_ID, ask)
            return 200, out
        except ProxyError as error:
            return error.status, dialect.build_error_body(error, REQUEST_ID)


def find_error(sample: Sample) -> UpstreamError | None:
    """Return how the pipeline judges the provider's answer, None if it is good."""
    case, _ = sample
    status, kind, body = read_response(case)
    if status != 200:
        return read_error_answer(status, read_json(case / "headers.json"), body, NOW)
    ask, provider = open_ask(sample), find_type(case.parent.name)
    provider.build_request(ask, find_deployment(case), {})
    if kind == "json":
        return None
    reader = provider.open_stream(ask, 1 << 20)
    reader.feed(body)
    reader.finish()
    assert reader.error is None or isinstance(reader.error, UpstreamError)
    return reader.error


def _number() -> Callable[..., list[str]]:
    count = 0

    def choices(letters: str, k: int) -> list[str]:
        nonlocal count
        count += 1
        return list(f"{count:0{k}d}")

    return choices


def write(sample: Sample) -> None:
    """Write `sent` and `expected` of a sample as they are now."""
    case, operation = sample
    sent = json.dumps(send(sample), indent=1, ensure_ascii=False)
    (case / f"sent.{operation}.json").write_text(sent + "\n")
    for old in case.glob(f"expected.{operation}.*"):
        old.unlink()
    status, body = receive(sample, lambda raw: [raw[at : at + 1] for at in range(len(raw))])
    kind = "json"
    if status == 200 and read_response(case)[1] != "json":
        kind = "ndjson" if find_dialect(operation).stream_type == NDJSON else "sse"
    (case / f"expected.{operation}.{status}.{kind}").write_bytes(body)


if __name__ == "__main__":
    for each in list_samples():
        if not sys.argv[1:] or name_sample(each).startswith(tuple(sys.argv[1:])):
            write(each)
