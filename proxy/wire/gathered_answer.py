"""The events of a whole answer, gathered by choice: what writers of whole answers begin with."""

from collections.abc import Sequence

from msgspec import Raw, Struct, field

from proxy.domain.chat import NO_ARGUMENTS, Call, Citation, Maker, Thought
from proxy.domain.events import (
    CallArguments,
    CallStarted,
    Cited,
    Counted,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage


class GatheredChoice(Struct):
    """All that one choice says; of its parts the order among their own kind is kept."""

    text: str = ""
    thoughts: list[Thought] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refusal: str = ""
    citations: list[Citation] = field(default_factory=list)
    log_probs: list[Raw] = field(default_factory=list)
    finished: Finished | None = None


class GatheredAnswer(Struct):
    """All choices of an answer by their index, lowest first; the last counts, if there were any."""

    started: Started
    choices: dict[int, GatheredChoice]
    usage: Usage | None = None


def gather_answer(events: Sequence[Event]) -> GatheredAnswer:
    """
    Return what all the events of an answer come to.

    Args:
        events: in the order of `domain/events.py`. A thought that nobody has ended ends where
            the answer does.

    Source: tests/wire/test_gathered_answer.py.
    """
    answer = GatheredAnswer(Started(), {})
    gatherers: dict[int, _Gatherer] = {}
    for event in events:
        if isinstance(event, Started):
            answer.started = event
        elif isinstance(event, Counted):
            answer.usage = event.usage
        else:
            gatherer = gatherers.get(event.choice)
            if gatherer is None:
                gatherer = gatherers[event.choice] = _Gatherer()
            gatherer.take(event)
    answer.choices = {index: gatherers[index].close() for index in sorted(gatherers)}
    return answer


class _Gatherer:
    """The pieces of one choice: joined once, at the end."""

    def __init__(self) -> None:
        self._choice = GatheredChoice()
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._maker: Maker = "openai"
        self._calls: dict[int, tuple[CallStarted, list[str]]] = {}

    def take(self, event: Event) -> None:
        choice = self._choice
        if isinstance(event, Said):
            self._texts.append(event.text)
        elif isinstance(event, Thinking):
            self._thoughts.append(event.text)
            self._maker = event.maker
        elif isinstance(event, ThoughtEnded):
            self._end_thought(event)
        elif isinstance(event, CallStarted):
            self._calls[event.index] = (event, [])
        elif isinstance(event, CallArguments):
            self._calls[event.index][1].append(event.text)
        elif isinstance(event, Refused):
            self._refusals.append(event.text)
        elif isinstance(event, Cited):
            choice.citations.append(event.citation)
        elif isinstance(event, LogProbs):
            choice.log_probs.append(event.raw)
        elif isinstance(event, Finished):
            choice.finished = event

    def close(self) -> GatheredChoice:
        if self._thoughts:
            self._end_thought(ThoughtEnded(self._maker))
        choice = self._choice
        choice.text = "".join(self._texts)
        choice.refusal = "".join(self._refusals)
        for started, pieces in self._calls.values():
            arguments = "".join(pieces) or NO_ARGUMENTS
            choice.calls.append(Call(started.id, started.name, arguments, started.signature))
        return choice

    def _end_thought(self, event: ThoughtEnded) -> None:
        text = "".join(self._thoughts)
        self._thoughts.clear()
        if text or event.signature is not None or event.extra is not None:
            self._choice.thoughts.append(
                Thought(text, event.maker, event.signature, event.is_redacted, event.extra)
            )
