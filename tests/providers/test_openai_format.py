"""Tests of `proxy/providers/openai_format.py`: the same rules for every row of the table."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.domain.errors import NotOffered, UpstreamError
from proxy.domain.exchange import OutboundRequest
from proxy.domain.health import ProbeSettings
from proxy.domain.settings import Clocks
from proxy.providers.openai_compatible import KINDS
from proxy.providers.registry import find_type
from proxy.wire.base import Ask
from proxy.wire.json_text import parse_object
from tests.providers.asking import BASE_URL, LEAST, MESSAGES, ask_for, build, deployment_of, sent
from tests.wire.chunks import DONE, HI, STOP
from tests.wire.response_events import MESSAGE, REGULAR, response

TYPES = [kind.type for kind in KINDS]
DEVELOPER = [{"role": "developer", "content": "be brief", "x": 1.10}, *MESSAGES]


@pytest.mark.parametrize("type_name", TYPES)
def test_a_request_goes_to_its_path_with_the_providers_key(type_name: str) -> None:
    """Address, method and headers are complete, and the model is the deployment's."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    request = build(type_name, ask_for())
    assert request.url == (kind.base_url or BASE_URL) + "/chat/completions"
    assert request.method == "POST"
    assert request.headers["Authorization"] == "Bearer sk-canary"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["Content-Type"] == "application/json"
    assert (request.provider, request.model, request.streams) == ("it", "model-x", False)
    assert json.loads(request.body)["model"] == "model-x"


@pytest.mark.parametrize("type_name", TYPES)
def test_no_key_is_no_header(type_name: str) -> None:
    """Without a key nothing is said about one."""
    assert "Authorization" not in build(type_name, ask_for(), api_key=None).headers


@pytest.mark.parametrize("type_name", TYPES)
def test_operations_that_a_type_lacks_are_refused(type_name: str) -> None:
    """Each operation has its path, is asked as a chat, or is refused clearly."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    for operation in LEAST:
        ask = ask_for(operation)
        if operation in kind.operations:
            assert build(type_name, ask).url.endswith(kind.operations[operation])
        elif operation == "completions":
            assert build(type_name, ask).url.endswith(kind.operations["chat"])
        else:
            with pytest.raises(NotOffered) as refusal:
                build(type_name, ask)
            assert refusal.value.code == "unsupported_operation"
            assert kind.title in refusal.value.message


@pytest.mark.parametrize("type_name", TYPES)
def test_unknown_fields_arrive_byte_by_byte(type_name: str) -> None:
    """Fields that no row names, and all that is inside of them, are not touched."""
    raw = b'{"zeta":{"a" : 1.10, "b":"\\u00e9" },"n2":1e2}'
    body = (
        b'{"model":"alias","messages":[{"role":"user","content":"\\u00e9"}],"x_new":' + raw + b"}"
    )
    ask = ask_for()
    ask.fields = parse_object(body)
    out = parse_object(build(type_name, ask).body)
    assert bytes(out["x_new"]) == raw
    assert bytes(out["messages"]) == bytes(ask.fields["messages"])


@pytest.mark.parametrize("type_name", TYPES)
def test_dropped_fields_are_left_out_and_named(type_name: str) -> None:
    """What a type would refuse is not sent, and the client is told which fields these were."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    ask = ask_for()
    ask.fields.update(dict.fromkeys(kind.drops - kind.renames.keys(), Raw(b"1")))
    assert not sent(type_name, ask).keys() & kind.drops
    assert ask.dropped == sorted(kind.drops - kind.renames.keys())


@pytest.mark.parametrize("type_name", TYPES)
def test_a_dropped_null_is_nothing_lost(type_name: str) -> None:
    """null means absent: it is not sent and not told."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    ask = ask_for("chat", **dict.fromkeys(kind.drops))
    assert not sent(type_name, ask).keys() & kind.drops
    assert ask.dropped == []


def test_what_one_provider_dropped_is_not_said_of_the_next() -> None:
    """After a failover only the fields that the answering provider did not take are named."""
    ask = ask_for(user="u", logit_bias={})
    build("perplexity", ask)
    assert ask.dropped == ["logit_bias", "user"]
    build("groq", ask)
    assert ask.dropped == ["logit_bias"]
    build("openai", ask)
    assert ask.dropped == []


@pytest.mark.parametrize("type_name", TYPES)
def test_renamed_fields_arrive_under_their_new_name(type_name: str) -> None:
    """The value is the same, the old name is gone."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    for old, new in kind.renames.items():
        out = sent(type_name, ask_for("chat", **{old: 17}))
        assert (out[new], old in out) == (17, False)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 9}, 9),
        ({"max_completion_tokens": 5, "max_tokens": None}, 5),
        ({"max_completion_tokens": None, "max_tokens": 9}, 9),
        ({"max_completion_tokens": None}, None),
    ],
)
def test_a_limit_is_never_lost_by_its_new_name(fields: dict[str, Any], limit: int | None) -> None:
    """What already stands under the new name wins, unless it is null."""
    out = sent("together", ask_for(**fields))
    assert out["max_tokens"] == limit
    assert "max_completion_tokens" not in out


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(
    "options", ["absent", None, {"include_usage": False, "include_obfuscation": False}]
)
def test_usage_is_always_asked_of_a_stream(type_name: str, options: object) -> None:
    """Usage is needed for the bill; other options of the client stay. Some need no asking."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    fields = {} if options == "absent" else {"stream_options": options}
    ask = ask_for("chat", stream=True, **fields)
    out = sent(type_name, ask)
    if kind.usage_in_streams == "always":
        assert "stream_options" not in out
    else:
        asked = options if isinstance(options, dict) else {}
        assert out["stream_options"] == asked | {"include_usage": True}
    assert ask.dropped == []
    assert not ask.wants_usage


@pytest.mark.parametrize("type_name", TYPES)
def test_a_whole_answer_is_not_asked_for_stream_options(type_name: str) -> None:
    """Without a stream the field is not made up."""
    assert "stream_options" not in sent(type_name, ask_for())


@pytest.mark.parametrize("type_name", TYPES)
def test_developers_become_systems_where_there_are_none(type_name: str) -> None:
    """The role is written anew, the rest of each message stays; elsewhere nothing changes."""
    kind = next(kind for kind in KINDS if kind.type == type_name)
    request = build(type_name, ask_for(messages=DEVELOPER))
    found = json.loads(request.body)["messages"]
    assert found[0]["role"] == ("system" if kind.maps_developer_role else "developer")
    assert found[1:] == MESSAGES
    assert b"1.1" in request.body


def test_the_word_developer_elsewhere_is_not_a_role() -> None:
    """Only the role of a message is changed, not what people write."""
    messages = [{"role": "user", "content": "developer", "name": "developer"}]
    assert sent("mistral", ask_for(messages=messages))["messages"] == messages


@pytest.mark.parametrize(
    "wanted",
    [None, {"type": "text"}, {"type": "json_schema", "json_schema": {"name": "a"}}, {"type": 1}],
)
def test_only_a_format_of_any_object_is_asked_for_by_a_schema(wanted: object) -> None:
    """Every other `response_format` arrives as it was written, whatever it is."""
    assert sent("perplexity", ask_for(response_format=wanted))["response_format"] == wanted
    asked = sent("perplexity", ask_for(response_format={"type": "json_object"}))
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    asked = sent("openai", ask_for(response_format={"type": "json_object"}))
    assert asked["response_format"] == {"type": "json_object"}


def test_the_operators_headers_win_and_none_is_sent_twice() -> None:
    """A configured header replaces ours, however its name is written."""
    headers = {"authorization": "Basic x", "user-agent": "mine", "X-Title": "t"}
    found = build("openai", ask_for(), headers=headers).headers
    names = [name.lower() for name in found]
    assert len(names) == len(set(names))
    assert (found["authorization"], found["user-agent"], found["X-Title"]) == (
        "Basic x",
        "mine",
        "t",
    )


def test_of_the_client_only_trace_headers_go_on() -> None:
    """Headers are built from nothing; trace context is added."""
    request = find_type("openai").build_request(
        ask_for(stream=True), deployment_of("openai"), {"traceparent": "00-a-b-01"}
    )
    assert set(request.headers) == {
        *("Content-Type", "Accept", "Accept-Encoding", "User-Agent", "Authorization"),
        "traceparent",
    }
    assert request.headers["Accept"] == "text/event-stream"
    assert request.streams


def test_the_model_keeps_its_spelling_where_it_is_the_same() -> None:
    """The field is only written where alias and model differ."""
    ask = ask_for(model="model-x")
    assert bytes(parse_object(build("openai", ask).body)["model"]) == b'"model-x"'


@pytest.mark.parametrize("type_name", TYPES)
def test_a_stream_is_read_and_an_answer_checked(type_name: str) -> None:
    """Each type opens a reader of its format and reads whole answers."""
    kind = find_type(type_name)
    reader = kind.open_stream(ask_for(stream=True), 1 << 20)
    out = reader.feed(HI + STOP + DONE)
    assert out.endswith(DONE)
    assert reader.is_complete and reader.error is None
    body = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
    answer = kind.read_answer(ask_for(), body.encode())
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "x"
    assert answer.usage.source == "estimated"


def test_vectors_pass_byte_by_byte_at_every_type() -> None:
    """Thousands of floats are not taken apart for repairs that they cannot need."""
    body = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1e-05, 0.10]}]}'
    for type_name in TYPES:
        assert find_type(type_name).read_answer(ask_for("embeddings"), body).body == body


PROBES = {
    "openai": "https://api.openai.com/v1/models",
    "grok": "https://api.x.ai/v1/models",
    "perplexity": "https://api.perplexity.ai/v1/models",
    "blackbox": "https://api.blackbox.ai/models",
    "openrouter": "https://openrouter.ai/api/v1/key",
    "groq": "https://api.groq.com/openai/v1/models",
    "together": "https://api.together.xyz/v1/models",
    "mistral": "https://api.mistral.ai/v1/models",
    "deepseek": "https://api.deepseek.com/models",
    "lm_studio": "http://127.0.0.1:1234/v1/models",
    "llama_cpp": "http://127.0.0.1:8080/health",
    "vllm": BASE_URL + "/models",
    "openai_compatible": BASE_URL + "/models",
}
"""Where each is asked; what is not listed, at its models."""
CLOCKS = Clocks(answer_s=5.0)


def probe_of(type_name: str, **more: Any) -> OutboundRequest | None:
    """What is sent to learn how a provider is."""
    return find_type(type_name).build_probe(deployment_of(type_name, **more).provider, CLOCKS)


@pytest.mark.parametrize("type_name", TYPES)
def test_a_probe_costs_no_tokens(type_name: str) -> None:
    """Each type is asked with GET at its own path, with its key, and with nothing in the body."""
    request = probe_of(type_name, headers={"X-Team": "a"})
    assert request is not None
    url = PROBES.get(type_name, f"{deployment_of(type_name).provider.base_url}/models")
    assert (request.method, request.url, request.body) == ("GET", url, b"")
    assert request.headers["Authorization"] == "Bearer sk-canary"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["X-Team"] == "a"
    assert "Content-Type" not in request.headers
    assert (request.streams, request.clocks) == (False, CLOCKS)


def test_a_probe_goes_to_the_operators_path() -> None:
    """`probe_path` stands behind `base_url`, also where the type asks at the root."""
    request = probe_of("llama_cpp", probe=ProbeSettings(path="/ping"))
    assert request is not None
    assert request.url == "http://127.0.0.1:8080/v1/ping"


def test_the_root_of_a_server_behind_a_path_is_in_front_of_its_v1() -> None:
    """A server that is reached behind another's path is asked behind that path too."""
    provider = Provider("it", "llama_cpp", "https://gpu.example/llama/v1")
    request = find_type("llama_cpp").build_probe(provider, CLOCKS)
    assert request is not None
    assert request.url == "https://gpu.example/llama/health"


def test_what_is_off_or_made_up_is_not_asked() -> None:
    """`probe: off` and the simulator have no probe."""
    assert probe_of("openai", probe=ProbeSettings(kind="off")) is None
    assert (
        find_type("simulator").build_probe(Provider("s", "simulator", "simulator:"), CLOCKS) is None
    )


@pytest.mark.parametrize("type_name", TYPES)
def test_a_probe_by_completion_asks_for_one_token(type_name: str) -> None:
    """The first listed model gets one short message, and may answer with one token."""
    probe = ProbeSettings(kind="completion")
    request = probe_of(type_name, probe=probe, models=("*", "m-1", "m-2"))
    assert request is not None
    kind = next(kind for kind in KINDS if kind.type == type_name)
    assert request.url == (kind.base_url or BASE_URL) + "/chat/completions"
    body = json.loads(request.body)
    assert body.pop("messages") == [{"role": "user", "content": "Hi"}]
    limit = "max_completion_tokens" if type_name == "openai" else "max_tokens"
    assert body == {"model": "m-1", limit: 1}
    assert (request.streams, request.clocks) == (False, CLOCKS)


def test_a_probe_by_completion_without_a_model_is_free() -> None:
    """Where any model is taken and none is named, there is none to ask: the list is asked for."""
    request = probe_of("openai", probe=ProbeSettings(kind="completion"), models=("*",))
    assert request is not None
    assert (request.method, request.url) == ("GET", PROBES["openai"])


def test_what_a_probe_came_to_is_read_by_the_type() -> None:
    """`read_probe` knows what statuses mean at its type."""
    provider = deployment_of("grok").provider
    assert find_type("grok").read_probe(provider, 400, b"").state == "key_rejected"
    assert find_type("openai").read_probe(provider, 400, b"").state == "healthy"


# --- the Responses API ------------------------------------------------------------------------

INPUT = Ask("responses", "alias", {"model": Raw(b'"alias"'), "input": Raw(b'"Hi"')}, streams=True)


@pytest.mark.parametrize("type_name", ["openai", "grok", "azure", "simulator"])
def test_responses_pass_where_the_provider_speaks_them(type_name: str) -> None:
    """Nothing is asked for that the client has not asked for, and a stream passes as it came."""
    assert sent(type_name, INPUT) == {"model": "model-x", "input": "Hi"}
    assert build(type_name, INPUT).url.endswith("/responses")
    reader = find_type(type_name).open_stream(INPUT, 1 << 20)
    assert reader.feed(REGULAR) == REGULAR
    assert reader.is_complete


def test_a_whole_response_passes_or_becomes_the_stream_that_was_asked_for() -> None:
    """By the same check: what is no response is neither."""
    openai, body = find_type("openai"), json.dumps(response("completed", MESSAGE)).encode()
    assert openai.read_answer(INPUT, body).body == body
    assert openai.stream_answer(INPUT, body).body.startswith(b"event: response.created\n")
    for read in (openai.read_answer, openai.stream_answer):
        with pytest.raises(UpstreamError):
            read(INPUT, b"{}")


def test_only_some_say_how_many_tokens_an_input_has() -> None:
    """OpenAI is asked at a path of its own; of the others it is estimated."""
    ask = replace(INPUT, operation="input_tokens", streams=False)
    openai, body = find_type("openai"), b'{"object":"response.input_tokens","input_tokens":3}'
    assert build("openai", ask).url.endswith("/v1/responses/input_tokens")
    assert openai.read_answer(ask, body).body == body
    assert "input_tokens" in openai.counts
    for type_name in ("grok", "azure", "groq"):
        assert "input_tokens" not in find_type(type_name).counts
        with pytest.raises(NotOffered):
            build(type_name, ask)
