"""Tests of `proxy/providers/anthropic.py`."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.types.message_create_params import (
    MessageCreateParamsBase,
    MessageCreateParamsNonStreaming,
)
from msgspec.structs import replace
from openai.types.chat import ChatCompletion
from pydantic import TypeAdapter

from proxy.domain.catalog import Deployment
from proxy.domain.errors import (
    InvalidRequest,
    NotOffered,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamTruncated,
)
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeSettings
from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.providers.anthropic import ANTHROPIC, Anthropic
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from tests.providers.asking import MESSAGES, ask_for, deployment_of
from tests.wire.anthropic_chunks import HI, TOOLS, event, stream
from tests.wire.splits import every_cut, read_all

_PARAMETERS = TypeAdapter(MessageCreateParamsNonStreaming)
TYPE = Anthropic()
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}},
}
ANSWER: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 40, "output_tokens": 4},
}


def native(
    operation: Operation = "messages", headers: dict[str, str] | None = None, **fields: Any
) -> Ask:
    body = {"model": "alias", "messages": MESSAGES} | fields
    if operation == "messages":
        body.setdefault("max_tokens", 100)
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), headers or {})


def build(ask: Ask, model: str = "claude-opus-5", **more: Any) -> OutboundRequest:
    base_url = more.pop("base_url", "https://api.anthropic.com/v1")
    provider = replace(deployment_of("anthropic", **more).provider, base_url=base_url)
    deployment = Deployment(provider, model)
    return TYPE.build_request(ask, deployment, {"traceparent": "00-1"})


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (native(), "/messages"),
        (native("count_tokens"), "/messages/count_tokens"),
        (ask_for(), "/messages"),
        (ask_for("completions"), "/messages"),
    ],
)
def test_each_operation_has_its_path(ask: Ask, path: str) -> None:
    """The key is in its header, the version is always said, the model is the deployment's."""
    request = build(ask)
    assert request.url == "https://api.anthropic.com/v1" + path
    assert request.method == "POST"
    assert request.headers["x-api-key"] == "sk-canary"
    assert "Authorization" not in request.headers
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["traceparent"] == "00-1"
    assert request.headers["Accept"] == "application/json"
    assert json.loads(request.body)["model"] == request.model == "claude-opus-5"


def test_vectors_are_not_had() -> None:
    """Anthropic has none: that is a clear refusal."""
    with pytest.raises(InvalidRequest) as refusal:
        build(ask_for("embeddings"))
    assert refusal.value.code == "unsupported_operation"
    assert "Anthropic" in refusal.value.message


def test_the_key_goes_the_way_that_is_configured() -> None:
    """As a bearer token where that is said; none is no header; own headers win."""
    headers = build(native(), auth="bearer").headers
    assert headers["Authorization"] == "Bearer sk-canary"
    assert "x-api-key" not in headers
    headers = build(native(), api_key=None).headers
    assert not {"x-api-key", "Authorization"} & set(headers)
    headers = build(native(), headers={"Anthropic-Version": "2099-01-01"}).headers
    assert headers["Anthropic-Version"] == "2099-01-01"
    assert "anthropic-version" not in headers


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://a.b", "https://a.b/v1/messages"),
        ("https://a.b/v1", "https://a.b/v1/messages"),
        ("https://a.b/anthropic", "https://a.b/anthropic/v1/messages"),
    ],
)
def test_an_address_may_end_before_its_version(base_url: str, url: str) -> None:
    """As in the settings of Anthropic's own SDKs, `/v1` is added where it is missing."""
    assert build(native(), base_url=base_url).url == url


@pytest.mark.parametrize(
    ("said", "configured", "sent"),
    [
        (None, None, "2023-06-01"),
        (None, "2026-10-21", "2026-10-21"),
        ("2026-10-21", None, "2026-10-21"),
        ("2023-06-01", "2026-10-21", "2023-06-01"),
        ("; DROP", None, "2023-06-01"),
    ],
)
def test_a_body_goes_in_the_version_it_was_written_in(
    said: str | None, configured: str | None, sent: str
) -> None:
    """A client's own version goes before the configured one, if it is a version."""
    ask = native(headers={} if said is None else {"anthropic-version": said})
    assert build(ask, api_version=configured).headers["anthropic-version"] == sent
    # What we write ourselves goes in ours.
    expected = configured or "2023-06-01"
    assert build(ask_for(), api_version=configured).headers["anthropic-version"] == expected


def test_betas_pass_for_clients_of_the_same_dialect() -> None:
    """Only what looks like a list of names; others cannot ask for any."""
    beta = {"anthropic-beta": "context-1m-2025-08-07,files-api-2025-04-14"}
    assert build(native(headers=beta)).headers["anthropic-beta"] == beta["anthropic-beta"]
    for value in ("", "a\nb", "ä", "x" * 2000):
        assert "anthropic-beta" not in build(native(headers={"anthropic-beta": value})).headers
    ask = ask_for()
    ask.passed_headers = beta
    assert "anthropic-beta" not in build(ask).headers


def test_bytes_of_the_same_dialect_pass() -> None:
    """Only the model's name is written anew, and not even that where it is the same."""
    body = b'{"model":"alias","max_tokens":1,"new":1.10,"messages":[{"role":"user","x":1.10}]}'
    ask = find_dialect("messages").parse_ask("messages", body, {})
    assert build(ask).body == body.replace(b"alias", b"claude-opus-5")
    assert build(ask, model="alias").body == body
    assert ask.dropped == []


@pytest.mark.parametrize(("system", "sent"), [("", None), (" ", " "), ([], [])])
def test_an_empty_system_prompt_is_none(system: Any, sent: Any) -> None:
    """A prompt without a character does not go out; whatever has one goes as it came."""
    assert json.loads(build(native(system=system)).body).get("system") == sent


def test_foreign_thoughts_do_not_pass() -> None:
    """What another vendor's model has thought is taken out; Anthropic would refuse it."""
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "lp1.gemini.c2ln"},
        {"type": "text", "text": "Ho"},
    ]
    turns = [*MESSAGES, {"role": "assistant", "content": content}, *MESSAGES]
    sent = json.loads(build(native(messages=turns)).body)["messages"]
    assert sent[1]["content"] == content[1:]
    sent = json.loads(build(native("count_tokens", messages=turns)).body)["messages"]
    assert sent[1]["content"] == content[1:]


def test_a_foreign_loop_goes_on_without_thinking() -> None:
    """Where what was taken out had led to a call, Anthropic would want it back: nothing is."""
    foreign = {"type": "thinking", "thinking": "Hm", "signature": "lp1.gemini.c2ln"}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "4"}
    begun = [*MESSAGES, {"role": "assistant", "content": [foreign, call]}]
    turns = [*begun, {"role": "user", "content": [result]}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    ask = native(messages=turns, thinking=thinking)
    assert "thinking" not in json.loads(build(ask).body)
    assert ask.dropped == ["thinking"]
    # A vendor that does not show its thoughts has left none to be taken out.
    bare = [*MESSAGES, {"role": "assistant", "content": [call]}, *turns[2:]]
    ask = native(messages=bare, thinking=thinking)
    assert "thinking" not in json.loads(build(ask).body)
    off = native(messages=turns, thinking={"type": "disabled"})
    assert json.loads(build(off).body)["thinking"] == {"type": "disabled"}
    own = native(messages=[*turns, *begun[1:], *MESSAGES], thinking=thinking)
    assert json.loads(build(own).body)["thinking"] == thinking
    assert own.dropped == []


def test_other_dialects_are_written_anew() -> None:
    """What is lost is named, once for each attempt; what must not be lost is refused."""
    ask = ask_for(seed=1, max_completion_tokens=9, stream=True, logit_bias={"1": 2})
    for _ in range(2):
        request = build(ask)
        assert sorted(ask.dropped) == ["logit_bias", "seed"]
    assert request.streams
    assert request.headers["Accept"] == "text/event-stream"
    assert json.loads(request.body) == {
        "model": "claude-opus-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": True,
    }
    with pytest.raises(NotOffered):
        build(ask_for(n=2))


def test_the_version_decides_on_sampling() -> None:
    """In the new version no model takes any."""
    ask = ask_for(temperature=0.5)
    assert json.loads(build(ask, "claude-opus-4-5").body)["temperature"] == 0.5
    body = json.loads(build(ask, "claude-opus-4-5", api_version="2026-10-21").body)
    assert "temperature" not in body
    assert ask.dropped == ["temperature"]


def chunks(out: bytes) -> list[dict[str, Any]]:
    """The chunks that a client of chat completions receives."""
    lines = [line[6:] for line in out.split(b"\n\n")[:-1]]
    assert lines.pop() == b"[DONE]"
    return [json.loads(line) for line in lines]


def test_a_stream_is_a_chat_for_a_chat_client() -> None:
    """At every split: the same words, thoughts, calls, counts and end."""
    ask = ask_for(stream=True, stream_options={"include_usage": True})
    said = []
    for pieces in every_cut(stream(TOOLS)):
        reader = TYPE.open_stream(ask, 1 << 20)
        found = chunks(read_all(reader, pieces))
        assert reader.error is None
        assert reader.usage == Usage(68, 48, 7)
        deltas = [chunk["choices"][0]["delta"] for chunk in found if chunk["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        said.append(
            (
                "".join(delta.get("content") or "" for delta in deltas),
                "".join(delta.get("reasoning_content") or "" for delta in deltas),
                [call["function"]["name"] for call in calls if call["function"].get("name")],
                "".join(c["function"].get("arguments", "") for c in calls if c["index"] == 0),
                "".join(c["function"].get("arguments", "") for c in calls if c["index"] == 1),
                [c["choices"][0]["finish_reason"] for c in found if c["choices"]][-1],
                found[-1]["usage"]["prompt_tokens"],
            )
        )
    assert set(map(str, said)) == {
        str(("Looking", "Let me see", ["find", "now"], '{"a":1}', "{}", "tool_calls", 68))
    }


def test_a_stream_passes_for_a_client_of_messages() -> None:
    """It is the very same, whatever the request."""
    reader = TYPE.open_stream(native(stream=True), 1 << 20)
    assert read_all(reader, [stream(HI)]) == stream(HI)
    assert reader.usage == Usage(12, 48)


@pytest.mark.parametrize("ask", [ask_for(stream=True), native(stream=True)])
def test_no_cut_stream_is_a_success(ask: Ask) -> None:
    """In neither dialect, wherever it is cut before the reason why it stopped."""
    data = stream(TOOLS)
    for place in range(0, data.index(b"event: message_delta"), 7):
        reader = TYPE.open_stream(ask, 1 << 20)
        out = read_all(reader, [data[:place]])
        assert isinstance(reader.error, UpstreamTruncated)
        assert b"[DONE]" not in out
        assert b"message_stop" not in out


@pytest.mark.parametrize("ask", [ask_for(stream=True), native(stream=True)])
def test_an_error_in_a_stream_ends_it(ask: Ask) -> None:
    """Nothing of its words is passed on."""
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader = TYPE.open_stream(ask, 1 << 20)
    out = read_all(reader, [stream(HI[:4]), event(failed)])
    assert isinstance(reader.error, UpstreamOverloaded)
    assert b"Overloaded" not in out


def test_a_whole_answer_for_each_client() -> None:
    """Bytes pass to a client of messages; one of chat completions gets its own format."""
    body = json.dumps(ANSWER).encode()
    passed = TYPE.read_answer(native(), body)
    assert passed.body == body
    assert passed.usage == Usage(43, 4, 40)
    answer = TYPE.read_answer(ask_for(), body)
    completion = ChatCompletion.model_validate_json(answer.body)
    assert completion.choices[0].message.content == "Hi"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 43
    assert answer.usage == passed.usage
    legacy = json.loads(TYPE.read_answer(ask_for("completions"), body).body)
    assert legacy["choices"][0]["text"] == "Hi"


def test_a_whole_answer_may_be_a_stream() -> None:
    """Where a stream was asked for and JSON came, each client gets its stream all the same."""
    body = json.dumps(ANSWER).encode()
    found = chunks(TYPE.stream_answer(ask_for(stream=True), body).body)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in found) == "Hi"
    answer = TYPE.stream_answer(native(stream=True), body)
    assert answer.body.startswith(b"event: message_start\n")
    assert answer.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert answer.usage == Usage(43, 4, 40)


def test_a_schema_by_way_of_a_tool_comes_back_as_text() -> None:
    """An older model's call of our tool is the answer, whole and as a stream."""
    ask = ask_for(response_format=FORMAT)
    sent = json.loads(build(ask, "claude-opus-4-1").body)
    name = sent["tool_choice"]["name"]
    content = [{"type": "tool_use", "id": "t", "name": name, "input": {"a": 1}}]
    body = json.dumps(ANSWER | {"content": content, "stop_reason": "tool_use"}).encode()
    choice = json.loads(TYPE.read_answer(ask, body).body)["choices"][0]
    assert json.loads(choice["message"]["content"]) == {"a": 1}
    assert choice["finish_reason"] == "stop"
    assert not choice["message"].get("tool_calls")
    found = chunks(TYPE.stream_answer(ask_for(response_format=FORMAT, stream=True), body).body)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in found) == '{"a": 1}'


def test_tokens_are_counted_by_anthropic() -> None:
    """The count passes as it came, and costs nothing."""
    assert "count_tokens" in TYPE.counts
    answer = TYPE.read_answer(native("count_tokens"), b'{"input_tokens":9}')
    assert (answer.body, answer.usage) == (b'{"input_tokens":9}', Usage(0, 0))


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"type":"error","error":{"type":"x"}}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """For every client, whole or as a stream."""
    for ask in (native(), native("count_tokens"), ask_for(), ask_for("completions")):
        with pytest.raises(UpstreamError):
            TYPE.read_answer(ask, body)
    for ask in (native(), ask_for()):
        with pytest.raises(UpstreamError):
            TYPE.stream_answer(ask, body)


def test_a_probe_asks_for_the_models() -> None:
    """All of them in one page, with key and version, and without a body."""
    provider = deployment_of("anthropic").provider
    probe = TYPE.build_probe(provider, Clocks())
    assert probe is not None
    assert (probe.method, probe.body) == ("GET", b"")
    assert probe.url == "https://api.anthropic.com/v1/models?limit=1000"
    assert probe.headers["x-api-key"] == "sk-canary"
    assert probe.headers["anthropic-version"] == "2023-06-01"
    assert "Content-Type" not in probe.headers
    reading = TYPE.read_probe(provider, 200, b'{"data":[{"id":"claude-x"}],"has_more":false}')
    assert (reading.state, reading.models) == ("healthy", ("claude-x",))
    assert TYPE.read_probe(provider, 401, b"{}").state == "key_rejected"


def test_a_probe_may_be_a_completion_or_none() -> None:
    """As the operator has said; a path of their own stands behind the address."""
    probe = ProbeSettings("completion")
    provider = deployment_of("anthropic", probe=probe, models=("claude-x",)).provider
    asked = TYPE.build_probe(provider, Clocks(answer_s=3.0))
    assert asked is not None
    assert asked.clocks.answer_s == 3.0
    assert json.loads(asked.body) == {
        "model": "claude-x",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert TYPE.read_probe(provider, 200, json.dumps(ANSWER).encode()).state == "healthy"
    assert TYPE.read_probe(provider, 200, b'{"data":[]}').state == "unhealthy"
    off = deployment_of("anthropic", probe=ProbeSettings("off")).provider
    assert TYPE.build_probe(off, Clocks()) is None
    own = deployment_of("anthropic", probe=ProbeSettings("free", "/up")).provider
    found = TYPE.build_probe(own, Clocks())
    assert found is not None
    assert found.url == "https://api.anthropic.com/v1/up"


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PAPER = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
}
LOOP = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE, PAPER]},
    {
        "role": "assistant",
        "content": None,
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        ],
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "call.2", "type": "function", "function": {"name": "f", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    {"role": "tool", "tool_call_id": "call.2", "content": [{"type": "text", "text": "5"}]},
    {"role": "developer", "content": "Hurry."},
]
FUNCTION = {"name": "f", "description": "Does.", "parameters": {"type": "object"}, "strict": True}


def exhaust(value: Any) -> None:
    """Have all of a validated value looked at: its lists are looked at only when they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            exhaust(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for inner in value:
            exhaust(inner)


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-4-5", "claude-3-5-sonnet"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"messages": LOOP, "tools": [{"type": "function", "function": FUNCTION}]},
        {"messages": LOOP, "reasoning_effort": "high"},
        {
            "tools": [{"type": "function", "function": FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
        },
        {"response_format": FORMAT, "reasoning_effort": "low"},
        {"response_format": {"type": "json_object"}},
        {"stop": "END", "user": "u", "service_tier": "auto", "temperature": 2, "top_p": 0.5},
    ],
)
def test_what_is_written_is_what_the_sdk_knows(model: str, more: dict[str, Any]) -> None:
    """Every field, block, tool and choice that we write is one of the SDK's own parameters."""
    body = json.loads(build(ask_for(**more), model).body)
    assert set(body) <= set(MessageCreateParamsNonStreaming.__annotations__) | {
        *MessageCreateParamsBase.__annotations__,
        *("temperature", "top_p"),  # of models that the SDK no longer offers them for
    }
    exhaust(_PARAMETERS.validate_python(body))


def test_the_kind_is_complete() -> None:
    """Its key has its usual name, and `api_version` and `auth` mean something."""
    assert ANTHROPIC.key_variables == ("ANTHROPIC_API_KEY",)
    assert ANTHROPIC.has_versions
    assert TYPE.name == ANTHROPIC.type == "anthropic"
