"""Tests of `proxy/wire/openai_choice.py`: what one choice says, in whatever shape."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.openai_choice import ChoiceReader, Delta


def read(*deltas: dict[str, Any], reason: str | None = "stop", sources: Any = ()) -> list[Event]:
    """The events of deltas and of the end."""
    reader, events = ChoiceReader(0), list[Event]()
    for delta in deltas:
        reader.take(msgspec.convert(delta, Delta), events)
    reader.finish(reason, list(sources), events)
    return events


END = Finished("stop", raw="stop")


def test_text_and_refusal_are_told_apart() -> None:
    """Content is said, a refusal is refused; empty ones are nothing."""
    events = read({"content": ""}, {"content": "Hi"}, {"refusal": "No"}, {"refusal": None})
    assert events == [Said("Hi"), Refused("No"), END]


def test_text_in_parts_is_joined() -> None:
    """A list of parts is the text in it."""
    parts = [{"type": "text", "text": "a"}, {"type": "x"}, 7, {"text": "b"}]
    assert read({"content": parts}, {"content": {"text": "c"}}) == [Said("ab"), END]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thought_ends_where_something_else_begins(name: str) -> None:
    """Reasoning under either name is a thought, which the first text ends."""
    assert read({name: "a"}, {name: "b"}, {"content": "Hi"}) == [
        Thinking("a", "openai"),
        Thinking("b", "openai"),
        ThoughtEnded("openai"),
        Said("Hi"),
        END,
    ]


def test_reasoning_under_both_names_counts_once() -> None:
    """The same thought under both its names is one."""
    assert read({"reasoning_content": "a", "reasoning": "a"})[:1] == [Thinking("a", "openai")]


def test_streamed_blocks_sign_their_thought() -> None:
    """Text is told once, the signature ends it, and a redacted thought stands alone."""
    block = {"type": "thinking", "thinking": "a"}
    events = read(
        {"reasoning_content": "a", "thinking_blocks": [{"index": 0, **block}]},
        {"thinking_blocks": [{"index": 0, "type": "thinking", "signature": "s"}]},
        {"thinking_blocks": [{"index": 1, "type": "redacted_thinking", "data": "d"}]},
        {"content": "Hi"},
    )
    assert events == [
        Thinking("a", "anthropic"),
        ThoughtEnded("anthropic", "s"),
        ThoughtEnded("anthropic", "d", is_redacted=True),
        Said("Hi"),
        END,
    ]


def test_a_foreign_signature_is_given_to_its_maker() -> None:
    """The mark in a signature says whose the thought is."""
    events = read(
        {"reasoning_content": "a"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "lp1.gemini.s"}]},
    )
    assert events[:2] == [Thinking("a", "openai"), ThoughtEnded("gemini", "s")]


def test_blocks_of_a_whole_message_are_thoughts_of_their_own() -> None:
    """Each block has its text and signature; the text of all of them together is not repeated."""
    blocks = [{"type": "thinking", "thinking": t, "signature": f"s{t}"} for t in "ab"]
    assert read({"reasoning_content": "ab", "thinking_blocks": blocks}) == [
        Thinking("a", "anthropic"),
        ThoughtEnded("anthropic", "sa"),
        Thinking("b", "anthropic"),
        ThoughtEnded("anthropic", "sb"),
        END,
    ]


def test_calls_end_with_their_choice_and_give_its_reason() -> None:
    """A choice with calls that says `stop` has stopped for them."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    assert read({"reasoning": "a"}, {"tool_calls": [call]})[1:] == [
        ThoughtEnded("openai"),
        CallStarted(0, "c", "f"),
        CallArguments(0, "{}"),
        CallEnded(0),
        Finished("tool_calls", raw="stop"),
    ]


def test_openrouters_details_come_at_the_end() -> None:
    """What its models want back is told once, as one list, wherever its pieces came."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    events = read(
        {"reasoning": "a", "reasoning_details": [{"index": 0, "text": "a"}]},
        {"tool_calls": [call], "reasoning_details": [{"index": 0, "signature": "s"}]},
        reason="tool_calls",
    )
    extra = Raw(b'[{"index":0,"text":"a","signature":"s"}]')
    assert events[-2:] == [
        ThoughtEnded("openai", extra=extra),
        Finished("tool_calls", raw="tool_calls"),
    ]


def test_the_deprecated_call_is_a_call() -> None:
    """`function_call` is one call, which has an id of ours."""
    events = read(
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
        reason="function_call",
    )
    assert [type(event) for event in events] == [CallStarted, CallArguments, CallEnded, Finished]
    assert events[-1] == Finished("tool_calls", raw="function_call")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_reasons_are_those_that_there_are(word: str | None, reason: Any) -> None:
    """A word that is not known is an ordinary end, and is kept beside it."""
    assert read(reason=word) == [Finished(reason, raw=word)]


def test_annotations_are_sources() -> None:
    """Address, title and place are read, and the provider's own form is kept without its index."""
    inner = {"url": "https://a", "title": "A", "start_index": 1, "end_index": 3}
    (cited, _) = read(
        {"annotations": [{"index": 4, "type": "url_citation", "url_citation": inner}]}
    )
    assert isinstance(cited, Cited)
    citation = cited.citation
    assert (citation.url, citation.title, citation.start, citation.end) == ("https://a", "A", 1, 3)
    assert citation.raw is not None
    assert msgspec.json.decode(citation.raw) == {"type": "url_citation", "url_citation": inner}


def test_sources_of_the_answer_are_for_choices_without_any() -> None:
    """Sources beside the choices are named where a choice has named none itself."""
    source = Citation(url="https://b")
    assert read({"content": "a"}, sources=[source])[1:] == [Cited(source), END]
    own = {"annotations": [{"url_citation": {"url": "https://a"}}]}
    assert Cited(source) not in read(own, sources=[source])


@pytest.mark.parametrize(
    ("raw", "is_told"),
    [
        (b'{"content":[{"token":"a"}]}', True),
        (b'{"content":null,"refusal":[]}', True),
        (b"null", False),
        (b"[]", False),
        (b'{"content":7}', False),
    ],
)
def test_log_probabilities_are_told_if_they_are_some(raw: bytes, is_told: bool) -> None:
    """What has another shape would be of no use to whoever writes them."""
    events: list[Event] = []
    ChoiceReader(0).take_log_probs(Raw(raw), events)
    assert events == ([LogProbs(Raw(raw))] if is_told else [])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "thinking", "signature", "data", "url_citation", "url", "index"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(Delta.__struct_fields__), ANYTHING), max_size=4))
def test_nothing_raises(deltas: list[dict[str, Any]]) -> None:
    """Whatever a provider sends for a member, the choice is read and ends once."""
    events = read(*deltas)
    assert [type(event) for event in events].count(Finished) == 1
