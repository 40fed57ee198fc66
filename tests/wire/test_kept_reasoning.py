"""Thoughts that belong to calls, gathered and put back."""

import pytest

from proxy.domain.chat import Call, ChatRequest, Message, Result, Text, Thought
from proxy.domain.events import (
    CallArguments,
    CallStarted,
    Counted,
    Event,
    Finished,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.reasoning import KeptReasoning
from proxy.domain.usage import Usage
from proxy.wire.kept_reasoning import MOST_BYTES, Gatherer, fill_reasoning, gather

CLAUDE = (
    Started("m"),
    Thinking("I ", "anthropic"),
    Thinking("see", "anthropic"),
    ThoughtEnded("anthropic", "sig"),
    ThoughtEnded("anthropic", "dark", is_redacted=True),
    Said("Well"),
    CallStarted(0, "a", "f"),
    CallArguments(0, "{}"),
    CallStarted(1, "b", "f"),
    Finished("tool_calls"),
    Counted(Usage(1, 1)),
)
THOUGHTS = (
    Thought("I see", "anthropic", "sig"),
    Thought("", "anthropic", "dark", is_redacted=True),
)
KEPT = KeptReasoning("anthropic", THOUGHTS, {}, ("a", "b"))
CALL = Call("a", "f")


def build_chat(*parts: Text | Call | Thought) -> ChatRequest:
    """Return a conversation whose second turn is these parts, with the call's result behind."""
    return ChatRequest(
        (
            Message("user", (Text("hi"),)),
            Message("assistant", parts),
            Message("tool", (Result("a", (Text("1"),)),)),
        )
    )


def test_what_was_thought_before_calls_is_gathered() -> None:
    """Texts are joined, signatures stay with theirs, and every call of the turn is named."""
    assert gather(CLAUDE) == [KEPT]


def test_signatures_of_calls_are_kept_without_any_thought() -> None:
    """Gemini signs the first of several calls, whether it shows what it thinks or not."""
    events = (CallStarted(0, "a", "f", "s1"), CallStarted(1, "b", "f"))
    assert gather(events) == [KeptReasoning("gemini", (), {"a": "s1"}, ("a", "b"))]


def test_a_text_without_a_signature_is_kept_too() -> None:
    """Makers of OpenAI's format sign nothing and want the text."""
    events = (Thinking("hm", "openai"), CallStarted(0, "a", "f"))
    assert gather(events) == [KeptReasoning("openai", (Thought("hm", "openai"),), {}, ("a",))]


def test_each_choice_has_its_own() -> None:
    """Of several answers each is kept under its own calls."""
    events = (
        Thinking("x", "openai", 0),
        Thinking("y", "openai", 1),
        CallStarted(0, "a", "f", choice=0),
        CallStarted(0, "b", "f", choice=1),
    )
    assert [(kept.thoughts[0].text, kept.call_ids) for kept in gather(events)] == [
        ("x", ("a",)),
        ("y", ("b",)),
    ]


@pytest.mark.parametrize(
    "events",
    [
        (),
        (Said("x"), Finished("stop")),
        (Thinking("x", "anthropic"), ThoughtEnded("anthropic", "s"), Said("y")),
        (CallStarted(0, "a", "f"), CallArguments(0, "{}")),
        (Thinking("x" * (MOST_BYTES + 1), "openai"), CallStarted(0, "a", "f")),
        (ThoughtEnded("anthropic", "x" * (MOST_BYTES + 1)), CallStarted(0, "a", "f")),
    ],
    ids=["nothing", "text", "no call", "no thought", "too long", "too long a signature"],
)
def test_what_no_later_request_needs_is_not_kept(events: tuple[Event, ...]) -> None:
    """Without calls nobody wants thoughts back; a part of them would be refused."""
    assert gather(events) == []


def test_thoughts_are_put_back_in_front() -> None:
    """The turn begins with them, and all else of it stays as the client has sent it."""
    filled = fill_reasoning(build_chat(Text("Well"), CALL), "anthropic", {"a": KEPT}.get)
    assert filled.missing == ()
    assert filled.chat.messages[1].parts == (*THOUGHTS, Text("Well"), CALL)
    assert filled.chat.messages[::2] == build_chat().messages[::2]


def test_signatures_go_to_their_calls() -> None:
    """A call that was signed is so again, also where it is not the first of its turn."""
    kept = KeptReasoning("gemini", (), {"a": "s1"}, ("a", "b"))
    chat = build_chat(Call("b", "g"), CALL)
    filled = fill_reasoning(chat, "gemini", {"b": kept}.get)
    assert filled.chat.messages[1].parts == (Call("b", "g"), Call("a", "f", signature="s1"))


@pytest.mark.parametrize(
    "parts",
    [
        (Thought("mine", "anthropic", "s"), CALL),
        (Text("no call"),),
    ],
)
def test_who_sends_thoughts_back_has_them_untouched(
    parts: tuple[Text | Call | Thought, ...],
) -> None:
    """A turn with its maker's thoughts, or without calls, is neither filled nor missing."""
    chat = build_chat(*parts)
    filled = fill_reasoning(chat, "anthropic", {"a": KEPT}.get)
    assert (filled.chat, filled.missing) == (chat, ())


def test_a_thought_that_has_lost_its_signature_is_none() -> None:
    """Anthropic would refuse it: what was kept takes its place."""
    chat = build_chat(Thought("I see", "anthropic"), CALL)
    filled = fill_reasoning(chat, "anthropic", {"a": KEPT}.get)
    assert filled.chat.messages[1].parts == (*THOUGHTS, CALL)
    assert filled.missing == ()


def test_a_signed_call_is_gemini_s_own() -> None:
    """A client that has kept the signature needs nothing of ours."""
    chat = build_chat(Call("a", "f", signature="s"))
    assert fill_reasoning(chat, "gemini", lambda _: None).missing == ()


def test_what_is_not_found_is_missing() -> None:
    """Foreign thoughts are none; the first call of the turn stands for it."""
    chat = build_chat(Thought("x", "openai"), Call("z", "f"), CALL)
    filled = fill_reasoning(chat, "anthropic", lambda _: None)
    assert (filled.chat, filled.missing) == (chat, ("z",))


@pytest.mark.parametrize(
    "event",
    [
        ThoughtEnded("anthropic", "s" * 1000, is_redacted=True),
        ThoughtEnded("anthropic", "s"),
        Thinking("t", "anthropic"),
        CallStarted(0, "i" * 1000, "f"),
    ],
)
def test_an_answer_without_end_is_not_kept_without_end(event: Event) -> None:
    """Once there is too much of it nothing more is held, whatever it consists of."""
    gatherer = Gatherer()
    for _ in range(MOST_BYTES // 8 + 1):
        gatherer.note(event)
    held = [turn for turn in gatherer._turns.values()]
    assert sum(len(t.thoughts) + len(t.texts) + len(t.call_ids) for t in held) == 0
    assert gatherer.finish() == []
