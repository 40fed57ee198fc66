"""
The events of an answer as the output items of a response, each opened, filled and closed once.

Items may overlap in this dialect: each event names its own by `output_index`. What an item has
said stands in it again when it closes, and once more in the response at the end, so that all of
an answer is held here.
"""

from collections.abc import Callable

from proxy.domain.chat import NO_ARGUMENTS, Citation, Maker, Thought
from proxy.domain.errors import UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    LogProbs,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.json_text import encode
from proxy.wire.new_id import build_id
from proxy.wire.openai_said import count_bytes
from proxy.wire.responses_open_items import (
    ItemStatus,
    Json,
    OpenCall,
    OpenMessage,
    OpenThought,
    PartKind,
    build_cited,
    build_reasoning,
    build_summary,
    read_log_probs,
)
from proxy.wire.responses_thought import wrap_call_signature, wrap_thought

MAX_HELD_BYTES = 32 * 1024 * 1024
"""Most of one answer that is held for its end: what a model can say in one is a small part of it,
so that only who never ends gets there."""
Emit = Callable[[str, bytes], None]
"""Takes the type of an event and its other members, as JSON without the braces."""
_ITEM_BYTES = 1024
"""What an item takes beside its text."""


class OutputBuilder:
    """Turns the events of one choice into items, and tells each step of it."""

    def __init__(self, emit: Emit | None, *, shows_thoughts: bool) -> None:
        self.items: list[Json] = []
        """By their `output_index`; those that are closed are as they will stay."""
        self.has_refusal = False
        self._emit = emit
        self._shows_thoughts = shows_thoughts
        self._room_bytes = MAX_HELD_BYTES
        self._message: OpenMessage | None = None
        self._thought: OpenThought | None = None
        self._calls: dict[int, OpenCall] = {}
        self._text_length = 0
        """Characters of the answer's text so far."""

    def take(self, event: Event, log_probs: LogProbs | None = None) -> None:
        """
        Take the next event: any but Started, Counted and Finished.

        Args:
            event: the event.
            log_probs: those of the text that it is, where they are known already.

        Raises:
            UpstreamTooLarge: the answer is longer than what is held of one.
        """
        if isinstance(event, Said):
            self._say(event.text, log_probs)
        elif isinstance(event, CallArguments):
            self._add_arguments(event)
        elif isinstance(event, Thinking):
            self._think(event)
        elif isinstance(event, ThoughtEnded):
            self._end_thought(event)
        elif isinstance(event, CallStarted):
            self._start_call(event)
        elif isinstance(event, CallEnded):
            self._end_call(event.index, "completed")
        elif isinstance(event, Refused):
            self._refuse(event.text)
        elif isinstance(event, Cited):
            self._cite(event.citation)
        elif isinstance(event, LogProbs):
            self._say("", event)

    def end(self, status: ItemStatus) -> None:
        """Close what is open, with that status; an answer that is complete has said something."""
        # What closing adds is a part of what is held already, and refused no more.
        self._room_bytes = 2 * MAX_HELD_BYTES
        self._close_thought()
        self._close_message(status)
        for index in list(self._calls):
            self._end_call(index, status)
        if status == "completed" and all(item["type"] == "reasoning" for item in self.items):
            # Clients look for a message, and take none for an answer that is still to come.
            self._open_part("output_text")
            self._close_message(status)

    def _say(self, text: str, log_probs: LogProbs | None) -> None:
        if not text and (log_probs is None or self._message is None):
            return
        message = self._open_part("output_text")
        pieces = read_log_probs(log_probs)
        self._hold(count_bytes(text) + sum(len(memoryview(piece)) for piece in pieces))
        message.text.write(text)
        message.log_probs += pieces
        self._text_length += len(text)
        if self._emit is not None:
            told = encode(pieces) if pieces else b"[]"
            members = b'%b,"delta":%b,"logprobs":%b' % (message.place, encode(text), told)
            self._emit("response.output_text.delta", members)

    def _refuse(self, text: str) -> None:
        if not text:
            return
        self.has_refusal = True
        message = self._open_part("refusal")
        self._hold(count_bytes(text))
        message.text.write(text)
        if self._emit is not None:
            members = b'%b,"delta":%b' % (message.place, encode(text))
            self._emit("response.refusal.delta", members)

    def _cite(self, citation: Citation) -> None:
        message = self._message
        if message is None or message.kind != "output_text":
            return
        annotation = build_cited(citation, message.start, self._text_length)
        if annotation is None:
            return
        self._hold(len(encode(annotation)))
        message.annotations.append(annotation)
        self._tell(
            "response.output_text.annotation.added",
            message.place,
            annotation_index=len(message.annotations) - 1,
            annotation=annotation,
        )

    def _think(self, event: Thinking) -> None:
        if not event.text:
            return
        thought = self._thought
        if thought is not None and thought.maker != event.maker:
            self._close_thought()
            thought = None
        if thought is None:
            thought = self._thought = self._open_thought(event.maker)
            if self._shows_thoughts:
                part = build_summary("")
                self._tell("response.reasoning_summary_part.added", thought.place, part=part)
        self._hold(count_bytes(event.text))
        thought.text.write(event.text)
        if self._shows_thoughts and self._emit is not None:
            members = b'%b,"delta":%b' % (thought.place, encode(event.text))
            self._emit("response.reasoning_summary_text.delta", members)

    def _end_thought(self, event: ThoughtEnded) -> None:
        if event.is_redacted:
            self._close_thought()
        elif self._thought is not None:
            self._close_thought(event)
            return
        if event.signature is not None or event.extra is not None:
            thought = self._open_thought(event.maker)
            self._finish_thought(thought, event)

    def _open_thought(self, maker: Maker) -> OpenThought:
        self._close_message("completed")
        item_id = build_id("rs_")
        index = self._open_item(build_reasoning(item_id, "", None))
        place = b'"item_id":%b,"output_index":%d,"summary_index":0' % (encode(item_id), index)
        return OpenThought(item_id, index, maker, place)

    def _close_thought(self, ended: ThoughtEnded | None = None) -> None:
        thought, self._thought = self._thought, None
        if thought is not None:
            self._finish_thought(thought, ended or ThoughtEnded(thought.maker))

    def _finish_thought(self, open_thought: OpenThought, ended: ThoughtEnded) -> None:
        text = open_thought.text.getvalue()
        thought = Thought(text, ended.maker, ended.signature, ended.is_redacted, ended.extra)
        summary = text if self._shows_thoughts else ""
        if summary:
            place = open_thought.place
            self._tell("response.reasoning_summary_text.done", place, text=summary)
            part = build_summary(summary)
            self._tell("response.reasoning_summary_part.done", place, part=part)
        encrypted = wrap_thought(thought, is_shown=bool(summary))
        self._close_reasoning(open_thought.id, open_thought.index, summary, encrypted)

    def _close_reasoning(self, item_id: str, index: int, summary: str, encrypted: str) -> None:
        # With `encrypted_content` whether `include` asks for it or not: who goes on from this
        # answer, by its id or by sending it back, has nothing else that its maker would take.
        self._hold(len(encrypted))
        self._close_item(index, build_reasoning(item_id, summary, encrypted))

    def _start_call(self, event: CallStarted) -> None:
        self._close_thought()
        self._close_message("completed")
        if event.signature is not None:
            item_id = build_id("rs_")
            index = self._open_item(build_reasoning(item_id, "", None))
            self._close_reasoning(item_id, index, "", wrap_call_signature(event.signature))
        self._hold(len(event.id) + len(event.name))
        item_id, index = build_id("fc_"), len(self.items)
        place = b'"item_id":%b,"output_index":%d' % (encode(item_id), index)
        call = OpenCall(item_id, index, event.id, event.name, place)
        self._calls[event.index] = call
        self._open_item(call.build("in_progress", ""))

    def _add_arguments(self, event: CallArguments) -> None:
        call = self._calls.get(event.index)
        if call is None or not event.text:
            return
        self._hold(count_bytes(event.text))
        call.arguments.write(event.text)
        if self._emit is not None:
            members = b'%b,"delta":%b' % (call.place, encode(event.text))
            self._emit("response.function_call_arguments.delta", members)

    def _end_call(self, index: int, status: ItemStatus) -> None:
        call = self._calls.pop(index, None)
        if call is None:
            return
        arguments = call.arguments.getvalue() or NO_ARGUMENTS
        self._tell(
            "response.function_call_arguments.done",
            call.place,
            name=call.name,
            arguments=arguments,
        )
        self._close_item(call.index, call.build(status, arguments))

    def _open_part(self, kind: PartKind) -> OpenMessage:
        """Return the message with a part of that kind open at its end."""
        self._close_thought()
        message = self._message
        if message is None:
            message = self._message = OpenMessage(build_id("msg_"), len(self.items))
            self._open_item(message.build("in_progress"))
        if message.kind != kind:
            self._close_part(message)
            message.kind = kind
            message.start = self._text_length
            message.place = b'"item_id":%b,"output_index":%d,"content_index":%d' % (
                encode(message.id),
                message.index,
                len(message.content),
            )
            self._tell("response.content_part.added", message.place, part=message.build_part(""))
        return message

    def _close_part(self, message: OpenMessage) -> None:
        if not message.kind:
            return
        text = message.text.getvalue()
        part = message.build_part(text)
        if message.kind == "output_text":
            self._tell(
                "response.output_text.done",
                message.place,
                text=text,
                logprobs=list(message.log_probs),
            )
        else:
            self._tell("response.refusal.done", message.place, refusal=text)
        self._tell("response.content_part.done", message.place, part=part)
        message.end_part(part)

    def _close_message(self, status: ItemStatus) -> None:
        message, self._message = self._message, None
        if message is not None:
            self._close_part(message)
            self._close_item(message.index, message.build(status))

    def _open_item(self, item: Json) -> int:
        self._hold(_ITEM_BYTES)
        index = len(self.items)
        self.items.append(item)
        self._tell("response.output_item.added", b'"output_index":%d' % index, item=item)
        return index

    def _close_item(self, index: int, item: Json) -> None:
        self.items[index] = item
        self._tell("response.output_item.done", b'"output_index":%d' % index, item=item)

    def _tell(self, kind: str, place: bytes, **members: object) -> None:
        if self._emit is not None:
            self._emit(kind, place + b"," + encode(members)[1:-1])

    def _hold(self, size_bytes: int) -> None:
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            raise UpstreamTooLarge()
