"""Tests of `proxy/providers/gemini.py`."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain import errors as e
from proxy.domain.catalog import Deployment, Provider
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading, ProbeSettings
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.providers.gemini import GEMINI, Gemini
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from tests.wire.gemini_answers import USAGE, said, stream, text

TYPE = Gemini()
USUAL = "https://generativelanguage.googleapis.com/v1beta"
LEAST: dict[Operation, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "completions": {"prompt": "hi"},
    "embeddings": {"input": "hi"},
    "messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    "count_tokens": {"messages": [{"role": "user", "content": "hi"}]},
}
DONE = said(text("Hi"), finish="STOP", usageMetadata=USAGE)


def ask_for(operation: Operation = "chat", **fields: Any) -> Ask:
    body = {"model": "alias", **LEAST[operation], **fields}
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})


def provider_of(**more: Any) -> Provider:
    given: dict[str, Any] = {"base_url": USUAL, "api_key": Secret("canary-key"), **more}
    return Provider(name="it", type="gemini", **given)


def build(ask: Ask, model: str = "gemini-3-flash", **more: Any) -> OutboundRequest:
    return TYPE.build_request(ask, Deployment(provider_of(**more), model), {"traceparent": "t"})


@pytest.mark.parametrize(
    ("operation", "streams", "end"),
    [
        ("chat", False, ":generateContent"),
        ("chat", True, ":streamGenerateContent?alt=sse"),
        ("completions", False, ":generateContent"),
        ("completions", True, ":streamGenerateContent?alt=sse"),
        ("messages", False, ":generateContent"),
        ("messages", True, ":streamGenerateContent?alt=sse"),
        ("count_tokens", False, ":countTokens"),
        ("embeddings", False, ":batchEmbedContents"),
    ],
)
def test_each_operation_has_its_path(operation: Operation, streams: bool, end: str) -> None:
    """The model stands in the address, and what is wanted of it behind."""
    request = build(ask_for(operation, **({"stream": True} if streams else {})))
    assert request.url == f"{USUAL}/models/gemini-3-flash{end}"
    assert (request.method, request.streams) == ("POST", streams)
    assert json.loads(request.body)


def test_the_key_goes_into_googles_header() -> None:
    """Never into the address, which stands in logs; as a bearer where that is set."""
    request = build(ask_for())
    assert request.headers["x-goog-api-key"] == "canary-key"
    assert "Authorization" not in request.headers
    assert request.headers["traceparent"] == "t"
    assert "canary" not in request.url
    bearer = build(ask_for(), auth="bearer").headers
    assert bearer["Authorization"] == "Bearer canary-key" and "x-goog-api-key" not in bearer
    assert "x-goog-api-key" not in build(ask_for(), api_key=None).headers


@pytest.mark.parametrize(
    ("base_url", "version", "root"),
    [
        (USUAL, None, USUAL),
        (USUAL, "v1", "https://generativelanguage.googleapis.com/v1"),
        ("https://it.example", None, "https://it.example/v1beta"),
        ("https://it.example/", "v1alpha", "https://it.example/v1alpha"),
        ("https://it.example/gateway/google", None, "https://it.example/gateway/google"),
        ("https://it.example/google/v1", "v1beta", "https://it.example/google/v1beta"),
        ("https://it.example/google", "v1beta", "https://it.example/google/v1beta"),
        ("https://it.example/google/v2", "v2", "https://it.example/google/v2"),
    ],
)
def test_the_version_stands_in_the_address(base_url: str, version: str | None, root: str) -> None:
    """It is Google's usual one where nothing is said, and a path of the operator's own is kept."""
    request = build(ask_for(), base_url=base_url, api_version=version)
    assert request.url == f"{root}/models/gemini-3-flash:generateContent"


@pytest.mark.parametrize(
    ("model", "step"),
    [
        ("models/gemini-3-flash", "gemini-3-flash"),
        ("..", ".."),
        ("../../v1/x", "..%2F..%2Fv1%2Fx"),
        ("x:deleteAll?alt=json#", "x%3AdeleteAll%3Falt%3Djson%23"),
        ("é x%2F", "%C3%A9%20x%252F"),
    ],
)
def test_no_name_leaves_its_place_in_the_path(model: str, step: str) -> None:
    """A client may have made it up: whatever is in it, it is one step, and no operation."""
    assert build(ask_for(), model).url == f"{USUAL}/models/{step}:generateContent"


@given(st.text(min_size=1))
def test_any_name_is_one_step_behind_models(model: str) -> None:
    """Three slashes, one question at most, and the name comes out as it went in."""
    request = build(ask_for("embeddings"), model.encode("utf-8", "replace").decode())
    path = urlsplit(request.url).path
    assert path.count("/") == 3 and path.startswith("/v1beta/models/")
    assert path.endswith(":batchEmbedContents")
    name = unquote(path.removeprefix("/v1beta/models/").removesuffix(":batchEmbedContents"))
    assert name == model.encode("utf-8", "replace").decode().removeprefix("models/")


def test_what_an_earlier_attempt_has_dropped_is_forgotten() -> None:
    """Only what this provider does not take is named."""
    ask = ask_for(user="u")
    ask.dropped = ["of another"]
    build(ask)
    assert ask.dropped == ["user"]


def test_an_operation_that_is_not_known_is_refused() -> None:
    """A provider has what stands in its row, and nothing else."""
    ask = ask_for()
    ask.operation = "ollama_embed"
    with pytest.raises(e.InvalidRequest) as caught:
        build(ask)
    assert caught.value.code == "unsupported_operation"


@pytest.mark.parametrize("operation", ["chat", "completions", "messages"])
def test_answers_are_in_the_clients_dialect(operation: Operation) -> None:
    """Whole or streamed, each kind of client gets its own format and the same counts."""
    body = json.dumps(DONE).encode()
    ask = ask_for(operation)
    answer = TYPE.read_answer(ask, body)
    assert answer.usage == Usage(29, 819, reasoning_tokens=804)
    value = json.loads(answer.body)
    if operation == "messages":
        assert value["content"][0]["text"] == "Hi" and value["stop_reason"] == "end_turn"
        assert value["usage"]["input_tokens"] == 29
    else:
        choice = value["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert "Hi" in (choice.get("text"), choice.get("message", {}).get("content"))
        assert value["usage"]["completion_tokens"] == 819


@pytest.mark.parametrize(
    ("operation", "end"),
    [
        ("chat", b"data: [DONE]\n\n"),
        ("completions", b"data: [DONE]\n\n"),
        ("messages", b'{"type":"message_stop"}\n\n'),
    ],
)
def test_streams_are_in_the_clients_dialect(operation: Operation, end: bytes) -> None:
    """A stream, and a whole answer in its place, end as the client expects it."""
    ask = ask_for(operation, stream=True)
    reader = TYPE.open_stream(ask, 1 << 20)
    out = reader.feed(stream(said(text("H")), said(text("i"), finish="STOP", usageMetadata=USAGE)))
    assert reader.has_content and not reader.is_over
    out += reader.finish()
    assert reader.is_complete and out.endswith(end)
    assert reader.usage == Usage(29, 819, reasoning_tokens=804)
    whole = TYPE.stream_answer(ask, json.dumps(DONE).encode())
    assert whole.body.endswith(end) and whole.usage == reader.usage


def test_a_stream_that_is_cut_is_no_success() -> None:
    """No ending is written for it."""
    reader = TYPE.open_stream(ask_for(stream=True), 1 << 20)
    out = reader.feed(stream(said(text("H")))) + reader.finish()
    assert isinstance(reader.error, e.UpstreamTruncated)
    assert not reader.is_complete and b"[DONE]" not in out


def test_vectors_are_read() -> None:
    """An embeddings request is answered with vectors."""
    answer = TYPE.read_answer(ask_for("embeddings"), b'{"embeddings":[{"values":[1.0]}]}')
    assert json.loads(answer.body)["data"][0]["embedding"] == [1.0]


def test_tokens_are_counted_by_gemini() -> None:
    """The count is given as Anthropic's clients read it, and costs nothing."""
    assert "count_tokens" in TYPE.counts
    answer = TYPE.read_answer(ask_for("count_tokens"), b'{"totalTokens": 31}')
    assert json.loads(answer.body) == {"input_tokens": 31}
    assert answer.usage == Usage(0, 0)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", e.UpstreamProtocolError),
        (b"x", e.UpstreamProtocolError),
        (b'{"totalTokens":-1}', e.UpstreamProtocolError),
        (b'{"error":{"code":503,"message":"m"}}', e.UpstreamOverloaded),
    ],
)
def test_what_is_no_count_is_an_error(body: bytes, kind: type[e.UpstreamError]) -> None:
    """Anything else raises an error of the provider's."""
    with pytest.raises(kind):
        TYPE.read_answer(ask_for("count_tokens"), body)


def probe(**more: Any) -> OutboundRequest | None:
    settings = {"kind": "free", "path": None} | {
        k: more.pop(k) for k in ("kind", "path") if k in more
    }
    provider = provider_of(probe=ProbeSettings(settings["kind"], settings["path"], 0), **more)
    return TYPE.build_probe(provider, Clocks())


def test_its_list_of_models_tells_how_it_is() -> None:
    """One of them is asked for, with the key, and without a body."""
    request = probe()
    assert request is not None
    assert (request.method, request.url) == ("GET", f"{USUAL}/models?pageSize=1")
    assert request.headers["x-goog-api-key"] == "canary-key"
    assert "Content-Type" not in request.headers and request.body == b""
    bare = probe(base_url="https://it.example")
    assert bare is not None and bare.url == "https://it.example/v1beta/models?pageSize=1"
    own = probe(base_url="https://it.example", path="/up")
    assert own is not None and own.url == "https://it.example/up"
    assert probe(kind="off") is None


def test_a_completion_asks_for_one_token() -> None:
    """Of the first model that is listed."""
    request = probe(kind="completion", models=("*", "gemini-3-flash"))
    assert request is not None
    assert request.url == f"{USUAL}/models/gemini-3-flash:generateContent"
    assert json.loads(request.body)["generationConfig"] == {"maxOutputTokens": 1}
    assert request.clocks == Clocks()


BAD_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid.",
        "status": "INVALID_ARGUMENT",
        "details": [{"reason": "API_KEY_INVALID"}],
    }
}


@pytest.mark.parametrize(
    ("status", "value", "state"),
    [
        (200, {"models": [{"name": "models/gemini-3-flash"}]}, "healthy"),
        (200, {"error": {"message": "m"}}, "unhealthy"),
        (400, BAD_KEY, "key_rejected"),
        (400, {"error": {"message": "m"}}, "healthy"),
        (403, {"error": {"message": "m"}}, "key_rejected"),
        (429, {}, "rate_limited"),
        (503, {}, "unhealthy"),
    ],
    ids=str,
)
def test_an_answer_to_a_probe_is_read(status: int, value: object, state: str) -> None:
    """Google says with 400 that a key is bad; its list of one tells of no other model."""
    reading = TYPE.read_probe(provider_of(), status, json.dumps(value).encode())
    assert reading.state == state
    assert reading.models == ()


@pytest.mark.parametrize(
    ("body", "reading"),
    [
        (json.dumps(DONE).encode(), ProbeReading("healthy", "completes")),
        (b"{}", ProbeReading("unhealthy", "its answer is no completion")),
        (b"<html>", ProbeReading("unhealthy", "its answer is no completion")),
    ],
)
def test_an_answer_to_a_completion_is_one(body: bytes, reading: ProbeReading) -> None:
    """It has candidates, whatever they say."""
    provider = provider_of(
        models=("gemini-3-flash",), probe=ProbeSettings("completion", None, 1_000_000)
    )
    assert TYPE.read_probe(provider, 200, body) == reading
    assert TYPE.read_probe(provider, 400, json.dumps(BAD_KEY).encode()).state == "key_rejected"


def test_its_row_says_where_it_is() -> None:
    """Address and variables are those of Google's own SDK, and its settings are taken."""
    assert GEMINI.base_url == USUAL
    assert GEMINI.key_variables == ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    assert GEMINI.has_versions and not GEMINI.appends_v1
