"""Tests of `proxy/providers/quirks.py`, with the accumulator of OpenAI's own client."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import UpstreamServerError
from proxy.domain.usage import Usage
from proxy.providers.quirks import open_repair
from proxy.wire.base import Ask
from proxy.wire.openai_answer import read_openai_answer
from proxy.wire.openai_stream import OpenAIStream
from tests.providers.sdk import accumulate, deltas, repair
from tests.wire.chunks import USAGE, chunk, event

QUIRKS = ("regular", "tagged", "perplexity", "grok", "groq")


def call(**fields: Any) -> dict[str, Any]:
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return fields | {"function": function}


def answer(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    return {"id": "a", "object": "chat.completion", "choices": [choice]} | more


def repaired(value: dict[str, Any], quirk: str = "regular") -> dict[str, Any]:
    fix = open_repair(quirk)
    assert fix is not None
    return fix(copy.deepcopy(value))


def message_of(value: dict[str, Any], quirk: str = "regular") -> dict[str, Any]:
    message: dict[str, Any] = repaired(value, quirk)["choices"][0]["message"]
    return message


# What the SDK's stream helper cannot bear as it came, with the message that it must end with.
IRREGULAR: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "role in every chunk": (
        deltas(*({"role": "assistant", "content": part} for part in "Hi!")),
        {"role": "assistant", "content": "Hi!"},
    ),
    "tool index begins at 1": (
        deltas(
            {"role": "assistant", "content": None},
            {"tool_calls": [call(index=1, id="c", type="function", name="f", arguments="")]},
            {"tool_calls": [call(index=1, arguments="{}")]},
            finish="tool_calls",
        ),
        {"tool_calls": [("c", "f", "{}")]},
    ),
    "parallel calls without index": (
        deltas(
            {"role": "assistant", "content": None},
            {
                "tool_calls": [
                    call(id="c1", name="f", arguments='{"a":1}'),
                    call(id="c2", name="f", arguments='{"a":2}'),
                ]
            },
            finish="tool_calls",
        ),
        {"tool_calls": [("c1", "f", '{"a":1}'), ("c2", "f", '{"a":2}')]},
    ),
    "calls without index, one by one": (
        deltas(
            {"role": "assistant", "content": ""},
            {"tool_calls": [call(id="c1", name="f", arguments="{}")]},
            {"tool_calls": [call(id="c2", name="g", arguments="{}")]},
            finish="tool_calls",
        ),
        {"tool_calls": [("c1", "f", "{}"), ("c2", "g", "{}")]},
    ),
    "parallel calls without index or id": (
        deltas(
            {"role": "assistant"},
            {"tool_calls": [call(name="f", arguments="{}"), call(name="g", arguments="{}")]},
            finish="tool_calls",
        ),
        {"tool_calls": [(None, "f", "{}"), (None, "g", "{}")]},
    ),
    "id in every piece of a call": (
        deltas(
            {"role": "assistant"},
            {"tool_calls": [call(index=0, id="c", type="function", name="f", arguments='{"a"')]},
            {"tool_calls": [call(index=0, id="c", type="function", name="f", arguments=":1}")]},
            finish="tool_calls",
        ),
        {"tool_calls": [("c", "f", '{"a":1}')]},
    ),
    "arguments as an object": (
        deltas(
            {"role": "assistant"},
            {"tool_calls": [call(index=0, id="c", type="function", name="f", arguments={"a": 1})]},
            {"tool_calls": [call(index=0, arguments={})]},
            finish="tool_calls",
        ),
        {"tool_calls": [("c", "f", '{"a":1}{}')]},
    ),
    "annotations without index": (
        deltas(
            {
                "role": "assistant",
                "content": "a",
                "annotations": [{"type": "url_citation", "u": 1}],
            },
            {"content": "b", "annotations": [{"type": "url_citation", "u": 2}]},
        ),
        {"content": "ab", "annotations": [(0, 1), (1, 2)]},
    ),
    "content as a list with thinking": (
        deltas(
            {"role": "assistant", "content": ""},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "why"}]}]},
            {"content": [{"type": "text", "text": "so"}]},
        ),
        {"content": "so", "reasoning_content": "why", "reasoning": "why"},
    ),
    "numbers in every delta": (
        deltas(
            {"role": "assistant", "content": "a", "index": 0, "tokens": 5},
            {"content": "b", "tokens": 6},
        ),
        {"content": "ab", "tokens": None},
    ),
    "no finish reason until the end": (
        [
            {
                "id": "a",
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": "a"}}],
            },
            chunk({}, "stop"),
        ],
        {"content": "a"},
    ),
    "a message beside the delta, another object": (
        [
            chunk({"role": "assistant", "content": "a"}),
            {
                "id": "a",
                "object": "chat.completion.done",
                "choices": [
                    {
                        "index": 0,
                        "delta": {"role": "assistant", "content": ""},
                        "message": {"role": "assistant", "content": "a"},
                        "finish_reason": "stop",
                    }
                ],
            },
        ],
        {"content": "a"},
    ),
}
BREAKS_RAW = (
    "role in every chunk",
    "tool index begins at 1",
    "parallel calls without index",
    "id in every piece of a call",
    "annotations without index",
    "numbers in every delta",
)


def holds(message: dict[str, Any], expected: dict[str, Any]) -> bool:
    for name, wanted in expected.items():
        found = message.get(name)
        if name == "tool_calls":
            found = [
                (wish[0] and item["id"], item["function"]["name"], item["function"]["arguments"])
                for wish, item in zip(wanted, found or (), strict=True)
            ]
        elif name == "annotations":
            found = [(item["index"], item["u"]) for item in found or ()]
        if found != wanted:
            return False
    return True


@pytest.mark.parametrize("quirk", QUIRKS)
@pytest.mark.parametrize("name", IRREGULAR)
def test_repaired_streams_work_in_openais_stream_helper(name: str, quirk: str) -> None:
    """The helper ends with the message that the provider meant, under every set of repairs."""
    values, expected = IRREGULAR[name]
    message = accumulate(repair(values, quirk))
    assert holds(message, expected), message
    wanted = "tool_calls" if "tool_calls" in expected else "stop"
    assert message["finish_reason"] == wanted


@pytest.mark.parametrize("name", BREAKS_RAW)
def test_the_repairs_are_needed(name: str) -> None:
    """As they came, these streams break the helper or leave it with a wrong message."""
    values, expected = IRREGULAR[name]
    try:
        message = accumulate(values)
    except (IndexError, RuntimeError, TypeError, KeyError, AttributeError, AssertionError):
        return
    assert not holds(message, expected)


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_regular_stream_means_the_same_after_repair(quirk: str) -> None:
    """Repairs leave alone what needs none."""
    values = deltas(
        {"role": "assistant", "content": "", "refusal": ""},
        {"content": "Hi"},
        {"content": " <b>"},
        {"tool_calls": [call(index=0, id="c", type="function", name="f", arguments="")]},
        {"tool_calls": [call(index=0, arguments="{}")]},
        finish="tool_calls",
    )
    values.append(chunk() | {"choices": [], "x_new": {"y": [1.5, None]}})
    assert accumulate(repair(values, quirk)) == accumulate(values)
    if quirk != "tagged":
        assert repair(values, quirk) == values


@pytest.mark.parametrize(
    ("native", "public"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("STOP", "stop"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("content_filter", "content_filter"),
        ("something_new", "stop"),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_finish_reasons_become_openais(native: object, public: str | None) -> None:
    """Strict clients know five reasons; another one is kept beside them."""
    choice = repaired(answer({"content": "x"}) | {"choices": [{"finish_reason": native}]})[
        "choices"
    ][0]
    assert choice["finish_reason"] == public
    assert choice.get("native_finish_reason") == (
        native if native and public != native and public else None
    )


@pytest.mark.parametrize("native", ["error", "abort", "insufficient_system_resource"])
def test_a_finish_that_is_a_failure_is_told_as_one(native: str) -> None:
    """A stream and a whole answer that end so are errors."""
    reader = OpenAIStream(Ask("chat", "m", {}), 1 << 20, open_repair("regular"))
    reader.feed(event(chunk({"content": "x"})) + event(chunk({}, native)))
    assert type(reader.error) is UpstreamServerError
    with pytest.raises(UpstreamServerError):
        body = json.dumps(answer({"content": "x"}, native)).encode()
        read_openai_answer(Ask("chat", "m", {}), body, open_repair("regular"))


def test_tools_that_finish_with_stop_finish_with_tool_calls() -> None:
    """Clients run tools only where the finish reason says so."""
    tool = call(id="c", type="function", name="f", arguments="{}")
    values = repair(deltas({"role": "assistant", "tool_calls": [tool]}, finish="stop"))
    assert values[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert repaired(answer({"tool_calls": [tool]}))["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_has_both_its_names(name: str) -> None:
    """Clients look for either name, in streams and in whole answers."""
    (first, *_) = repair(deltas({name: "why"}, {"content": "so"}))
    delta = first["choices"][0]["delta"]
    assert delta["reasoning"] == delta["reasoning_content"] == "why"
    message = message_of(answer({"content": "so", name: "why"}))
    assert message["reasoning"] == message["reasoning_content"] == "why"


def test_explicit_nulls_are_no_reasoning() -> None:
    """DeepSeek names both fields in every delta, one of them null."""
    message = accumulate(
        repair(
            deltas(
                {"role": "assistant", "content": None, "reasoning_content": "wh"},
                {"content": None, "reasoning_content": "y"},
                {"content": "so", "reasoning_content": None},
            )
        )
    )
    assert (message["content"], message["reasoning_content"]) == ("so", "why")


def test_parts_of_a_message_become_text_and_reasoning() -> None:
    """Mistral's content array is a string and a reasoning for clients."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
        {"type": "text", "text": "so"},
        "!",
        {"type": "reference", "reference_ids": [1]},
    ]
    message = message_of(answer({"content": parts}))
    assert (message["content"], message["reasoning_content"]) == ("so!", "why")


def test_tool_calls_of_a_message_are_made_whole() -> None:
    """Ids, types and arguments as text are there for every call."""
    message = message_of(
        answer({"content": None, "tool_calls": [call(name="f", arguments={"a": 1})]})
    )
    (found,) = message["tool_calls"]
    assert found["id"].startswith("call_")
    assert found["type"] == "function"
    assert found["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_obfuscation_is_left_out() -> None:
    """Padding that is made to be thrown away is not paid for twice."""
    assert "obfuscation" not in repaired(chunk({"content": "x"}, obfuscation="abc"))


def test_an_error_inside_a_choice_is_an_error() -> None:
    """OpenRouter puts a failure into the choice, with status 200."""
    value = answer({"content": ""}) | {"choices": [{"error": {"message": "m", "code": 502}}]}
    with pytest.raises(UpstreamServerError):
        read_openai_answer(Ask("chat", "m", {}), json.dumps(value).encode(), open_repair("regular"))


def test_choices_without_an_index_get_their_place() -> None:
    """A choice is known by its index; without one its place in the list is it."""
    value = {"object": "chat.completion", "choices": [{"finish_reason": "stop"}, {"index": None}]}
    assert [choice["index"] for choice in repaired(value)["choices"]] == [0, 1]


def test_a_chunk_without_choices_has_an_empty_list() -> None:
    """Clients iterate over the choices of every chunk."""
    assert repaired({"object": "chat.completion.chunk", "choices": None})["choices"] == []
    assert repaired({"object": "chat.completion.chunk"})["choices"] == []


def test_grok_counts_reasoning_inside_the_completion_too() -> None:
    """Where the sum says that reasoning stands outside, it is added; else nothing is."""
    outside = {
        "prompt_tokens": 12,
        "completion_tokens": 1,
        "total_tokens": 241,
        "completion_tokens_details": {"reasoning_tokens": 228},
    }
    body = json.dumps(answer({"content": "x"}, usage=outside)).encode()
    usage = read_openai_answer(Ask("chat", "m", {}), body, open_repair("grok")).usage
    assert usage == Usage(12, 229, reasoning_tokens=228)
    inside = outside | {"completion_tokens": 229}
    assert repaired(answer({}, usage=inside), "grok")["usage"]["completion_tokens"] == 229


def test_groqs_own_field_tells_usage_and_failure() -> None:
    """What stands in `x_groq` counts where the usual fields are not there."""
    stream = event(chunk({"content": "x"})) + event(chunk({}, "stop", x_groq={"usage": USAGE}))
    reader = OpenAIStream(Ask("chat", "m", {}), 1 << 20, open_repair("groq"))
    reader.feed(stream)
    assert reader.usage == Usage(3, 4)
    failed = OpenAIStream(Ask("chat", "m", {}), 1 << 20, open_repair("groq"))
    failed.feed(event(chunk({"content": "x"})) + event(chunk({}, x_groq={"error": "over"})))
    assert type(failed.error) is UpstreamServerError


def test_tags_are_split_off_in_streams() -> None:
    """Reasoning between tags, cut anywhere, is reasoning for clients."""
    text = "<think>why < not</think>\n\nso < be it <"
    for size in (1, 2, 3, 7, 100):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        values = deltas({"role": "assistant", "content": ""}, *({"content": p} for p in pieces))
        message = accumulate(repair(values, "tagged"))
        assert message["content"] == "so < be it <"
        assert message["reasoning_content"] == message["reasoning"] == "why < not"


def test_text_that_waits_for_a_tag_is_not_lost() -> None:
    """It comes with the finish reason, or before `[DONE]` where there is none."""
    assert accumulate(repair(deltas({"content": "a <"}), "tagged"))["content"] == "a <"
    reader = OpenAIStream(Ask("chat", "m", {}), 1 << 20, open_repair("tagged"))
    out = reader.feed(event(chunk({"content": "a <"})) + b"data: [DONE]\n\n")
    values = [json.loads(line[6:]) for line in out.split(b"\n\n")[:-2]]
    assert accumulate(values)["content"] == "a <"
    assert {value["id"] for value in values} == {"chatcmpl-1"}


def test_tags_are_split_off_whole_answers() -> None:
    """The block is reasoning, also where only its end came."""
    for text in ("<think>why</think>so", "why</think>\nso"):
        message = message_of(answer({"content": text}), "tagged")
        assert (message["content"], message["reasoning_content"]) == ("so", "why")
    assert message_of(answer({"content": ""}), "tagged")["content"] == ""
    assert message_of(answer({"content": None}), "tagged")["content"] is None


def test_only_some_types_take_tags_out_of_text() -> None:
    """Elsewhere the tags are the model's own words."""
    message = message_of(answer({"content": "<think>x</think>y"}))
    assert message["content"] == "<think>x</think>y"


def test_a_provider_without_quirks_has_no_repair() -> None:
    """None is the pass-through."""
    assert open_repair(None) is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "delta", "message", "content", "tool_calls", "function", "index"),
                    *(
                        "finish_reason",
                        "usage",
                        "x_groq",
                        "error",
                        "role",
                        "reasoning",
                        "annotations",
                    ),
                    *("thinking", "type", "text", "object", "completion_tokens_details", "id"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(
    st.sampled_from(QUIRKS),
    st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "object", "x_groq"]), ANY)),
)
def test_nothing_raises(quirk: str, values: list[dict[str, Any]]) -> None:
    """Whatever a provider sends, the repairs give an object that can be written."""
    fix = open_repair(quirk)
    assert fix is not None
    for value in values:
        json.dumps(fix(value))
    fix.finish()


@given(
    st.sampled_from(QUIRKS),
    st.lists(ANY.map(lambda delta: {"choices": [{"delta": delta, "message": delta}]})),
)
def test_no_delta_raises(quirk: str, values: list[dict[str, Any]]) -> None:
    """The same for deltas and messages of any shape."""
    fix = open_repair(quirk)
    assert fix is not None
    for value in values:
        fix({"choices": [{"message": copy.deepcopy(value["choices"][0]["message"])}]})
        json.dumps(fix(value))


def test_sources_are_cited_where_the_text_refers_to_them() -> None:
    """Markers become annotations once, at the end, and the client's accumulator keeps them all."""
    sources: dict[str, Any] = {"citations": ["https://a.example"]}
    stream = [{**value, **sources} for value in deltas({"content": "So [1"}, {"content": "]."})]
    message = accumulate(repair(stream, "perplexity"))
    assert message["annotations"][0]["url_citation"]["start_index"] == 3
    whole = message_of(answer({"content": "So [1]."}, **sources), "perplexity")
    assert whole["annotations"][0]["url_citation"]["url"] == "https://a.example"


def test_annotations_of_the_providers_own_are_all_there_are() -> None:
    """What already says where its words come from gets nothing added."""
    own = {"content": "So [1].", "annotations": [{"type": "own"}]}
    sources: dict[str, Any] = {"citations": ["https://a.example"]}
    assert message_of(answer(own, **sources), "perplexity")["annotations"] == [{"type": "own"}]
    stream = [{**value, **sources} for value in deltas(own, {"content": " [1]"})]
    message = accumulate(repair(stream, "perplexity"))
    assert [each["type"] for each in message["annotations"]] == ["own"]


@pytest.mark.parametrize(
    "name",
    ["chat.completion.done", "chat.reasoning", "chat.reasoning.done", "chat.completion.chunk.done"],
)
def test_a_chunk_of_another_name_is_a_chunk(name: str) -> None:
    """Whatever Perplexity calls an event of its stream, clients get a chunk."""
    assert repaired({"id": "a", "object": name}, "perplexity") == {
        "id": "a",
        "object": "chat.completion.chunk",
        "choices": [],
    }
