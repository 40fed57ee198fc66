"""Answers as Cohere's old `generate` gave them: whole, and as lines of JSON."""

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from proxy.domain.errors import UpstreamTooLarge
from proxy.domain.events import (
    Counted,
    Event,
    Finished,
    FinishReason,
    Refused,
    Said,
    Started,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.gathered_answer import GatheredChoice, gather_answer
from proxy.wire.json_text import build_object, encode
from proxy.wire.ndjson import build_line
from proxy.wire.new_id import build_id
from proxy.wire.openai_error import NO_VALUE

MAX_HELD_CHARACTERS = 16 * 1024 * 1024
"""Most text of one stream: its last line says all of it again."""
MAX_REPEATED_BYTES = 1024 * 1024
"""A longer prompt is not said again in the answer."""
_ID_PREFIX = "gen-"
_REASONS: dict[FinishReason, str] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "COMPLETE",
    "content_filter": "ERROR_TOXIC",
}


class _Token(Struct):
    token: str
    logprob: float | None = None


class _LogProbs(Struct):
    content: list[_Token] | None = None


_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode


class _Generation(Struct):
    """What a stream has said of one choice."""

    id: str
    text: StringIO = field(default_factory=StringIO)
    """No list of pieces: they may come letter by letter, and each would cost 80 bytes."""
    reason: str = "COMPLETE"


class GenerateLines:
    """
    The EventWriter (see `wire/dialect.py`) for clients of `generate`: one object in each line.

    Thoughts and calls have no place in it. The words of a refusal are its text.

    Source: docs/dialects.md; tests/wire/test_generate_writer.py.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._id: str | None = None
        self._generations: dict[int, _Generation] = {}
        self._usage: Usage | None = None
        self._room = MAX_HELD_CHARACTERS

    def write(self, events: Sequence[Event]) -> bytes:
        """
        Return the lines of events (see `wire/dialect.py`).

        Raises:
            UpstreamTooLarge: more text than MAX_HELD_CHARACTERS.
        """
        return b"".join([self._write(event) for event in events])

    def finish(self) -> bytes:
        """Return the last line, which says all of it again (see `wire/dialect.py`)."""
        many = self._ask.choices > 1
        generations = sorted(self._generations.items())
        response = _build_answer(
            self._ask,
            self._id,
            [
                _build_generation(
                    index if many else None, each.id, each.text.getvalue(), each.reason
                )
                for index, each in generations
            ],
            self._usage,
        )
        reason = generations[0][1].reason if generations else "COMPLETE"
        end: dict[str, Any] = {"is_finished": True, "event_type": "stream-end"}
        return build_line({**end, "finish_reason": reason, "response": Raw(response)})

    def _write(self, event: Event) -> bytes:
        if isinstance(event, Said | Refused):
            return self._say(event)
        if isinstance(event, Counted):
            self._usage = event.usage
        elif isinstance(event, Started):
            self._id = event.id
        elif isinstance(event, Finished):
            self._find(event.choice).reason = _read_reason(event)
        return b""

    def _say(self, event: Said | Refused) -> bytes:
        self._room -= len(event.text)
        if self._room < 0:
            raise UpstreamTooLarge()
        self._find(event.choice).text.write(event.text)
        line: dict[str, Any] = {"text": event.text, "is_finished": False}
        if self._ask.choices > 1:
            line["index"] = event.choice
        return build_line({**line, "event_type": "text-generation"})

    def _find(self, choice: int) -> _Generation:
        generation = self._generations.get(choice)
        if generation is None:
            generation = self._generations[choice] = _Generation(build_id(_ID_PREFIX))
        return generation


def write_generate_answer(ask: Ask, events: Sequence[Event], *, has_likelihoods: bool) -> bytes:
    """
    Return the answer that the events come to.

    Args:
        ask: what was asked.
        events: all of them.
        has_likelihoods: the client wants to know how likely each token was.

    Source: docs/dialects.md; tests/wire/test_generate_writer.py.
    """
    answer = gather_answer(events)
    many = ask.choices > 1
    generations = []
    for index, choice in answer.choices.items():
        reason = "COMPLETE" if choice.finished is None else _read_reason(choice.finished)
        text = choice.text + choice.refusal
        built = _build_generation(index if many else None, build_id(_ID_PREFIX), text, reason)
        if has_likelihoods:
            _add_likelihoods(built, choice)
        generations.append(built)
    return _build_answer(ask, answer.started.id, generations, answer.usage)


def _build_generation(index: int | None, own_id: str, text: str, reason: str) -> dict[str, Any]:
    generation: dict[str, Any] = {"id": own_id, "text": text}
    if index is not None:
        generation["index"] = index
    generation["finish_reason"] = reason
    return generation


def _build_answer(
    ask: Ask, own_id: str | None, generations: list[dict[str, Any]], usage: Usage | None
) -> bytes:
    fields: dict[str, Raw | bytes] = {"id": encode(own_id or build_id(_ID_PREFIX))}
    prompt = ask.fields.get("prompt", NO_VALUE)
    if 0 < len(memoryview(prompt)) <= MAX_REPEATED_BYTES:
        fields["prompt"] = prompt
    fields["generations"] = encode(generations)
    meta: dict[str, Any] = {"api_version": {"version": "1"}}
    if usage is not None:
        counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        meta |= {"billed_units": counts, "tokens": counts}
    fields["meta"] = encode(meta)
    return build_object(fields)


def _read_reason(finished: Finished) -> str:
    if finished.reason == "stop" and finished.stop_sequence is not None:
        return "STOP_SEQUENCE"
    return _REASONS[finished.reason]


def _add_likelihoods(generation: dict[str, Any], choice: GatheredChoice) -> None:
    tokens = list(_read_tokens(choice.log_probs))
    told = [token.logprob for token in tokens if token.logprob is not None]
    if told:
        generation["likelihood"] = sum(told) / len(told)
        generation["token_likelihoods"] = [
            {"token": token.token, "likelihood": token.logprob} for token in tokens
        ]


def _read_tokens(pieces: Sequence[Raw]) -> Iterator[_Token]:
    for piece in pieces:
        try:
            content = _decode_log_probs(piece).content
        except (ValueError, RecursionError):
            # An answer is worth more than its probabilities.
            continue
        yield from content or ()
