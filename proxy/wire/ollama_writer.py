"""The events of an answer as Ollama's clients get it: lines of a stream, or one object."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import NO_ARGUMENTS
from proxy.domain.errors import ProxyError, UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.gathered_answer import GatheredChoice, gather_answer
from proxy.wire.json_text import encode
from proxy.wire.ndjson import build_line, end_line

MAX_HELD_CHARACTERS = 16 * 1024 * 1024
"""Of the arguments of calls that have not ended yet."""
_AROUND_TEXT = {
    True: (b'"message":{"role":"assistant","content":', b'},"done":false}'),
    False: (b'"response":', b',"done":false}'),
}
"""What stands before and behind a text, in a chat and else."""
_INVALID = "INVALID_JSON"
"""Where arguments that are no object stand, as an object must be there."""
_NOTHING = Usage(0, 0)
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class _LogProbs(Struct):
    content: list[Raw] | None = None


_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode


class OllamaWriter:
    """
    The EventWriter (see `wire/dialect.py`) of `/api/chat` and `/api/generate`.

    Calls are told when they are whole. Times are those from the request on; how long a provider
    has loaded its model is not known, and told as 0.

    Source: wire-formats §3.4; tests/wire/test_ollama_writer.py.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._is_chat = ask.operation == "ollama_chat"
        self._model = ask.model
        self._encoded_model: bytes | None = None
        self._usage = _NOTHING
        self._finished: Finished | None = None
        self._choice: int | None = None
        self._calls: dict[int, tuple[CallStarted, list[str]]] = {}
        self._room = MAX_HELD_CHARACTERS
        self._first_s: float | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        """
        Return the lines of events (see `wire/dialect.py`).

        Raises:
            UpstreamTooLarge: calls that are not whole have more than MAX_HELD_CHARACTERS.
        """
        return b"".join([self._write(event) for event in events])

    def finish(self) -> bytes:
        """Return the line that says that this is all, and what it has cost."""
        return self.build_end(self._build_said())

    def build_end(self, said: dict[str, Any]) -> bytes:
        """Return the last line, or a whole answer, that says this."""
        total_ns = _to_ns(self._ask.measure_s())
        first_ns = min(_to_ns(self._first_s or 0.0), total_ns)
        reason = "stop" if self._finished is None else self._finished.reason
        return self._build_line(
            {
                **said,
                "done": True,
                "done_reason": "length" if reason == "length" else "stop",
                "total_duration": total_ns,
                "load_duration": 0,
                "prompt_eval_count": self._usage.input_tokens,
                "prompt_eval_duration": first_ns,
                "eval_count": self._usage.output_tokens,
                "eval_duration": total_ns - first_ns,
            }
        )

    def _write(self, event: Event) -> bytes:
        if isinstance(event, Counted):
            self._usage = event.usage
            return b""
        if isinstance(event, Started):
            self._model = event.model or self._model
            self._encoded_model = None
            return b""
        if self._choice is None:
            self._choice = event.choice
        if event.choice != self._choice:
            return b""  # this dialect has one answer
        if isinstance(event, Finished):
            self._finished = event
            return b""
        if self._first_s is not None and isinstance(event, Said) and event.text:
            return self._build_text(event.text)
        said = self._read_said(event)
        if said is None:
            return b""
        if self._first_s is None:
            self._first_s = self._ask.measure_s()
        return self._build_line({**said, "done": False})

    def _read_said(self, event: Event) -> dict[str, Any] | None:
        """Return what a line says of an event; None: it has none of its own."""
        if isinstance(event, Said | Refused):
            return self._build_said(event.text) if event.text else None
        if isinstance(event, Thinking):
            return self._build_said(thinking=event.text) if event.text else None
        if isinstance(event, LogProbs):
            return {**self._build_said(), "logprobs": _read_log_probs(event.raw)}
        if not self._is_chat:
            return None  # the other endpoint knows no calls
        if isinstance(event, CallStarted):
            self._calls[event.index] = (event, [])
        elif isinstance(event, CallArguments):
            self._hold(event)
        elif isinstance(event, CallEnded):
            started, pieces = self._calls.pop(event.index)
            arguments = "".join(pieces)
            self._room += len(arguments)
            call = build_call(started.index, started.id, started.name, arguments)
            return self._build_said(calls=[call])
        return None

    def _hold(self, event: CallArguments) -> None:
        """Keep a piece of a call until it is whole, as far as there is room."""
        self._room -= len(event.text)
        if self._room < 0:
            raise UpstreamTooLarge("The provider's call is longer than this proxy accepts.")
        self._calls[event.index][1].append(event.text)

    def _build_said(
        self,
        text: str = "",
        thinking: str = "",
        calls: Sequence[dict[str, Any]] = (),
    ) -> dict[str, Any]:
        return build_said(text, thinking, calls, is_chat=self._is_chat)

    def _build_text(self, text: str) -> bytes:
        """Return a line of text alone, as nearly all of them are: written without a dictionary."""
        model = self._encoded_model
        if model is None:
            model = self._encoded_model = encode(self._model)
        created_at = format_time(self._ask.asked_at + self._ask.measure_s())
        before, after = _AROUND_TEXT[self._is_chat]
        return end_line(
            b'{"model":%b,"created_at":"%b",%b%b%b'
            % (model, created_at.encode(), before, encode(text), after)
        )

    def _build_line(self, said: dict[str, Any]) -> bytes:
        created_at = format_time(self._ask.asked_at + self._ask.measure_s())
        return build_line({"model": self._model, "created_at": created_at, **said})


def write_ollama_answer(ask: Ask, events: Sequence[Event]) -> bytes:
    """
    Return a complete answer as one object.

    Args:
        ask: of ollama_chat or ollama_generate.
        events: all of them, in the order of `domain/events.py`.

    Source: wire-formats §3.4; tests/wire/test_ollama_writer.py.
    """
    answer = gather_answer(events)
    choice = next(iter(answer.choices.values()), GatheredChoice())
    calls = [
        build_call(index, call.id, call.name, call.arguments)
        for index, call in enumerate(choice.calls)
    ]
    is_chat = ask.operation == "ollama_chat"
    whole = build_said(
        choice.text + choice.refusal,
        "".join(thought.text for thought in choice.thoughts),
        calls if is_chat else (),
        is_chat=is_chat,
    )
    log_probs = [token for raw in choice.log_probs for token in _read_log_probs(raw)]
    if log_probs:
        whole["logprobs"] = log_probs
    writer = OllamaWriter(ask)
    known: list[Event] = [answer.started]
    if choice.finished is not None:
        known.append(choice.finished)
    if answer.usage is not None:
        known.append(Counted(answer.usage))
    writer.write(known)
    return writer.build_end(whole)


def build_said(
    text: str, thinking: str, calls: Sequence[dict[str, Any]], *, is_chat: bool
) -> dict[str, Any]:
    """Return what an object of an answer says, as its endpoint writes it."""
    said: dict[str, Any] = {"role": "assistant", "content": text} if is_chat else {"response": text}
    if thinking:
        said["thinking"] = thinking
    if calls:
        said["tool_calls"] = calls
    return {"message": said} if is_chat else said


def build_call(index: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """Return a call with the object that its arguments must be, whatever came."""
    text = arguments.strip() or NO_ARGUMENTS
    value: Raw | dict[str, str]
    try:
        _decode_object(text)
        value = Raw(msgspec.json.format(text.encode(), indent=-1))
    except (ValueError, RecursionError):
        # Cut off by a limit of tokens, or wrong: the client is to see it, not to lose it.
        value = {_INVALID: arguments}
    return {"id": call_id, "function": {"index": index, "name": name, "arguments": value}}


def build_load(ask: Ask) -> bytes:
    """
    Return the answer to a request that only has a model loaded, or with `keep_alive: 0` let go.

    Nobody is asked for it: when a provider loads its models is its own business.

    Source: wire-formats §3.4; tests/wire/test_ollama_writer.py.
    """
    is_chat = ask.operation == "ollama_chat"
    keep_alive = bytes(ask.fields.get("keep_alive", b"null")).strip(b'"')
    reason = "unload" if keep_alive in (b"0", b"0s", b"0m", b"0h") else "load"
    return encode(
        {
            "model": ask.model,
            "created_at": format_time(ask.asked_at + ask.measure_s()),
            **build_said("", "", (), is_chat=is_chat),
            "done": True,
            "done_reason": reason,
        }
    )


def build_error_body(error: ProxyError) -> bytes:
    """
    Return the body of an error reply: a text, which is all that Ollama's clients read.

    What else the error says, for people and for clients of other habits, stands beside it.
    """
    told = {"error": error.message, "code": error.code, "param": error.param}
    return encode({name: value for name, value in told.items() if value is not None})


def format_time(epoch_s: float) -> str:
    """Return a time as Ollama writes it."""
    second = int(epoch_s)
    return f"{_format_second(second)}.{int((epoch_s - second) * 1_000_000):06d}Z"


# Chunks come many in a second, and taking a time apart costs more than writing the rest of a line.
@lru_cache(maxsize=16)
def _format_second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _to_ns(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


def _read_log_probs(raw: Raw) -> list[Raw]:
    """Return what is told of each token; what is of no known shape is passed over."""
    try:
        return _decode_log_probs(raw).content or []
    except (ValueError, RecursionError):
        return []
