"""
Legacy completions by providers that only chat: the prompt is a message, the answer's text is all.

What the chat does not have (several prompts, tokens for a prompt, an echo) is refused, not left
out: it would be another answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest, Message, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.events import Counted, Event, Finished, LogProbs, Refused, Said, Started
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.gathered_answer import GatheredChoice, gather_answer
from proxy.wire.json_text import build_object
from proxy.wire.new_id import build_id
from proxy.wire.openai_chunks import build_chunk_head
from proxy.wire.openai_fields import read_value
from proxy.wire.openai_options import read_options
from proxy.wire.openai_stream import DONE_EVENT
from proxy.wire.openai_usage import build_usage

_KIND = b"text_completion"
_ID_PREFIX = "cmpl-"
_OWN = frozenset(("prompt", "echo", "best_of", "suffix", "logprobs"))
"""What is read here; all else is read as for a chat."""
_MOST_LOG_PROBS = 20

_encode = msgspec.json.encode
_decode_any = msgspec.json.Decoder().decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_integer = msgspec.json.Decoder(int).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Token(Struct):
    token: str
    logprob: float | None = None
    top_logprobs: "list[_Token] | None" = None


class _LogProbs(Struct):
    content: list[_Token] | None = None


_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode


def read_completion(ask: Ask) -> ChatRequest:
    """
    Return what a legacy completion asks, as a chat.

    Raises:
        NotOffered: it has something that no chat has; `param` says which.
        InvalidRequest: a field has a shape that cannot be read; `param` says which.

    Source: wire-formats §2.4; tests/wire/test_openai_completions.py.
    """
    fields = ask.fields
    _refuse_what_no_chat_has(fields)
    prompt = _read_prompt(fields["prompt"])
    others = {name: raw for name, raw in fields.items() if name not in _OWN}
    chat = read_options(others, (Message("user", (Text(prompt),)),))
    log_probs = _read_integer(fields, "logprobs")
    if log_probs is None:
        return chat
    return msgspec.structs.replace(chat, log_probs=min(max(log_probs, 0), _MOST_LOG_PROBS))


def _refuse_what_no_chat_has(fields: Mapping[str, Raw]) -> None:
    if read_value("echo", fields.get("echo"), _decode_flag, "must be a boolean"):
        raise NotOffered("The provider cannot repeat the prompt in its answer.", param="echo")
    if read_value("suffix", fields.get("suffix"), _decode_text, "must be a string"):
        raise NotOffered("The provider cannot fill in before a suffix.", param="suffix")
    best_of = _read_integer(fields, "best_of")
    if best_of is not None and best_of > (_read_integer(fields, "n") or 1):
        raise NotOffered("The provider cannot choose the best of several answers.", param="best_of")


def _read_integer(fields: Mapping[str, Raw], name: str) -> int | None:
    return read_value(name, fields.get(name), _decode_integer, "must be an integer")


def _read_prompt(raw: Raw) -> str:
    text = bytes(raw)
    try:
        if text.startswith(b'"'):
            return str(_decode_text(text))
        prompts: Any = _decode_any(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("'prompt' cannot be read.", param="prompt") from None
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise NotOffered("The provider takes no tokens for a prompt, only text.", param="prompt")
    if len(prompts) != 1:
        raise NotOffered("The provider takes one prompt in a request.", param="prompt")
    return str(prompts[0])


class CompletionChunks:
    """
    The EventWriter (see `wire/dialect.py`) for clients of legacy completions.

    Thoughts and calls have no place in a completion. The words of a refusal are its text.

    Source: wire-formats §2.4; tests/wire/test_openai_completions.py.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._head = b""
        self._started = Started()
        self._lengths: dict[int, int] = {}
        """How long each choice's text is that log probabilities have been told of."""
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        """Return the chunks of events (see `wire/dialect.py`)."""
        return b"".join([self._write(event) for event in events])

    def finish(self) -> bytes:
        """Return usage, if the client wants it, and the end (see `wire/dialect.py`)."""
        if self._usage is None or not self._ask.wants_usage:
            return DONE_EVENT
        usage = build_usage(self._usage)
        return self._find_head() + b'],"usage":' + usage + b"}\n\n" + DONE_EVENT

    def _write(self, event: Event) -> bytes:
        if isinstance(event, Said | Refused):
            return self._build_chunk(event.choice, event.text)
        if isinstance(event, Counted):
            self._usage = event.usage
        elif isinstance(event, Started):
            self._started = event
        elif isinstance(event, LogProbs):
            start = self._lengths.get(event.choice, 0)
            log_probs, self._lengths[event.choice] = _build_log_probs([event.raw], start)
            return self._build_chunk(event.choice, "", log_probs)
        elif isinstance(event, Finished):
            return self._build_chunk(event.choice, "", None, _read_reason(event))
        return b""

    def _build_chunk(
        self,
        index: int,
        text: str,
        log_probs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> bytes:
        choice = {"text": text, "index": index, "logprobs": log_probs, "finish_reason": reason}
        return self._find_head() + _encode(choice) + b"]}\n\n"

    def _find_head(self) -> bytes:
        if not self._head:
            self._head = build_chunk_head(self._ask, self._started, _KIND, _ID_PREFIX)
        return self._head


def write_completion(ask: Ask, events: Sequence[Event]) -> bytes:
    """
    Return the legacy completion that the events of an answer come to.

    Source: wire-formats §2.4; tests/wire/test_openai_completions.py.
    """
    answer = gather_answer(events)
    started = answer.started
    fields: dict[str, Raw | bytes] = {
        "id": _encode(started.id or build_id(_ID_PREFIX)),
        "object": b'"%b"' % _KIND,
        "created": _encode(started.created or ask.asked_at),
        "model": _encode(started.model or ask.model),
        "choices": _encode([_build_choice(*item) for item in answer.choices.items()]),
    }
    if answer.usage is not None:
        fields["usage"] = build_usage(answer.usage)
    return build_object(fields)


def _build_choice(index: int, choice: GatheredChoice) -> dict[str, Any]:
    log_probs = _build_log_probs(choice.log_probs, 0)[0] if choice.log_probs else None
    return {
        "text": choice.text + choice.refusal,
        "index": index,
        "logprobs": log_probs,
        "finish_reason": "stop" if choice.finished is None else _read_reason(choice.finished),
    }


def _read_reason(finished: Finished) -> str:
    # A completion knows no calls.
    return "stop" if finished.reason == "tool_calls" else finished.reason


def _build_log_probs(pieces: Sequence[Raw], start: int) -> tuple[dict[str, Any], int]:
    """
    Return log probabilities of a chat as a completion has them, and where their text ends.

    What is of no known shape is passed over: an answer is worth more than its probabilities.
    """
    built: dict[str, list[Any]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    for piece in pieces:
        for token in _read_tokens(piece):
            built["tokens"].append(token.token)
            built["token_logprobs"].append(token.logprob)
            others = token.top_logprobs or ()
            built["top_logprobs"].append({other.token: other.logprob for other in others})
            built["text_offset"].append(start)
            start += len(token.token)
    return built, start


def _read_tokens(piece: Raw) -> Sequence[_Token]:
    try:
        return _decode_log_probs(piece).content or ()
    except (ValueError, RecursionError):
        return ()
