"""
What a model's answer consists of, event by event, as no provider and no client writes it.

A provider's reader makes them of its bytes, a client's writer makes bytes of them. A whole answer
is the same events in one list. What goes wrong is no event: readers raise one of `errors.py`.

Order, for each choice: `Started` once before all others; then any mixture; `CallStarted` of an
index before its `CallArguments`, and nothing of it after `CallEnded`; then `Finished` once.
`Counted` may come any number of times, the last one holds.

Source: wire-formats §1.2; tests/wire/contract_dialect.py.
"""

from typing import Literal

from msgspec import Raw, Struct

from proxy.domain.chat import Citation, Maker
from proxy.domain.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Started(Struct, frozen=True, gc=False):
    """The answer begins; None: the provider has not said it."""

    id: str | None = None
    model: str | None = None
    created: int | None = None


class Said(Struct, frozen=True, gc=False):
    """More of the answer's text."""

    text: str
    choice: int = 0


class Thinking(Struct, frozen=True, gc=False):
    """More of a thought's text."""

    text: str
    maker: Maker
    choice: int = 0


class ThoughtEnded(Struct, frozen=True, gc=False):
    """
    A thought is complete, and this is what its maker wants back with it.

    With `is_redacted` there was no text, and `signature` is all of it. `extra` is what else the
    maker wants back with its thoughts, as its own JSON.
    """

    maker: Maker
    signature: str | None = None
    is_redacted: bool = False
    choice: int = 0
    extra: Raw | None = None


class CallStarted(Struct, frozen=True, gc=False):
    """A call of a tool begins; indices of a choice's calls are 0, 1, 2 and so on."""

    index: int
    id: str
    name: str
    signature: str | None = None
    choice: int = 0


class CallArguments(Struct, frozen=True, gc=False):
    """More of the text of a call's arguments."""

    index: int
    text: str
    choice: int = 0


class CallEnded(Struct, frozen=True, gc=False):
    """A call is complete; without any arguments it has had one CallArguments of `{}`."""

    index: int
    choice: int = 0


class Refused(Struct, frozen=True, gc=False):
    """More of the words by which the model declines."""

    text: str
    choice: int = 0


class Cited(Struct, frozen=True, gc=False):
    """Words of the answer come from somewhere."""

    citation: Citation
    choice: int = 0


class LogProbs(Struct, frozen=True, gc=False):
    """Log probabilities of the text before it, as OpenAI writes them: `{"content": [...]}`."""

    raw: Raw
    choice: int = 0


class Counted(Struct, frozen=True, gc=False):
    """Token counts so far."""

    usage: Usage


class Finished(Struct, frozen=True, gc=False):
    """A choice has come to its end; `stop_sequence` is the one that ended it, where it is known."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    raw: str | None = None
    """The provider's own word for it."""


Event = (
    Started
    | Said
    | Thinking
    | ThoughtEnded
    | CallStarted
    | CallArguments
    | CallEnded
    | Refused
    | Cited
    | LogProbs
    | Counted
    | Finished
)
