"""Tests of `proxy/providers/ollama.py`: where a request goes, what it holds, and its probes."""

import json
from typing import Any

import pytest

from proxy.domain import errors as e
from proxy.domain.catalog import Deployment, ModelInfo, Provider
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading, ProbeSettings
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks
from proxy.providers.ollama import OLLAMA, Ollama
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect

TYPE = Ollama()
LOCAL = "http://127.0.0.1:11434"
HI = {"messages": [{"role": "user", "content": "hi"}]}
LEAST: dict[Operation, dict[str, Any]] = {
    "chat": HI,
    "completions": {"prompt": "hi"},
    "embeddings": {"input": "hi"},
    "messages": {**HI, "max_tokens": 5},
    "responses": {"input": "hi"},
    "generate": {"prompt": "hi"},
    "ollama_chat": HI,
    "ollama_generate": {"prompt": "hi"},
    "ollama_embed": {"input": "hi"},
}
END = b'{"model":"q","message":{"content":"Hi"},"done":true,"done_reason":"stop","eval_count":1}'


def ask_for(operation: Operation = "chat", **fields: Any) -> Ask:
    body = {"model": "alias", **LEAST[operation], **fields}
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})


def provider_of(**more: Any) -> Provider:
    return Provider(**{"name": "it", "type": "ollama", "base_url": LOCAL, **more})


def build(ask: Ask, **more: Any) -> OutboundRequest:
    return TYPE.build_request(ask, Deployment(provider_of(**more), "qwen3"), {})


def window(ask: Ask, **more: Any) -> int:
    size: int = json.loads(build(ask, **more).body)["options"]["num_ctx"]
    return size


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        *((name, "/api/chat") for name in ("chat", "completions", "messages", "responses")),
        ("generate", "/api/chat"),
        ("ollama_chat", "/api/chat"),
        ("ollama_generate", "/api/generate"),
        ("embeddings", "/api/embed"),
        ("ollama_embed", "/api/embed"),
    ],
)
def test_every_operation_has_its_path(operation: Operation, path: str) -> None:
    """All that is read as a chat is one; who speaks Ollama's dialect is asked in it."""
    request = build(ask_for(operation))
    assert request.url == LOCAL + path
    assert json.loads(request.body)["model"] == "qwen3"
    assert request.method == "POST"


@pytest.mark.parametrize("url", [LOCAL, LOCAL + "/", LOCAL + "/v1", LOCAL + "/v1/", LOCAL + "/api"])
def test_an_address_may_name_any_of_its_surfaces(url: str) -> None:
    """Configurations that named the one of OpenAI's format mean the same server."""
    assert build(ask_for(), base_url=url).url == LOCAL + "/api/chat"


def test_a_key_is_sent_where_there_is_one() -> None:
    """A server of one's own needs none; Ollama's cloud takes it as a bearer."""
    assert "Authorization" not in build(ask_for()).headers
    request = build(ask_for(stream=True), api_key=Secret("sk-canary"))
    assert request.headers["Authorization"] == "Bearer sk-canary"
    assert request.headers["Accept"] == "application/x-ndjson"
    assert request.streams


def test_an_unknown_operation_is_refused() -> None:
    """It has nothing to count tokens with."""
    ask = Ask("count_tokens", "alias", {})
    with pytest.raises(e.NotOffered) as raised:
        build(ask)
    assert raised.value.code == "unsupported_operation"


@pytest.mark.parametrize("operation", ["chat", "messages", "ollama_chat"])
def test_the_window_is_bounded_by_operator_and_model(operation: Operation) -> None:
    """It grows from the least to the most that is allowed; what a model knows goes before both."""
    long = {"messages": [{"role": "user", "content": "x" * 110_000}]}
    assert window(ask_for(operation)) == 8192
    assert window(ask_for(operation), min_context_tokens=20_000) == 20_000
    assert window(ask_for(operation, **long)) == 65_536
    assert window(ask_for(operation, **long), max_context_tokens=16_000) == 16_000
    known = {"qwen3": ModelInfo(max_input_tokens=40_960)}
    assert window(ask_for(operation, **long), model_info=known) == 40_960


def test_history_is_never_cut_without_a_word() -> None:
    """What does not fit into a window of ours is refused; into its own a client has its say."""
    assert json.loads(build(ask_for()).body)["truncate"] is False
    assert json.loads(build(ask_for()).body)["shift"] is False
    assert json.loads(build(ask_for("ollama_chat")).body)["truncate"] is False
    own = ask_for("ollama_chat", options={"num_ctx": 4096})
    assert "truncate" not in json.loads(build(own).body)


def test_what_is_left_out_is_named() -> None:
    """And nothing of an attempt before it."""
    ask = ask_for(user="u", logit_bias={"1": 1})
    ask.dropped = ["of another"]
    build(ask)
    assert ask.dropped == ["logit_bias", "user"]


def test_answers_are_the_clients() -> None:
    """Whole, as the stream that was asked for, and passed on where both speak the same."""
    assert json.loads(TYPE.read_answer(ask_for(), END).body)["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
    }
    assert TYPE.stream_answer(ask_for(stream=True), END).body.endswith(b"data: [DONE]\n\n")
    assert TYPE.read_answer(ask_for("ollama_chat", stream=False), END).body == END + b"\n"
    assert TYPE.stream_answer(ask_for("ollama_chat"), END).body == END + b"\n"
    vectors = b'{"embeddings":[[1.5]],"prompt_eval_count":1}'
    answer = TYPE.read_answer(ask_for("embeddings"), vectors)
    assert json.loads(answer.body)["data"][0]["embedding"] == [1.5]


@pytest.mark.parametrize("operation", ["chat", "messages", "ollama_chat", "ollama_generate"])
def test_streams_end_with_their_last_line(operation: Operation) -> None:
    """The reader is over with the line that is done, and counts what it has said."""
    reader = TYPE.open_stream(ask_for(operation, stream=True), 1 << 20)
    out = reader.feed(END + b"\n")
    assert b"Hi" in out
    assert (reader.is_over, reader.error, reader.has_content) == (True, None, True)
    assert reader.usage is not None
    assert TYPE.find_maker(ask_for(operation), "qwen3") is None


CLOCKS = Clocks(answer_s=5.0)


def test_a_probe_asks_for_the_list_of_models() -> None:
    """It costs nothing; a path of the operator's own stands behind the address as it is."""
    request = TYPE.build_probe(provider_of(base_url=LOCAL + "/v1"), CLOCKS)
    assert request is not None
    assert (request.method, request.url, request.body) == ("GET", LOCAL + "/api/tags", b"")
    own = provider_of(base_url=LOCAL + "/v1", probe=ProbeSettings(path="/models"))
    request = TYPE.build_probe(own, CLOCKS)
    assert request is not None
    assert request.url == LOCAL + "/v1/models"
    assert TYPE.build_probe(provider_of(probe=ProbeSettings("off")), CLOCKS) is None
    tags = b'{"models":[{"name":"qwen3:8b","model":"qwen3:8b"}]}'
    reading = TYPE.read_probe(provider_of(), 200, tags)
    assert (reading.state, reading.models) == ("healthy", ("qwen3:8b",))


def test_a_probe_by_completion_asks_for_one_token() -> None:
    """What has answered completes, whether it has said anything or not."""
    provider = provider_of(models=("q",), probe=ProbeSettings("completion"))
    request = TYPE.build_probe(provider, CLOCKS)
    assert request is not None
    body = json.loads(request.body)
    assert (request.url, body["model"]) == (LOCAL + "/api/chat", "q")
    assert body["options"]["num_predict"] == 1
    assert TYPE.read_probe(provider, 200, END) == ProbeReading("healthy", "completes")
    for wrong in (b"{}", b"[", b'{"done":false,"message":{}}'):
        assert TYPE.read_probe(provider, 200, wrong).state == "unhealthy"
    assert TYPE.read_probe(provider, 401, b"").state == "key_rejected"


def test_its_clocks_are_those_of_a_local_server() -> None:
    """A model may take minutes to load, and a window is told with each request."""
    assert OLLAMA.is_local
    assert OLLAMA.has_context_window
    assert not OLLAMA.needs_key


def test_a_tool_that_must_be_called_is_called_by_what_is_said() -> None:
    """The text of the answer is the call's arguments, whole, as a stream and streamed."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {"tools": [tool], "tool_choice": "required"}
    assert json.loads(build(ask_for(**asked)).body)["format"] == {"type": "object"}
    body = END.replace(b'"Hi"', b'"{\\"a\\":1}"')
    whole = json.loads(TYPE.read_answer(ask_for(**asked), body).body)["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    stream = TYPE.open_stream(ask_for(**asked, stream=True), 1000)
    told = stream.feed(body + b"\n") + stream.finish()
    assert b'"name":"f"' in told and b'"finish_reason":"tool_calls"' in told
    told = TYPE.stream_answer(ask_for(**asked, stream=True), body).body
    assert b'"name":"f"' in told and b'"finish_reason":"tool_calls"' in told
