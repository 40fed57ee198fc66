"""
The shapes of Gemini's answers, as far as they are read, and what its words for an end mean.

Every event of a stream is a whole answer with the parts that are new.
"""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.events import FinishReason
from proxy.wire.gemini_partial_args import PartialArgument
from proxy.wire.openai_error import NO_VALUE


class FunctionCall(Struct, rename="camel", gc=False):
    """A call, or with `will_continue` the begin or a piece of one; an empty one ends it."""

    id: str | None = None
    name: str | None = None
    args: Raw = NO_VALUE
    partial_args: list[PartialArgument] | None = None
    will_continue: bool = False


class AnswerPart(Struct, rename="camel", gc=False):
    """One part of a candidate's content; those of other kinds are passed over."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class AnswerContent(Struct, gc=False):
    """What a candidate says."""

    parts: list[AnswerPart] | None = None


class Candidate(Struct, rename="camel", gc=False):
    """One of the answers."""

    content: AnswerContent | None = None
    finish_reason: str | None = None
    index: int = 0
    grounding_metadata: Raw = NO_VALUE
    citation_metadata: Raw = NO_VALUE
    logprobs_result: Raw = NO_VALUE


class PromptFeedback(Struct, rename="camel", gc=False):
    """What Google thinks of the prompt."""

    block_reason: str | None = None


class GeminiAnswer(Struct, rename="camel", gc=False):
    """A `GenerateContentResponse`."""

    candidates: list[Candidate] | None = None
    usage_metadata: Raw = NO_VALUE
    prompt_feedback: PromptFeedback | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = NO_VALUE


decode_answer = msgspec.json.Decoder(GeminiAnswer).decode
split_answers = msgspec.json.Decoder(list[Raw]).decode

_LENGTH = frozenset(("MAX_TOKENS", "CONTINUATION"))
_FILTERED = frozenset(
    (
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("NO_IMAGE", "MODEL_ARMOR", "ESCALATION"),
    )
)
_FAILED = frozenset(
    (
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
        *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
    )
)


def has_failed(word: str) -> bool:
    """Return whether a `finishReason` says that the model has brought nothing usable about."""
    return word in _FAILED


def read_finish_reason(word: str, *, has_calls: bool) -> FinishReason:
    """
    Return what a `finishReason` means; one that is not known is a stop.

    Source: wire-formats §6.1.
    """
    if word in _LENGTH:
        return "length"
    if word in _FILTERED or word.startswith("IMAGE_"):
        return "content_filter"
    return "tool_calls" if has_calls else "stop"
