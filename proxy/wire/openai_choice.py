"""One choice of an answer in OpenAI's format -> events: deltas of a stream, or a whole message."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Citation, Maker
from proxy.domain.events import (
    Cited,
    Event,
    Finished,
    FinishReason,
    LogProbs,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.openai_calls import CallReader
from proxy.wire.openai_details import DetailsReader
from proxy.wire.thought_signature import unwrap_signature

_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }
)


class Delta(Struct, gc=False):
    """What is read of a delta or of a message; values of any shape, as providers send them."""

    content: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    function_call: Any = None
    reasoning_details: Any = None
    annotations: Any = None
    thinking_blocks: Any = None


class _LogProbs(Struct):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode
_encode = msgspec.json.encode


class ChoiceReader:
    """Turns what one choice says into events; what is of no known shape is passed over."""

    def __init__(self, index: int) -> None:
        self.is_finished = False
        self._index = index
        self._thinker: Maker | None = None
        """Whose thought has begun and not ended."""
        self._calls = CallReader(index)
        self._details: DetailsReader | None = None
        self._has_citations = False

    def take(self, delta: Delta, events: list[Event]) -> None:
        """
        Add what a delta, or a whole message, says.

        Raises:
            UpstreamError: see `openai_calls.py`.
        """
        if delta.thinking_blocks:
            self._take_blocks(delta, events)
        elif delta.reasoning_content or delta.reasoning:
            self._think(_read_thought(delta), "openai", events)
        if delta.reasoning_details:
            if self._details is None:
                self._details = DetailsReader()
            self._details.take(delta.reasoning_details)
        content = delta.content
        if content:
            text = content if isinstance(content, str) else _join_texts(content)
            if text:
                self._end_thought(events)
                events.append(Said(text, self._index))
        if delta.refusal and isinstance(delta.refusal, str):
            self._end_thought(events)
            events.append(Refused(delta.refusal, self._index))
        if delta.annotations:
            self._take_annotations(delta.annotations, events)
        if delta.tool_calls:
            self._end_thought(events)
            self._calls.take(delta.tool_calls, events)
        elif delta.function_call:
            self._end_thought(events)
            # The deprecated form: there is only one of them.
            self._calls.take([{"index": 0, "function": delta.function_call}], events)

    def take_log_probs(self, raw: Raw, events: list[Event]) -> None:
        """Add log probabilities, if that is what they are."""
        if not bytes(raw).startswith(b"{"):
            return
        try:
            _decode_log_probs(raw)
        except (ValueError, RecursionError):
            return
        events.append(LogProbs(raw, self._index))

    def finish(self, reason: str | None, sources: list[Citation], events: list[Event]) -> None:
        """
        Add the end of the choice, once.

        Args:
            reason: the provider's word; None: it has said none, and has ended all the same.
            sources: of the whole answer, for a choice that has named none itself.
            events: gets the events, in their order.

        Raises:
            UpstreamError: see `openai_calls.py`.
        """
        self.is_finished = True
        self._end_thought(events)
        self._calls.finish(events)
        # Some come behind the calls that they belong to.
        extra = None if self._details is None else self._details.build()
        if extra is not None:
            events.append(ThoughtEnded("openai", choice=self._index, extra=extra))
        if not self._has_citations:
            events.extend(Cited(source, self._index) for source in sources)
        known = _REASONS.get(reason or "stop", "stop")
        if known == "stop" and self._calls.has_calls:
            known = "tool_calls"
        events.append(Finished(known, self._index, raw=reason))

    def _think(self, text: str, maker: Maker, events: list[Event]) -> None:
        if text:
            self._thinker = maker
            events.append(Thinking(text, maker, self._index))

    def _end_thought(self, events: list[Event]) -> None:
        if self._thinker is not None:
            events.append(ThoughtEnded(self._thinker, choice=self._index))
            self._thinker = None

    def _take_blocks(self, delta: Delta, events: list[Event]) -> None:
        found = delta.thinking_blocks if isinstance(delta.thinking_blocks, list) else []
        blocks = [block for block in found if isinstance(block, dict)]
        if not any(block.get("thinking") for block in blocks):
            self._think(_read_thought(delta), self._thinker or "openai", events)
        for block in blocks:
            if block.get("type") == "redacted_thinking":
                self._end_thought(events)
                maker, data = unwrap_signature(_read_text(block, "data"))
                events.append(ThoughtEnded(maker, data, is_redacted=True, choice=self._index))
                continue
            signature = _read_text(block, "signature")
            maker, own = unwrap_signature(signature)
            self._think(_read_text(block, "thinking"), maker, events)
            if signature:
                self._thinker = None
                events.append(ThoughtEnded(maker, own, choice=self._index))

    def _take_annotations(self, annotations: Any, events: list[Event]) -> None:
        for annotation in annotations if isinstance(annotations, list) else ():
            if isinstance(annotation, dict):
                self._has_citations = True
                events.append(Cited(_read_citation(annotation), self._index))


def _read_thought(delta: Delta) -> str:
    thought = delta.reasoning_content or delta.reasoning
    return thought if isinstance(thought, str) else ""


def _read_citation(annotation: dict[str, Any]) -> Citation:
    # Its number in a stream's list is of no matter to anybody else.
    shown = {name: value for name, value in annotation.items() if name != "index"}
    inner = annotation.get("url_citation")
    found = inner if isinstance(inner, dict) else annotation
    return Citation(
        url=_read_text(found, "url") or None,
        title=_read_text(found, "title") or None,
        start=_read_place(found, "start_index"),
        end=_read_place(found, "end_index"),
        raw=Raw(_encode(shown)),
        maker="openai",
    )


def _read_place(holder: dict[str, Any], name: str) -> int | None:
    found = holder.get(name)
    return found if type(found) is int and found >= 0 else None


def _read_text(holder: dict[str, Any], name: str) -> str:
    found = holder.get(name)
    return found if isinstance(found, str) else ""


def _join_texts(content: Any) -> str:
    """Return the text of a list of parts."""
    if not isinstance(content, list):
        return ""
    return "".join(_read_text(part, "text") for part in content if isinstance(part, dict))
