"""Tests of the rows whose clients and providers speak several formats."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from pydantic import TypeAdapter

from bench.load import LoadPlan, build_command, parse_result
from bench.process import StartedProcess
from bench.readiness import find_free_port, wait_until_open
from bench.systems import CHAT_PATH, HUB_ROWS, MESSAGES_PATH, MODEL, Ground
from bench.toolchain import Tools
from bench.translations import CLAUDE, CLIENTS, GEMINI, TITLES, TranslatingProxy, build_hub_rows
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher

GENERATE = "/v1beta/models/gemini-bench:generateContent"
STREAM = "/v1beta/models/gemini-bench:streamGenerateContent?alt=sse"


@pytest.fixture
def mock_url(tools: Tools, tmp_path: Path) -> Iterator[str]:
    """The mock, listening."""
    port = find_free_port()
    argv = [str(tools.mock), str(port)]
    with StartedProcess(argv, log_file=tmp_path / "mock.log", cores=(), cwd=tmp_path) as mock:
        wait_until_open(mock, port, 10.0)
        yield f"http://127.0.0.1:{port}"


def ask(url: str, *, stream: bool) -> bytes:
    """Return the mock's answer of three chunks."""
    prompt = "bench:n=3,d=0,b=1,t=0; hello"
    body = {"stream": stream, "messages": [{"role": "user", "content": prompt}]}
    text = json.dumps(body, separators=(",", ":")).encode()
    with urllib.request.urlopen(urllib.request.Request(url, text)) as answer:
        told: bytes = answer.read()
    return told


def test_each_format_has_a_provider_with_a_model_of_its_own(tmp_path: Path) -> None:
    """Our own loader takes the configuration, and finds each row's model at the right type."""
    path = tmp_path / "config.yaml"
    ground = Ground(8000, 8001, tmp_path)
    path.write_text(TranslatingProxy().build_config(ground, f"sk-bench-{'0' * 32}"))
    loaded = load_config(path, {}, KeyHasher(b"k"), now_at=0.0)
    assert loaded.warnings == ()
    for model, kind in ((MODEL, "openai"), (CLAUDE, "anthropic"), (GEMINI, "gemini")):
        (deployment,) = loaded.snapshot.groups[model].deployments
        assert deployment.provider.type == kind


def test_rows_are_the_paced_one_for_other_clients_and_models() -> None:
    """Each row has its clients' format and model, and the systems know each by its name."""
    rows = {row.name: row for row in build_hub_rows(is_quick=False)}
    assert set(rows) == set(CLIENTS) == set(TITLES) == HUB_ROWS
    assert {row.start for row in rows.values()} == {"hub"}
    asked = {name: (row.plan.as_anthropic, row.plan.model) for name, row in rows.items()}
    assert asked["messages-openai"] == (True, MODEL)
    assert asked["chat-gemini"] == (False, GEMINI)
    assert {row.plan.connections for row in rows.values()} == {64}


def test_the_mock_answers_messages_as_anthropic_would(mock_url: str) -> None:
    """The answer and every event of the stream are what Anthropic's own types expect."""
    message = Message.model_validate_json(ask(mock_url + MESSAGES_PATH, stream=False))
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 21)
    events: list[str] = []
    reader: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    for block in ask(mock_url + MESSAGES_PATH, stream=True).decode().rstrip().split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: "))["type"])
        assert name == f"event: {events[-1]}"
        if events[-1] != "ping":
            reader.validate_json(data.removeprefix("data: "))
    assert events == [
        *("message_start", "content_block_start", "ping"),
        *["content_block_delta"] * 3,
        *("content_block_stop", "message_delta", "message_stop"),
    ]


def test_the_mock_answers_generate_content_as_gemini_would(mock_url: str) -> None:
    """The answer and every event of the stream are what Gemini's own types expect."""
    whole = GenerateContentResponse.model_validate_json(ask(mock_url + GENERATE, stream=False))
    assert whole.text is not None
    assert "short benchmark answer" in whole.text
    blocks = ask(mock_url + STREAM, stream=False).decode().rstrip().split("\r\n\r\n")
    assert all(block.startswith("data: ") for block in blocks)
    chunks = [
        GenerateContentResponse.model_validate_json(block.removeprefix("data: "))
        for block in blocks
    ]
    texts = [chunk.text or "" for chunk in chunks]
    assert [text[:1] for text in texts] == ["@", "@", "@", ""]
    last = chunks[-1].candidates
    assert last is not None
    assert last[0].finish_reason == "STOP"


def test_lg_takes_only_the_end_that_the_format_has(mock_url: str, tools: Tools) -> None:
    """A stream of Anthropic's is whole when it was asked for, and short for OpenAI's clients."""

    def load(path: str, *, as_anthropic: bool) -> tuple[bool, int]:
        plan = LoadPlan(2, 0.2, 0.1, streams=True, chunks=5, delay_ms=1, as_anthropic=as_anthropic)
        argv = build_command(tools.lg, mock_url + path, "sk-test", plan)
        result = parse_result(subprocess.run(argv, check=True, capture_output=True).stdout)
        assert result.err_status == result.err_conn == 0
        return result.ok > 0, result.err_short

    assert load(MESSAGES_PATH, as_anthropic=True) == (True, 0)
    assert load(CHAT_PATH, as_anthropic=False) == (True, 0)
    was_good, short = load(MESSAGES_PATH, as_anthropic=False)
    assert not was_good
    assert short > 0
