"""Tests of `proxy/wire/gathered_answer.py`."""

from msgspec import Raw

from proxy.domain.chat import Call, Citation, Thought
from proxy.domain.events import (
    CallEnded,
    CallStarted,
    Cited,
    Counted,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.gathered_answer import gather_answer
from tests.wire.answers import CALL, COUNTED, STARTED


def test_pieces_are_joined_by_their_kind() -> None:
    """Text, refusal, calls, sources and log probabilities each come to one whole, in order."""
    source, tokens = Citation(url="https://a.example"), Raw(b'{"content":[]}')
    answer = gather_answer(
        [
            STARTED,
            Said("Hi "),
            Refused("I "),
            *CALL,
            Said("there"),
            Cited(source),
            LogProbs(tokens),
            Refused("cannot"),
            Finished("tool_calls"),
            COUNTED,
        ]
    )
    (choice,) = answer.choices.values()
    assert (answer.started, answer.usage) == (STARTED, COUNTED.usage)
    assert (choice.text, choice.refusal) == ("Hi there", "I cannot")
    assert choice.calls == [Call("call_a", "weather", '{"city":"Oslo"}')]
    assert (choice.citations, choice.log_probs) == ([source], [tokens])
    assert choice.finished == Finished("tool_calls")


def test_thoughts_are_kept_apart() -> None:
    """Each thought has its own text and signature; one that nobody has ended ends at the end."""
    answer = gather_answer(
        [
            Thinking("a", "anthropic"),
            Thinking("b", "anthropic"),
            ThoughtEnded("anthropic", "s1"),
            ThoughtEnded("anthropic", "hidden", is_redacted=True),
            ThoughtEnded("openai"),
            ThoughtEnded("openai", extra=Raw(b"[]")),
            Thinking("c", "gemini"),
            Finished("stop"),
        ]
    )
    assert answer.choices[0].thoughts == [
        Thought("ab", "anthropic", "s1"),
        Thought("", "anthropic", "hidden", is_redacted=True),
        Thought("", "openai", extra=Raw(b"[]")),
        Thought("c", "gemini"),
    ]


def test_choices_are_sorted_and_the_last_count_holds() -> None:
    """Choices stand by their number, whichever spoke first; usage is the last that came."""
    last = Counted(Usage(2, 2))
    answer = gather_answer([Said("b", 1), COUNTED, Said("a", 0), last])
    assert [(index, choice.text) for index, choice in answer.choices.items()] == [
        (0, "a"),
        (1, "b"),
    ]
    assert answer.usage == last.usage
    assert answer.started == Started()


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """A call of which no arguments came is a call with none."""
    answer = gather_answer([CallStarted(0, "c", "f", "sig"), CallEnded(0)])
    assert answer.choices[0].calls == [Call("c", "f", "{}", "sig")]
