"""Tests of `proxy/providers/cohere.py`."""

import json
from typing import Any

import pytest

from proxy.domain import errors as e
from proxy.domain.catalog import Deployment, Provider
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading, ProbeSettings
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.providers.cohere import COHERE, Cohere, find_root
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from tests.wire.cohere_answers import START, content, end, stream, whole

TYPE = Cohere()
USUAL = "https://api.cohere.com"
LEAST: dict[Operation, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "completions": {"prompt": "hi"},
    "generate": {"prompt": "hi"},
    "messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    "embeddings": {"input": "hi"},
}
TEXT = [{"type": "text", "text": "Hi"}]


def ask_for(operation: Operation = "chat", **fields: Any) -> Ask:
    body = {"model": "alias", **LEAST[operation], **fields}
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})


def provider_of(**more: Any) -> Provider:
    given: dict[str, Any] = {"base_url": USUAL, "api_key": Secret("canary-key"), **more}
    return Provider(name="it", type="cohere", **given)


def build(ask: Ask, model: str = "command-a-03-2025", **more: Any) -> OutboundRequest:
    return TYPE.build_request(ask, Deployment(provider_of(**more), model), {"traceparent": "t"})


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("chat", "/v2/chat"),
        ("completions", "/v2/chat"),
        ("messages", "/v2/chat"),
        ("generate", "/v2/chat"),
        ("embeddings", "/v2/embed"),
    ],
)
def test_each_operation_has_its_path(operation: Operation, path: str) -> None:
    """The model stands in the body, by the name that the provider has for it."""
    request = build(ask_for(operation))
    assert (request.method, request.url) == ("POST", USUAL + path)
    assert json.loads(request.body)["model"] == "command-a-03-2025"
    assert not request.streams


def test_the_key_is_a_bearer() -> None:
    """It stands in one header, and nowhere else; without a key there is none."""
    request = build(ask_for(stream=True))
    assert request.headers["Authorization"] == "Bearer canary-key"
    assert request.headers["traceparent"] == "t"
    assert request.headers["Accept"] == "text/event-stream" and request.streams
    assert "canary" not in request.url
    assert "Authorization" not in build(ask_for(), api_key=None).headers


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("https://api.cohere.com", "https://api.cohere.com"),
        ("https://api.cohere.com/", "https://api.cohere.com"),
        ("https://api.cohere.com/v1", "https://api.cohere.com"),
        ("https://api.cohere.com/v2/", "https://api.cohere.com"),
        ("https://it.example/cohere", "https://it.example/cohere"),
    ],
)
def test_a_version_in_the_address_is_of_no_matter(base_url: str, root: str) -> None:
    """Each path has its own; a path of the operator's is kept."""
    provider = provider_of(base_url=base_url)
    assert find_root(provider) == root
    assert build(ask_for(), base_url=base_url).url == f"{root}/v2/chat"


def test_what_an_earlier_attempt_has_dropped_is_forgotten() -> None:
    """Only what this provider does not take is named."""
    ask = ask_for(user="u")
    ask.dropped = ["of another"]
    build(ask)
    assert ask.dropped == ["user"]


def test_an_operation_that_is_not_known_is_refused() -> None:
    """A provider has what stands in its row, and nothing else."""
    ask = ask_for()
    ask.operation = "count_tokens"
    with pytest.raises(e.InvalidRequest) as caught:
        build(ask)
    assert caught.value.code == "unsupported_operation"
    assert not TYPE.counts


def test_nobodys_thoughts_are_wanted_back() -> None:
    """Cohere's models go on without."""
    assert TYPE.find_maker(ask_for(reasoning_effort="high"), "command-a-reasoning") is None


@pytest.mark.parametrize("operation", ["chat", "completions", "messages", "generate"])
def test_answers_are_in_the_clients_dialect(operation: Operation) -> None:
    """Whole or streamed, each kind of client gets its own format and the same counts."""
    body = json.dumps(whole(content=TEXT)).encode()
    answer = TYPE.read_answer(ask_for(operation), body)
    assert answer.usage == Usage(9, 11)
    value = json.loads(answer.body)
    first = {"messages": "content", "generate": "generations"}.get(operation, "choices")
    said = value[first][0]
    assert "Hi" in (said.get("text"), said.get("message", {}).get("content"))
    whole_stream = TYPE.stream_answer(ask_for(operation, stream=True), body)
    reader = TYPE.open_stream(ask_for(operation, stream=True), 1 << 20)
    out = reader.feed(stream(START, content("text", "Hi"), end()))
    assert reader.is_complete and reader.usage == whole_stream.usage == Usage(9, 11)
    assert out.rstrip()[-20:] == whole_stream.body.rstrip()[-20:]


def test_a_stream_that_is_cut_is_no_success() -> None:
    """No ending is written for it."""
    reader = TYPE.open_stream(ask_for(stream=True), 1 << 20)
    out = reader.feed(stream(START, content("text", "H"))) + reader.finish()
    assert isinstance(reader.error, e.UpstreamTruncated)
    assert not reader.is_complete and b"[DONE]" not in out


def test_vectors_are_read() -> None:
    """An embeddings request is answered with vectors."""
    answer = TYPE.read_answer(ask_for("embeddings"), b'{"embeddings":{"float":[[1.0]]}}')
    assert json.loads(answer.body)["data"][0]["embedding"] == [1.0]


def probe(kind: Any = "free", path: str | None = None, **more: Any) -> OutboundRequest | None:
    provider = provider_of(probe=ProbeSettings(kind, path, 0), **more)
    return TYPE.build_probe(provider, Clocks())


def test_its_list_of_models_tells_how_it_is() -> None:
    """The longest page of it is asked for, with the key, and without a body."""
    request = probe()
    assert request is not None
    assert (request.method, request.url) == ("GET", f"{USUAL}/v1/models?page_size=1000")
    assert request.headers["Authorization"] == "Bearer canary-key"
    assert "Content-Type" not in request.headers and request.body == b""
    own = probe(base_url="https://it.example/v2", path="/up")
    assert own is not None and own.url == "https://it.example/v2/up"
    assert probe("off") is None


def test_a_completion_asks_for_one_token() -> None:
    """Of the first model that is listed."""
    request = probe("completion", models=("*", "command-a-03-2025"))
    assert request is not None and request.url == f"{USUAL}/v2/chat"
    body = json.loads(request.body)
    assert (body["model"], body["max_tokens"]) == ("command-a-03-2025", 1)


@pytest.mark.parametrize(
    ("status", "value", "reading"),
    [
        (
            200,
            {"models": [{"name": "command-r"}, {"name": "embed-v4.0"}]},
            ProbeReading("healthy", "lists 2 models", ("command-r", "embed-v4.0")),
        ),
        (401, {"message": "m"}, ProbeReading("key_rejected", "refuses our key (status 401)")),
        (498, {"message": "m"}, ProbeReading("key_rejected", "refuses our key (status 498)")),
    ],
    ids=str,
)
def test_an_answer_to_a_probe_is_read(status: int, value: Any, reading: ProbeReading) -> None:
    """Its models have names, and a blocked key has a status of its own."""
    assert TYPE.read_probe(provider_of(), status, json.dumps(value).encode()) == reading


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (json.dumps(whole(content=[])).encode(), "healthy"),
        (b'{"message":"boom"}', "unhealthy"),
        (b"[]", "unhealthy"),
        (b"<html>", "unhealthy"),
    ],
)
def test_an_answer_to_a_completion_is_one(body: bytes, state: str) -> None:
    """It has a message, whatever that says."""
    provider = provider_of(models=("m",), probe=ProbeSettings("completion", None, 1_000_000))
    assert TYPE.read_probe(provider, 200, body).state == state
    assert TYPE.read_probe(provider, 401, body).state == "key_rejected"


def test_its_row_says_where_it_is() -> None:
    """Address and variables are those of Cohere's own SDK, and of its documents."""
    assert COHERE.base_url == USUAL
    assert COHERE.key_variables == ("COHERE_API_KEY", "CO_API_KEY")
    assert COHERE.needs_key and not COHERE.appends_v1 and not COHERE.has_versions
