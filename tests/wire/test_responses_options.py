"""Tests of `proxy/wire/responses_options.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Reasoning, Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.responses_options import read_options, shows_thoughts

SCHEMA = {"type": "object"}


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value, separators=(",", ":")).encode())


def read(**fields: Any) -> ChatRequest:
    return read_options({name: raw(value) for name, value in fields.items()}, ())


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)
    assert "canary" not in refusal.value.message
    return refusal.value


def test_what_has_a_place_finds_it() -> None:
    """Each field of the dialect stands where every other dialect's does."""
    chat = read(
        model="m",
        input="hi",
        tools=[{"type": "function", "name": "f"}],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=8,
        temperature=0.5,
        top_p=0.9,
        user="u",
        safety_identifier="s",
        service_tier="flex",
        stream=True,
    )
    assert chat == ChatRequest(
        (),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        is_parallel=False,
        max_tokens=8,
        temperature=0.5,
        top_p=0.9,
        user="u",
        service_tier="flex",
        streams=True,
    )
    assert read(safety_identifier="s").user == "s"


def test_what_is_of_no_matter_to_another_dialect_is_not_kept() -> None:
    """What is said of the kept answer, of servers' own tools, or is the case anyway."""
    chat = read(
        store=True,
        metadata={"a": "b"},
        include=["reasoning.encrypted_content"],
        max_tool_calls=3,
        background=False,
        previous_response_id="resp_1",
        stream_options={"include_obfuscation": False},
        truncation="disabled",
        user=None,
    )
    assert chat == ChatRequest(())


def test_what_nobody_else_knows_is_kept_to_be_named() -> None:
    """A provider takes what is its own, and the rest is named as dropped."""
    chat = read(truncation="auto", prompt_cache_key="k", seed=1, text={"verbosity": "low"})
    assert {name: bytes(value) for name, value in chat.extra.items()} == {
        "truncation": b'"auto"',
        "prompt_cache_key": b'"k"',
        "seed": b"1",
        "verbosity": b'"low"',
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        (
            {
                "type": "json_schema",
                "name": "n",
                "schema": SCHEMA,
                "strict": True,
                "description": "d",
            },
            Format(raw(SCHEMA), "n", "d", True),
        ),
    ],
)
def test_the_form_of_the_answer(wanted: Any, found: Format | None) -> None:
    """A schema stands beside the type, not in an object of its own."""
    assert read(text={"format": wanted}).format == found


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ({"format": {}}, "text.format.type"),
        ({"format": {"type": "json_schema"}}, "text.format.schema"),
        ({"format": {"type": "json_schema", "schema": []}}, "text.format.schema"),
        ({"format": "canary"}, "text.format"),
    ],
)
def test_a_form_of_the_wrong_shape_is_named(text: Any, param: str) -> None:
    """The error says where in the request it is."""
    assert refused(text=text).param == param


def test_what_only_openai_has_is_left_to_another() -> None:
    """A grammar for the answer, and a prompt that is kept there."""
    for fields, param in (
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ):
        error = refused(**fields)
        assert isinstance(error, NotOffered)
        assert error.param == param


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, None),
        ({"effort": None}, None),
        ({"effort": "none"}, Reasoning("none", shows=False)),
        ({"effort": "high"}, Reasoning("high", shows=False)),
        ({"effort": "high", "summary": "auto"}, Reasoning("high", shows=True)),
        ({"effort": "low", "generate_summary": "concise"}, Reasoning("low", shows=True)),
        ({"summary": "detailed"}, Reasoning(is_adaptive=True)),
    ],
)
def test_how_much_is_thought_and_whether_it_is_shown(said: Any, found: Reasoning | None) -> None:
    """Thoughts are for those who ask for a summary."""
    assert read(reasoning=said).reasoning == found
    assert shows_thoughts({"reasoning": raw(said)}) == bool(found and found.shows)


def test_a_word_for_effort_that_is_not_known_is_named_as_dropped() -> None:
    """Tomorrow's word is no error, and not lost silently."""
    chat = read(reasoning={"effort": "extreme"})
    assert chat.reasoning is None
    assert set(chat.extra) == {"reasoning"}
    assert refused(reasoning={"effort": 1}).param == "reasoning.effort"
    assert not shows_thoughts({"reasoning": raw({"summary": 1})})
    assert not shows_thoughts({})


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        ({"top_logprobs": 0}, None),
        ({"top_logprobs": 3}, 3),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, 2),
    ],
)
def test_log_probabilities_are_asked_for_by_include(fields: Any, wanted: int | None) -> None:
    """Or by how many alternatives are wanted."""
    assert read(**fields).log_probs == wanted
