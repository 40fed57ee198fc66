"""
Thoughts that belong to calls: gathered from an answer, and put back into a later request.

Which request needs them is decided by provider types, where they are kept by `stores/`.
Pure: no I/O.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from proxy.domain.chat import Call, ChatRequest, Maker, Message, Part, Thought
from proxy.domain.events import CallStarted, Event, Thinking, ThoughtEnded
from proxy.domain.reasoning import KeptReasoning

MOST_BYTES = 256 * 1024
"""Of one turn; what was thought beyond it is not kept, since only all of it is of use."""
_EVENT_BYTES = 8
NOTED = Thinking | ThoughtEnded | CallStarted
"""The events that `Gatherer.note` wants to see; it passes over all others."""


class Filled(Struct, frozen=True):
    """A request with the thoughts that were found for it."""

    chat: ChatRequest
    missing: tuple[str, ...]
    """The first call of each turn for which nothing was found."""


class _Turn:
    """What one choice of an answer has said so far."""

    __slots__ = ("call_ids", "maker", "signatures", "texts", "thoughts")

    def __init__(self) -> None:
        self.maker: Maker | None = None
        self.texts: list[str] = []
        self.thoughts: list[Thought] = []
        self.call_ids: list[str] = []
        self.signatures: dict[str, str] = {}


class Gatherer:
    """Takes the events of one answer, and says at its end what is worth keeping."""

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._room_bytes = MOST_BYTES

    def note(self, event: Event) -> None:
        """Take the next event."""
        if not isinstance(event, NOTED):
            return
        turn = self._turns.get(event.choice)
        if turn is None:
            turn = self._turns[event.choice] = _Turn()
        self._room_bytes -= _weigh(event)
        if self._room_bytes < 0:
            # All of it is of no use any more, and there may be no end to what still comes.
            self._turns.clear()
            return
        if isinstance(event, Thinking):
            turn.maker = event.maker
            turn.texts.append(event.text)
        elif isinstance(event, ThoughtEnded):
            turn.maker = event.maker
            text = "".join(turn.texts)
            turn.texts.clear()
            turn.thoughts.append(
                Thought(text, event.maker, event.signature, event.is_redacted, event.extra)
            )
        else:
            turn.call_ids.append(event.id)
            if event.signature is not None:
                turn.signatures[event.id] = event.signature

    def finish(self) -> list[KeptReasoning]:
        """Return what was thought before calls, of each choice that has called any."""
        if self._room_bytes < 0:
            return []
        return [kept for turn in self._turns.values() if (kept := _close(turn)) is not None]


def gather(events: Iterable[Event]) -> list[KeptReasoning]:
    """Return what is worth keeping of all events of an answer."""
    gatherer = Gatherer()
    for event in events:
        gatherer.note(event)
    return gatherer.finish()


def fill_reasoning(
    chat: ChatRequest, maker: Maker, find: Callable[[str], KeptReasoning | None]
) -> Filled:
    """
    Return a request in which calls have their thoughts again.

    A turn that has any thought or signature of the maker's is left as the client has sent it.

    Args:
        chat: what is asked.
        maker: whose thoughts are wanted.
        find: returns what was kept under the id of a call.

    Source: issue "Fidelity"; wire-formats §6.3.
    """
    missing: list[str] = []
    messages: list[Message] = []
    for message in chat.messages:
        calls = [part for part in message.parts if isinstance(part, Call)]
        if not calls or message.role != "assistant" or _has_own(message.parts, maker):
            messages.append(message)
            continue
        kept = next((each for call in calls if (each := find(call.id)) is not None), None)
        if kept is None:
            missing.append(calls[0].id)
            messages.append(message)
        else:
            messages.append(replace(message, parts=_put_back(message.parts, kept)))
    if messages == list(chat.messages):
        return Filled(chat, tuple(missing))
    return Filled(replace(chat, messages=tuple(messages)), tuple(missing))


def _weigh(event: Thinking | ThoughtEnded | CallStarted) -> int:
    """Return how much of the room an event takes; what keeping any takes is in it."""
    if isinstance(event, Thinking):
        return _EVENT_BYTES + len(event.text)
    weight = _EVENT_BYTES + len(event.signature or "")
    if isinstance(event, CallStarted):
        return weight + len(event.id)
    return weight + len(memoryview(event.extra or b""))


def _close(turn: _Turn) -> KeptReasoning | None:
    if not turn.call_ids:
        return None
    if turn.texts and turn.maker is not None:
        # No signature has come: its maker wants the text alone.
        turn.thoughts.append(Thought("".join(turn.texts), turn.maker))
    if not turn.thoughts and not turn.signatures:
        return None
    # Signatures of calls are Gemini's, whether it has shown a thought or not.
    maker = turn.maker or "gemini"
    return KeptReasoning(maker, tuple(turn.thoughts), turn.signatures, tuple(turn.call_ids))


def _has_own(parts: tuple[Part, ...], maker: Maker) -> bool:
    # Who signs its thoughts takes none back without the signature.
    return any(
        (
            isinstance(part, Thought)
            and part.maker == maker
            and (maker == "openai" or part.signature is not None)
        )
        or (isinstance(part, Call) and part.signature is not None and maker == "gemini")
        for part in parts
    )


def _put_back(parts: tuple[Part, ...], kept: KeptReasoning) -> tuple[Part, ...]:
    signed = [
        replace(part, signature=kept.signatures[part.id])
        if isinstance(part, Call) and part.id in kept.signatures
        else part
        for part in parts
        # What is left of the same thoughts is in the way of them.
        if not (isinstance(part, Thought) and part.maker == kept.maker)
    ]
    return (*kept.thoughts, *signed)
