"""A choice says what was asked for, and is cut where the client asked."""

from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import ChatAsk, parse_ask
from proxy.simulator.choice import Choice, count_prompt, cut_text, decide_choice, tell_story
from proxy.simulator.knobs import Knobs, parse_model_name
from proxy.simulator.tokens import count_tokens
from tests.simulator.asking import WEATHER, chat_body

OTHER = {"type": "function", "function": {"name": "other"}}
CUSTOM = {"type": "custom", "custom": {"name": "free"}}


def _choice(name: str = "sim-echo", text: str = "one two three", **more: Any) -> Choice:
    base, knobs = parse_model_name(name)
    return decide_choice(parse_ask(chat_body(base, text, **more), ChatAsk), base, knobs, 7, 0)


@pytest.mark.parametrize(
    ("stops", "limit", "text", "reason"),
    [
        ((), None, "one two three", "stop"),
        ((), 2, "one two", "length"),
        ((), 3, "one two three", "stop"),
        (("two",), None, "one ", "stop"),
        (("three", "two"), 9, "one ", "stop"),
        (("three",), 1, "one", "length"),
        (("nine",), None, "one two three", "stop"),
        (("one",), None, "", "stop"),
    ],
)
def test_text_is_cut(stops: tuple[str, ...], limit: int | None, text: str, reason: str) -> None:
    """The first stop text ends the answer before it; the limit cuts what is left."""
    tokens, found = cut_text("one two three", stops, limit)
    assert ("".join(tokens), found) == (text, reason)


@pytest.mark.parametrize("tokens", [1, 7, 100, 5000])
def test_stories_have_the_length_asked_for(tokens: int) -> None:
    """A story is as many tokens long as its knob says, told again if need be."""
    assert all(count_tokens(tell_story(Knobs(tokens=tokens), seed)) == tokens for seed in range(3))


def test_seeds_choose_the_story() -> None:
    """There are several stories, and one seed always gets the same one."""
    assert len({tell_story(Knobs(), seed) for seed in range(6)}) == 3


def test_silence_is_answered() -> None:
    """`sim-echo` answers something where the user said nothing."""
    assert _choice(text="").text == "You have not said anything yet."


@pytest.mark.parametrize(
    ("tool_choice", "name"),
    [
        (None, "get_weather"),
        ("auto", "get_weather"),
        ("required", "get_weather"),
        ("none", None),
        ({"type": "function", "function": {"name": "other"}}, "other"),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [OTHER]},
            },
            "other",
        ),
    ],
)
def test_tools_are_chosen(tool_choice: Any, name: str | None) -> None:
    """`sim-tools` calls the first tool, or the one that `tool_choice` names, or none."""
    choice = _choice("sim-tools", tools=[WEATHER, OTHER], tool_choice=tool_choice)
    assert [call.name for call in choice.calls] == [name] * (name is not None)
    assert choice.finish_reason == ("stop" if name is None else "tool_calls")


def test_other_models_call_only_what_they_must() -> None:
    """A model that is not `sim-tools` calls a tool only if the client insists."""
    assert not _choice(tools=[WEATHER]).calls
    (call,) = _choice(tools=[WEATHER], tool_choice="required").calls
    assert call.name == "get_weather"


@pytest.mark.parametrize(
    "tool_choice", ["required", {"type": "function", "function": {"name": "gone"}}, {"x": 1}]
)
def test_impossible_tool_choices_are_refused(tool_choice: Any) -> None:
    """Insisting on a function that is not offered is the client's mistake."""
    tools = [CUSTOM] if tool_choice == "required" else [WEATHER]
    with pytest.raises(InvalidRequest) as raised:
        _choice("sim-tools", tools=tools, tool_choice=tool_choice)
    assert raised.value.param == "tool_choice"


def test_arguments_count_as_tokens() -> None:
    """A call's tokens are its arguments' and one for its name; a limit cuts them."""
    choice = _choice("sim-tools", tools=[WEATHER])
    assert choice.token_count == len(choice.calls[0].tokens) + 1
    cut = _choice("sim-tools", tools=[WEATHER], max_tokens=3)
    assert (cut.token_count, cut.finish_reason) == (3, "length")


def test_json_is_written_on_request() -> None:
    """`json_object` wraps the text; an unknown format and a bad schema are refused."""
    assert _choice(response_format={"type": "json_object"}).text == '{"answer":"one two three"}'
    with pytest.raises(InvalidRequest):
        _choice(response_format={"type": "yaml"})
    schema = {"name": "x", "schema": {"type": "elephant"}}
    with pytest.raises(InvalidRequest, match="'elephant' is no type"):
        _choice(response_format={"type": "json_schema", "json_schema": schema})


def test_enormous_answers_are_refused() -> None:
    """A prompt beyond the context, or too many long choices, is a context_length error."""
    assert count_prompt(["one two", "three"], 1, Knobs()) == 3
    for texts, choices, knobs in (
        (["x" * 5_000_000], 1, Knobs()),
        (["word " * 3000], 100, Knobs()),
        (["hi"], 3, Knobs(tokens=100_000)),
    ):
        with pytest.raises(InvalidRequest) as raised:
            count_prompt(texts, choices, knobs)
        assert raised.value.code == "context_length_exceeded"


def test_several_calls_at_once() -> None:
    """`calls` functions are called in the order of the offer, unless one at a time is wanted."""
    bare = {"type": "function", "function": {"name": "now"}}
    calls = _choice("sim-tools@3calls", tools=[WEATHER, bare]).calls
    assert [call.name for call in calls] == ["get_weather", "now", "get_weather"]
    assert calls[1].arguments == "{}"
    assert len({call.id for call in calls}) == 3
    single = _choice("sim-tools@3calls", tools=[WEATHER, bare], parallel_tool_calls=False)
    assert len(single.calls) == 1


def test_a_limit_cuts_the_last_call() -> None:
    """Calls beyond the limit are not made, and the answer says that it was cut."""
    bare = {"type": "function", "function": {"name": "now"}}
    cut = _choice("sim-tools@3calls", tools=[bare], max_tokens=4)
    assert (len(cut.calls), cut.token_count, cut.finish_reason) == (2, 4, "length")


def test_thoughts_come_first_and_count() -> None:
    """Thoughts are as long as asked for, count as tokens, and use up the limit."""
    choice = _choice("sim-echo@2thoughts")
    assert (len(choice.thoughts), choice.token_count) == (2, 2 + len(choice.tokens))
    cut = _choice("sim-echo@9thoughts", max_tokens=4)
    assert (len(cut.thoughts), cut.tokens, cut.finish_reason) == (4, (), "length")


def test_a_refusal_is_no_text() -> None:
    """`sim-refuse` declines, whatever it is asked."""
    assert _choice("sim-refuse").is_refusal


def test_pictures_are_described() -> None:
    """`sim-look` tells the type and size of what was shown, or its address, or of nothing."""
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://a.test/b"}},
    ]
    seen = _choice("sim-look", messages=[{"role": "user", "content": parts}]).text
    assert seen == "I see: image/png of 3 bytes, https://a.test/b."
    assert _choice("sim-look").text == "I see: nothing."
