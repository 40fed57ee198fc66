"""
Tests of `proxy/providers/foreign_chat.py`: clients of other dialects at types that only chat.

The provider's bytes are those of tests/samples; what a client of chat completions gets of them
is what the others must get, too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.domain.errors import (
    NotOffered,
    ProxyError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamTruncated,
)
from proxy.domain.events import Event
from proxy.domain.exchange import Operation
from proxy.providers.foreign_chat import build_chat_ask, is_foreign
from proxy.providers.openai_compatible import KINDS
from proxy.providers.registry import find_kind, find_type
from proxy.wire.anthropic_events import AnthropicEvents, read_anthropic_events
from proxy.wire.base import Ask, StreamReader
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.gathered_answer import GatheredAnswer, gather_answer
from proxy.wire.kept_reasoning import fill_reasoning
from proxy.wire.openai_events import OpenAIEvents, read_openai_events
from proxy.wire.openai_stream import OpenAIStream
from tests.providers.asking import build, deployment_of
from tests.wire.chunks import DONE, HI, REGULAR, STOP, USAGE, USAGE_EVENT, chunk, event
from tests.wire.splits import every_cut, read_all

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
TYPES = [kind.type for kind in KINDS]
STREAMS = [path for type_ in TYPES for path in sorted(SAMPLES.glob(f"{type_}/*/response.200.sse"))]
BODIES = [path for type_ in TYPES for path in sorted(SAMPLES.glob(f"{type_}/*/response.200.json"))]
THINKING = {"type": "enabled", "budget_tokens": 1024}
ASKED: dict[Operation, dict[str, Any]] = {
    "messages": {
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": THINKING,
    },
    "completions": {"prompt": "hi"},
}
CHAT_ONLY = [kind.type for kind in KINDS if "completions" not in kind.operations]


def name(path: Path) -> str:
    """The case that a sample is of."""
    return "/".join(path.parts[-3:-1])


def ask_for(operation: Operation = "messages", **fields: Any) -> Ask:
    body = {"model": "alias", **ASKED[operation], **fields}
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})


def open_stream(type_name: str, operation: Operation = "messages") -> StreamReader:
    more = {"stream_options": {"include_usage": True}} if operation == "completions" else {}
    return find_type(type_name).open_stream(ask_for(operation, stream=True, **more), 1 << 20)


def seen_by_anthropics_client(stream: bytes) -> GatheredAnswer:
    reader = AnthropicEvents(1 << 20)
    events = reader.feed(stream)
    assert reader.is_over and reader.error is None
    return gather_answer(events)


def seen_by_openais_client(stream: bytes) -> GatheredAnswer:
    reader = OpenAIEvents(OpenAIStream(Ask("chat", "m", {}, keeps_chunk_usage=True), 1 << 20))
    events: Sequence[Event] = reader.feed(stream)
    assert reader.is_over and reader.error is None
    return gather_answer(events)


def what_is_told(answer: GatheredAnswer) -> Any:
    """Words, thoughts, calls and reason of the first choice; calls without an id have any."""
    choice = answer.choices[0]
    calls = [(call.name, json.loads(call.arguments)) for call in choice.calls]
    thoughts = "".join(thought.text for thought in choice.thoughts)
    assert choice.finished is not None
    return choice.text, thoughts, calls, choice.finished.reason


def passed_on(type_name: str, stream: bytes) -> bytes:
    """The bytes that a client of chat completions gets."""
    ask = Ask("chat", "m", {}, streams=True, wants_usage=True)
    return read_all(find_type(type_name).open_stream(ask, 1 << 20), [stream])


@pytest.mark.parametrize("path", STREAMS, ids=name)
def test_a_client_of_messages_is_streamed_what_a_client_of_chats_is(path: Path) -> None:
    """Whatever a provider's stream says, both clients read the same of it; usage is counted."""
    type_name, stream = path.parts[-3], path.read_bytes()
    expected = passed_on(type_name, stream)
    reader = open_stream(type_name)
    out = read_all(reader, [stream])
    if b"[DONE]" not in expected:
        assert reader.error is not None and not reader.is_complete
        assert b"message_stop" not in out
        return
    assert (reader.error, reader.is_complete) == (None, True)
    seen, chat = seen_by_anthropics_client(out), seen_by_openais_client(expected)
    assert what_is_told(seen) == what_is_told(chat)
    if chat.usage is not None:
        assert seen.usage is not None
        assert seen.usage.total_tokens == chat.usage.total_tokens == reader.usage.total_tokens  # type: ignore[union-attr]


@pytest.mark.parametrize("path", STREAMS, ids=name)
def test_the_split_of_a_providers_bytes_is_of_no_matter(path: Path) -> None:
    """In pieces of any size the client is told the same; ids that are ours differ."""
    type_name, stream = path.parts[-3], path.read_bytes()
    tellings = []
    for size in (1, 7, 64, len(stream)):
        reader = open_stream(type_name)
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        out = read_all(reader, pieces)
        told = what_is_told(seen_by_anthropics_client(out)) if reader.error is None else None
        tellings.append((told, type(reader.error), reader.usage))
    assert all(telling == tellings[0] for telling in tellings)


@pytest.mark.parametrize("path", BODIES, ids=name)
def test_a_client_of_messages_gets_what_a_client_of_chats_gets(path: Path) -> None:
    """Whatever a provider's whole answer says, both clients read the same of it, or fail alike."""
    provider, body = find_type(path.parts[-3]), path.read_bytes()
    try:
        expected = provider.read_answer(Ask("chat", "m", {}), body)
    except ProxyError as error:
        with pytest.raises(type(error)):
            provider.read_answer(ask_for(), body)
        return
    answer = provider.read_answer(ask_for(), body)
    seen = gather_answer(read_anthropic_events(answer.body)[0])
    assert what_is_told(seen) == what_is_told(gather_answer(read_openai_events(expected.body)))
    if expected.usage.source == "reported":
        assert answer.usage == expected.usage
    streamed = provider.stream_answer(ask_for(stream=True), body)
    assert what_is_told(seen_by_anthropics_client(streamed.body)) == what_is_told(seen)


@pytest.mark.parametrize("type_name", TYPES)
def test_a_chat_is_sent_with_the_rules_of_the_type(type_name: str) -> None:
    """A client of messages is asked for as a chat: path, limit, usage and model are the type's."""
    kind = find_kind(type_name)
    assert kind is not None
    ask = ask_for(stream=True, system="be brief", top_k=3, thinking={"type": "disabled"})
    request = build(type_name, ask)
    sent = json.loads(request.body)
    assert request.url.endswith(kind.operations["chat"])
    assert request.headers["Accept"] == "text/event-stream"
    assert sent["model"] == "model-x"
    assert sent["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert (sent[kind.limit_field], sent["stream"]) == (100, True)
    assert ("stream_options" in sent) == (kind.usage_in_streams == "ask")
    assert sent.get("top_k") == (3 if "top_k" in kind.also_takes else None)
    assert ("top_k" in ask.dropped) == ("top_k" not in kind.also_takes)
    assert ("thinking" in sent) == (kind.thinking_off is not None)


def test_the_limit_has_the_name_that_the_type_knows() -> None:
    """OpenAI's newer models refuse the old name, other servers do not know the new one."""
    assert "max_completion_tokens" in json.loads(build("openai", ask_for()).body)
    assert "max_tokens" in json.loads(build("vllm", ask_for()).body)


@pytest.mark.parametrize(
    ("type_name", "effort", "sent"),
    [
        ("deepseek", "medium", "high"),
        ("deepseek", "max", "max"),
        ("groq", "xhigh", "high"),
        ("groq", "low", "low"),
        ("openai", "xhigh", "xhigh"),
    ],
)
def test_efforts_have_the_words_of_the_type(type_name: str, effort: str, sent: str) -> None:
    """An effort that a provider does not know is the nearest one that it does."""
    ask = ask_for(thinking={"type": "adaptive"}, output_config={"effort": effort})
    assert json.loads(build(type_name, ask).body)["reasoning_effort"] == sent
    assert ask.dropped == []


def test_that_nothing_is_to_be_thought_is_said_where_it_can_be() -> None:
    """DeepSeek has a switch for it; where there is none the wish is named as dropped."""
    ask = ask_for(thinking={"type": "disabled"})
    assert json.loads(build("deepseek", ask).body)["thinking"] == {"type": "disabled"}
    assert ask.dropped == []
    assert "thinking" not in json.loads(build("vllm", ask).body)
    assert ask.dropped == ["reasoning_effort"]


def test_a_schema_is_asked_for_in_words_where_it_cannot_be_had() -> None:
    """DeepSeek knows JSON without a schema: the client is told that nothing bound the answer."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    ask = ask_for(output_config={"format": {"type": "json_schema", "schema": schema}})
    sent = json.loads(build("deepseek", ask).body)
    assert sent["response_format"] == {"type": "json_object"}
    words = sent["messages"][0]
    assert words["role"] == "system" and "JSON" in words["content"]
    assert json.loads(words["content"].partition("schema: ")[2]) == schema
    assert "response_format" in ask.dropped
    assert json.loads(build("vllm", ask).body)["response_format"]["type"] == "json_schema"
    assert "response_format" not in ask.dropped


@pytest.mark.parametrize("type_name", ["openai", "azure"])
def test_openais_models_get_what_they_take(type_name: str) -> None:
    """A client of messages cannot know which of OpenAI's models refuses what."""
    for model, names in (("gpt-4o", ["reasoning_effort"]), ("gpt-5", ["temperature"])):
        ask = ask_for(temperature=0.5)
        deployment = replace(deployment_of(type_name), model=model)
        sent = json.loads(find_type(type_name).build_request(ask, deployment, {}).body)
        assert ask.dropped == names
        assert {"temperature", "reasoning_effort"} - sent.keys() == set(names)


def test_what_a_client_of_chats_sends_is_not_fitted() -> None:
    """A request in the provider's own dialect goes to the model as it is."""
    fields = {"temperature": 0.5, "messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps({"model": "alias", **fields}).encode()
    ask = find_dialect("chat").parse_ask("chat", body, {})
    deployment = replace(deployment_of("openai"), model="gpt-5")
    sent = json.loads(find_type("openai").build_request(ask, deployment, {}).body)
    assert (sent["temperature"], ask.dropped) == (0.5, [])


@pytest.mark.parametrize("type_name", TYPES)
def test_renames_and_drops_hold_for_what_is_written(type_name: str) -> None:
    """What a type does not take is left out of a translated request too, and named."""
    kind = find_kind(type_name)
    assert kind is not None
    if "completions" in kind.operations:
        return
    ask = ask_for("completions", seed=1, user="u", logit_bias={"1": 1})
    sent = json.loads(build(type_name, ask).body)
    for field in ("seed", "user", "logit_bias"):
        taken = kind.renames.get(field, field)
        assert (taken in sent) == (field not in kind.drops)
        assert (field in ask.dropped) == (field in kind.drops)


@pytest.mark.parametrize("type_name", CHAT_ONLY)
def test_completions_are_chats_where_there_are_only_chats(type_name: str) -> None:
    """A prompt is a message, and the client gets a completion, streamed or whole."""
    sent = json.loads(build(type_name, ask_for("completions")).body)
    assert sent["messages"] == [{"role": "user", "content": "hi"}]
    assert "prompt" not in sent
    out = read_all(open_stream(type_name, "completions"), [REGULAR + USAGE_EVENT + DONE])
    values = [json.loads(line[6:]) for line in out.split(b"\n\n")[:-2]]
    assert {value["object"] for value in values} == {"text_completion"}
    texts = [choice["text"] for value in values for choice in value["choices"]]
    assert "".join(texts) == "Hi \u2013 é"
    assert values[-1]["usage"]["total_tokens"] == 7
    assert out.endswith(DONE)


def test_what_no_chat_has_may_be_had_elsewhere() -> None:
    """An echo is refused by this provider, with the field named."""
    with pytest.raises(NotOffered) as refusal:
        build("deepseek", ask_for("completions", echo=True))
    assert refusal.value.param == "echo"


def test_usage_is_asked_for_whatever_the_client_wants() -> None:
    """Usage is billed from, so a stream always has it; a client that did not ask sees none."""
    ask = ask_for("completions", stream=True)
    assert json.loads(build("deepseek", ask).body)["stream_options"] == {"include_usage": True}
    reader = find_type("deepseek").open_stream(ask, 1 << 20)
    out = read_all(reader, [REGULAR + USAGE_EVENT + DONE])
    assert b"usage" not in out
    assert reader.usage is not None and reader.usage.total_tokens == 7


def test_every_split_gives_the_same_message() -> None:
    """A stream with a call, cut at every place, is the same for a client of messages."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":"\u2013"}'}}
    stream = HI + event(chunk({"tool_calls": [call]})) + event(chunk({}, "tool_calls", usage=USAGE))
    expected = None
    for pieces in every_cut(stream + DONE):
        told = what_is_told(seen_by_anthropics_client(read_all(open_stream("openai"), pieces)))
        expected = expected or told
        assert told == expected == ("Hi", "", [("f", {"a": "\u2013"})], "tool_calls")


@pytest.mark.parametrize("operation", ["messages", "completions"])
@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b"", UpstreamTruncated),
        (event({"error": {"message": "x", "type": "rate_limit_error"}}), UpstreamRateLimited),
        (b"data: {broken\n\n", UpstreamProtocolError),
        (event(chunk({}, "error")), UpstreamError),
    ],
)
def test_a_stream_that_fails_is_no_success(
    operation: Operation, tail: bytes, error: type[UpstreamError]
) -> None:
    """What was good has been told, and no end of a dialect's follows it."""
    reader = open_stream("deepseek", operation)
    out = reader.feed(HI) + reader.feed(tail) + reader.finish()
    assert b"Hi" in out
    assert b"message_stop" not in out and b"[DONE]" not in out and b'stop_reason":"' not in out
    assert isinstance(reader.error, error)
    assert reader.has_content and not reader.is_complete


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"x","type":"rate_limit_error"}}', UpstreamRateLimited),
        (b'{"choices":[]}', UpstreamTruncated),
        (b"[]", UpstreamProtocolError),
        (b"{", UpstreamProtocolError),
    ],
)
def test_an_error_inside_a_200_is_no_success(body: bytes, error: type[UpstreamError]) -> None:
    """Whole answers are checked as those of a client of chats are."""
    for operation in ASKED:
        with pytest.raises(error):
            find_type("deepseek").read_answer(ask_for(operation), body)


def test_estimates_count_the_clients_own_prompt() -> None:
    """Without usage of the provider's both sides are a quarter of their bytes."""
    ask = ask_for("completions", prompt="x" * 38)
    body = b'{"choices":[{"index":0,"message":{"content":"12345"},"finish_reason":"stop"}]}'
    usage = find_type("deepseek").read_answer(ask, body).usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (10, 2, "estimated")
    reader = find_type("deepseek").open_stream(ask, 1 << 20)
    read_all(reader, [HI + STOP + DONE])
    assert reader.usage is not None
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (10, 1)


@pytest.mark.parametrize("streams", [True, False])
def test_openrouter_gets_its_details_back(streams: bool) -> None:
    """What was thought before a call is kept with it, and sent again as it came."""
    details = [{"type": "reasoning.text", "text": "Hm", "index": 0, "signature": "s"}]
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    said = {"reasoning": "Hm", "reasoning_details": details, "tool_calls": [call]}
    ask = ask_for(stream=streams)
    provider = find_type("openrouter")
    if streams:
        stream = event(chunk(said)) + event(chunk({}, "tool_calls")) + DONE
        read_all(provider.open_stream(ask, 1 << 20), [stream])
    else:
        choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
        provider.read_answer(ask, json.dumps({"choices": [choice]}).encode())
    (kept,) = ask.kept
    messages = [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1"}],
        },
    ]
    later = ask_for(messages=messages)
    later.chat = fill_reasoning(read_chat(later), "openai", {"c": kept}.get).chat
    sent = json.loads(build("openrouter", later).body)["messages"][1]
    assert (sent["reasoning"], sent["reasoning_details"]) == ("Hm", details)


def test_own_operations_are_not_foreign() -> None:
    """What a type can do itself is never translated, vectors and token counts never are."""
    openai, deepseek = find_kind("openai"), find_kind("deepseek")
    assert openai is not None and deepseek is not None
    asked: list[Operation] = ["chat", "completions", "embeddings", "messages", "count_tokens"]
    assert [is_foreign(openai, each) for each in asked] == [False, False, False, True, False]
    assert [is_foreign(deepseek, each) for each in asked] == [False, True, False, True, False]


def test_a_client_of_messages_sees_what_perplexitys_markers_stand_for() -> None:
    """Each marker is a citation of its source, with its title; sources of none are not told."""
    path = SAMPLES / "perplexity" / "citations" / "response.200.sse"
    out = read_all(open_stream("perplexity"), [path.read_bytes()])
    cited = seen_by_anthropics_client(out).choices[0].citations
    assert [(each.url, each.title) for each in cited] == [
        ("https://a.example/1", "A study"),
        ("https://b.example/2", "B"),
        ("https://a.example/1", "A study"),
    ]


@pytest.mark.parametrize(
    ("type_name", "own"),
    [
        ("perplexity", {"search_mode": "academic", "search_domain_filter": ["a.example"]}),
        ("openrouter", {"provider": {"sort": "price"}, "plugins": [{"id": "web"}], "top_a": 0.1}),
    ],
)
def test_a_providers_own_fields_are_taken_from_clients_of_other_dialects(
    type_name: str, own: dict[str, Any]
) -> None:
    """They arrive as they were written, and nothing is named as left out."""
    ask = ask_for(**own)
    request = find_type(type_name).build_request(ask, deployment_of(type_name), {})
    sent = json.loads(request.body)
    assert {name: sent[name] for name in own} == own
    assert ask.dropped == []


def offer(*names: str) -> list[dict[str, Any]]:
    """Tools of these names, as a client of messages offers them."""
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


@pytest.mark.parametrize(
    ("type_name", "choice", "offered"),
    [
        ("openai", {"type": "function", "function": {"name": "b"}}, ["a", "b"]),
        ("groq", {"type": "function", "function": {"name": "b"}}, ["a", "b"]),
        ("lm_studio", "required", ["b"]),
    ],
)
def test_one_tool_that_must_be_called_is_named_as_the_type_can_be_told(
    type_name: str, choice: object, offered: list[str]
) -> None:
    """By its name; where no name can be said no other tool is offered."""
    ask = ask_for(tools=offer("a", "b"), tool_choice={"type": "tool", "name": "b"})
    sent = json.loads(build(type_name, ask).body)
    assert sent["tool_choice"] == choice
    assert [tool["function"]["name"] for tool in sent["tools"]] == offered


@pytest.mark.parametrize(
    ("type_name", "mode", "offered"),
    [("openai", None, 3), ("groq", "auto", 2), ("vllm", "auto", 2)],
)
def test_some_tools_that_may_be_called_are_all_that_is_offered(
    type_name: str, mode: str | None, offered: int
) -> None:
    """Only OpenAI's own models know of a set of tools within those that are offered."""
    names = ("a", "b", "c")
    tools = [{"type": "function", "name": n, "parameters": {"type": "object"}} for n in names]
    allowed = [{"type": "function", "name": name} for name in ("a", "c")]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": allowed}
    body = {"model": "alias", "input": "Hi", "tools": tools, "tool_choice": choice}
    ask = find_dialect("responses").parse_ask("responses", json.dumps(body).encode(), {})
    kind = find_kind(type_name)
    assert kind is not None
    fields = build_chat_ask(ask, kind, "m", []).fields
    sent = json.loads(bytes(fields["tool_choice"]))
    assert sent == mode or sent["type"] == "allowed_tools"
    assert len(json.loads(bytes(fields["tools"]))) == offered


@pytest.mark.parametrize(
    ("type_name", "member"), [("deepseek", "reasoning_content"), ("openrouter", "reasoning")]
)
def test_a_client_of_responses_brings_thoughts_back(type_name: str, member: str) -> None:
    """What it sends back of a turn with calls holds them, though they were not shown to it."""
    call = {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    details = [{"type": "reasoning.text", "text": "Hm.", "index": 0}]
    said: dict[str, Any] = {"role": "assistant", "content": None, member: "Hm."}
    said["tool_calls"] = [call]
    if type_name == "openrouter":
        said["reasoning_details"] = details
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    answer = {"id": "c", "model": "m", "choices": [choice], "usage": USAGE}

    def ask(*items: Any) -> Ask:
        fields = {"model": "m", "input": [{"role": "user", "content": "hi"}, *items]}
        return find_dialect("responses").parse_ask("responses", json.dumps(fields).encode(), {})

    first = find_type(type_name).read_answer(ask(), json.dumps(answer).encode())
    output = json.loads(first.body)["output"]
    assert [item.get("summary", []) for item in output] == [[]] * len(output)
    result = {"type": "function_call_output", "call_id": "call_a", "output": "x"}
    sent = json.loads(build(type_name, ask(*output, result)).body)["messages"][1]
    assert sent == said
