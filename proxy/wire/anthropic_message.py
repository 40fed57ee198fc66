"""What an answer to Anthropic's clients is beside its blocks: who has answered, why it ended."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from proxy.domain.events import Counted, Event, Finished, FinishReason, LogProbs, Started
from proxy.domain.usage import Usage
from proxy.wire.answer_blocks import BlockBuilder, Display
from proxy.wire.base import Ask
from proxy.wire.new_id import build_id

_STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_ID_PREFIX = "msg_"
_NOTHING = Usage(0, 0)


class _Thinking(Struct):
    type: str = "disabled"
    display: str | None = None


_decode_thinking = msgspec.json.Decoder(_Thinking).decode


def find_display(ask: Ask) -> Display:
    """
    Return what a client wants to see of thoughts, by the `thinking` of its request.

    Who has not enabled it sees nothing; `display: omitted` is for the signatures alone.

    Source: wire-formats §2.8 and §3.1; tests/wire/test_anthropic_message.py.
    """
    try:
        thinking = _decode_thinking(ask.fields.get("thinking", b"{}"))
    except (ValueError, RecursionError):
        return "hidden"
    if thinking.type == "disabled":
        return "hidden"
    return "signed" if thinking.display == "omitted" else "shown"


class MessageBuilder:
    """What an answer consists of beside its blocks, which go to a BlockBuilder."""

    def __init__(self, ask: Ask, builder: BlockBuilder) -> None:
        self.usage = _NOTHING
        self._model = ask.model
        self._id: str | None = None
        self._builder = builder
        self._finished: Finished | None = None
        self._choice: int | None = None
        """The one that is told: the first of a whole answer, or that a stream begins with."""

    def note(self, events: Iterable[Event]) -> None:
        """Take note of what stands at the head of an answer, wherever among the first it is."""
        for event in events:
            if isinstance(event, Started):
                self._model = event.model or self._model
                if event.id is not None and event.id.startswith(_ID_PREFIX):
                    self._id = event.id
            elif isinstance(event, Counted):
                self.usage = event.usage
            elif self._choice is None or event.choice < self._choice:
                self._choice = event.choice

    def take(self, event: Event) -> None:
        """Take the next event, whichever."""
        if isinstance(event, Counted):
            self.usage = event.usage
            return
        if isinstance(event, Started | LogProbs):
            return  # there is no place for probabilities
        if self._choice is None:
            self._choice = event.choice
        if event.choice != self._choice:
            return  # this dialect has one answer
        if isinstance(event, Finished):
            self._finished = event
        else:
            self._builder.take(event)

    def end(self) -> None:
        """Close what is open; no event may come after it."""
        self._builder.end()

    def build_message(
        self, content: Sequence[object], stop: dict[str, object]
    ) -> dict[str, object]:
        """Return the message with this content, and with the counts that are known by now."""
        if self._id is None:
            self._id = build_id(_ID_PREFIX)
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            **stop,
            "usage": self.build_usage(),
        }

    def build_stop(self) -> dict[str, object]:
        """Return why the answer ended: what the blocks tell goes before the word for it."""
        reason, sequence = "end_turn", None
        if self._finished is not None:
            reason = _STOP_REASONS[self._finished.reason]
            if self._finished.reason == "stop":
                sequence = self._finished.stop_sequence
        if reason == "tool_use" and not self._builder.has_calls:
            # Clients would look for a call to run, and send nothing back.
            reason = "end_turn"
        if self._builder.refusal:
            reason = "refusal"
        elif reason == "end_turn" and self._builder.has_calls:
            reason = "tool_use"
        elif sequence is not None:
            reason = "stop_sequence"
        stop: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
        if reason == "stop_sequence":
            stop["stop_sequence"] = sequence
        elif reason == "refusal":
            words = "".join(self._builder.refusal) or None
            stop["stop_details"] = {"type": "refusal", "category": None, "explanation": words}
        return stop

    def build_usage(self) -> dict[str, object]:
        """Return the counts by Anthropic's rule: cached tokens stand beside those of the input."""
        usage = self.usage
        beside = usage.cached_tokens + usage.cache_write_tokens
        built: dict[str, object] = {
            "input_tokens": max(0, usage.input_tokens - beside),
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
        }
        if usage.reasoning_tokens:
            built["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
        return built
