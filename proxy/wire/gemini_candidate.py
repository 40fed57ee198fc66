"""One candidate of Gemini's answer on its way to events: what is open, and how it ends."""

import msgspec
from msgspec import Raw

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogProbs,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.gemini_answer import AnswerPart, Candidate, FunctionCall, read_finish_reason
from proxy.wire.gemini_log_probs import write_log_probs
from proxy.wire.gemini_partial_args import ArgumentBuilder
from proxy.wire.gemini_sources import read_citations, read_grounding
from proxy.wire.json_text import holds_too_many_values
from proxy.wire.new_id import build_id
from proxy.wire.openai_calls import MAX_CALLS
from proxy.wire.openai_error import NO_VALUE

MAX_KEPT_CHARACTERS = 200_000
"""So much text is kept to tell where in it its sources belong; of longer ones that is not told."""


class CandidateReader:
    """Reads what is said of one candidate, event by event, and holds its end back."""

    def __init__(self, choice: int) -> None:
        self.finish_word: str | None = None
        """Its last `finishReason`; some backends send one with every event."""
        self.has_spoken = False
        """Something that a client is shown has come."""
        self.has_answered = False
        """Text or a call has come: more than thoughts."""
        self._choice = choice
        self._is_thinking = False
        self._signature: str | None = None
        self._calls = 0
        self._arguments: ArgumentBuilder | None = None
        """Of a call that comes piece by piece; None: none is open."""
        self._texts: list[str] = []
        self._kept_characters = 0
        self._grounding = NO_VALUE
        self._citations = NO_VALUE

    def take(self, candidate: Candidate, out: list[Event]) -> None:
        """
        Append to `out` what one event says of it.

        Raises:
            UpstreamError: arguments of a call that are no object, or too long.
        """
        content = candidate.content
        if content is not None and content.parts:
            for part in content.parts:
                if part.function_call is not None:
                    self._take_call(part.function_call, part.thought_signature, out)
                elif part.text is not None:
                    self._take_text(part, part.text, out)
        if candidate.logprobs_result is not NO_VALUE:
            log_probs = write_log_probs(candidate.logprobs_result)
            if log_probs is not None:
                out.append(LogProbs(log_probs, self._choice))
        if candidate.grounding_metadata is not NO_VALUE:
            self._grounding = Raw(bytes(candidate.grounding_metadata))
        if candidate.citation_metadata is not NO_VALUE:
            self._citations = Raw(bytes(candidate.citation_metadata))
        if candidate.finish_reason:
            self.finish_word = candidate.finish_reason

    def finish(self, out: list[Event]) -> None:
        """Append to `out` what ends it."""
        self._end_thought(None, out)
        self._end_call(out)
        text = None if self._kept_characters > MAX_KEPT_CHARACTERS else "".join(self._texts)
        found = read_grounding(self._grounding, text) + read_citations(self._citations, text)
        out.extend(Cited(citation, self._choice) for citation in found)
        word = self.finish_word or ""
        reason = read_finish_reason(word, has_calls=self._calls > 0)
        out.append(Finished(reason, self._choice, raw=word))

    def _take_text(self, part: AnswerPart, text: str, out: list[Event]) -> None:
        if part.thought:
            if text:
                out.append(Thinking(text, "gemini", self._choice))
                self._is_thinking = self.has_spoken = True
            self._signature = part.thought_signature or self._signature
            return
        # An empty text may carry the signature of the thoughts before it. Where nothing was
        # shown of them there is nothing that it could be given to.
        self._end_thought(part.thought_signature, out)
        if text:
            out.append(Said(text, self._choice))
            self.has_spoken = self.has_answered = True
            if self._kept_characters <= MAX_KEPT_CHARACTERS:
                self._kept_characters += len(text)
                self._texts.append(text)

    def _take_call(self, call: FunctionCall, signature: str | None, out: list[Event]) -> None:
        if call.name:
            if self._calls >= MAX_CALLS:
                raise UpstreamTooLarge("The provider sent more calls than are accepted.")
            self._end_thought(signature, out)
            self._end_call(out)
            call_id = call.id or build_id("call_")
            out.append(CallStarted(self._calls, call_id, call.name, signature, self._choice))
            self.has_spoken = self.has_answered = True
            self._calls += 1
            self._arguments = ArgumentBuilder()
        if self._arguments is None:
            return
        if call.partial_args:
            self._add_arguments(self._arguments, call)
        elif call.args is not NO_VALUE and not call.will_continue:
            self._end_call(out, _read_arguments(call.args))
        if not call.will_continue:
            self._end_call(out)

    def _add_arguments(self, arguments: ArgumentBuilder, call: FunctionCall) -> None:
        try:
            for piece in call.partial_args or ():
                arguments.add(piece)
        except OverflowError:
            raise UpstreamTooLarge(
                "The provider sent a tool call larger than this proxy accepts."
            ) from None
        except ValueError:
            raise _malformed() from None

    def _end_call(self, out: list[Event], text: str | None = None) -> None:
        if self._arguments is None:
            return
        index = self._calls - 1
        out.append(CallArguments(index, text or self._arguments.build(), self._choice))
        out.append(CallEnded(index, self._choice))
        self._arguments = None

    def _end_thought(self, signature: str | None, out: list[Event]) -> None:
        if self._is_thinking:
            signature = signature or self._signature
            out.append(ThoughtEnded("gemini", signature, choice=self._choice))
            self._is_thinking = False
        self._signature = None


def _read_arguments(raw: Raw) -> str:
    """Return the arguments on one line: Google's answers are indented."""
    text = bytes(raw)
    if text == b"null":
        return NO_ARGUMENTS
    if not text.startswith(b"{"):
        raise _malformed()
    if holds_too_many_values(text):
        raise UpstreamTooLarge("The provider sent a tool call larger than this proxy accepts.")
    return msgspec.json.format(text, indent=-1).decode()


def _malformed() -> UpstreamProtocolError:
    return UpstreamProtocolError("The provider sent a tool call that is not valid.")
