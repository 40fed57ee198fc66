"""
Requests of Cohere's old `generate`: bytes -> `Ask`, and the `Ask` as a chat.

The prompt is a message of the user's. What a chat does not have is refused where an answer without
it would be another one, and otherwise left to the provider to leave out.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Message, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.exchange import Operation
from proxy.wire.ask_start import start_ask
from proxy.wire.base import Ask
from proxy.wire.openai_fields import (
    MAX_ITEMS,
    MAX_TOKENS,
    REFUSED,
    Check,
    ListReader,
    build_kind_check,
    build_number_check,
    read_count,
    read_value,
)
from proxy.wire.routing_fields import read_session_id

MAX_GENERATIONS = 5
MAX_TOP_K = 500
_LIKELIHOODS = "must be GENERATION, ALL or NONE"
_PROMPT = "must be a string"
_READ = frozenset(
    (
        *("model", "prompt", "max_tokens", "temperature", "k", "p", "stop_sequences"),
        *("end_sequences", "frequency_penalty", "presence_penalty", "num_generations", "seed"),
        *("stream", "return_likelihoods", "preset", "raw_prompting"),
    )
)
_NULL = b"null"

_decode_text = msgspec.json.Decoder(str).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_integer = msgspec.json.Decoder(int).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_STOPS = ListReader(str, f"must be a list of at most {MAX_ITEMS} strings", b'"",')


def _check_limit(name: str, raw: Raw) -> None:
    read_count(name, raw, MAX_TOKENS)


def _check_stops(name: str, raw: Raw) -> None:
    _STOPS.read(name, raw)


def _check_top_k(name: str, raw: Raw) -> None:
    wanted = f"must be an integer from 0 to {MAX_TOP_K}"
    count = read_value(name, raw, _decode_integer, wanted)
    if count is not None and not 0 <= count <= MAX_TOP_K:
        raise InvalidRequest(f"'{name}' {wanted}.", param=name)


def _check_seed(name: str, raw: Raw) -> None:
    wanted = "must be an integer of 64 bits that is not negative"
    seed = read_value(name, raw, _decode_integer, wanted)
    if seed is not None and not 0 <= seed < 2**64:
        raise InvalidRequest(f"'{name}' {wanted}.", param=name)


_CHECKS: Mapping[str, Check] = {
    **REFUSED,
    "max_tokens": _check_limit,
    "temperature": build_number_check(0, 5),
    "k": _check_top_k,
    "p": build_number_check(0, 1),
    "frequency_penalty": build_number_check(0, 1),
    "presence_penalty": build_number_check(0, 1),
    "stop_sequences": _check_stops,
    "end_sequences": _check_stops,
    "seed": _check_seed,
    "truncate": build_kind_check("must be NONE, START or END", b'"'),
}


def parse_ask(operation: Operation, body: bytes, model: str | None = None) -> Ask:
    """
    Check a request body and return what we decide on, all else as it came.

    Args:
        operation: generate.
        body: the whole body, JSON in UTF-8.
        model: see `start_ask`.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: docs/dialects.md; tests/wire/test_generate_request.py.
    """
    ask = start_ask(operation, body, _CHECKS, model)
    fields = ask.fields
    ask.session_id = read_session_id(fields)
    if not bytes(fields.get("prompt", Raw(_NULL))).startswith(b'"'):
        raise InvalidRequest(f"'prompt' {_PROMPT}.", param="prompt")
    ask.choices = read_count("num_generations", fields.get("num_generations"), MAX_GENERATIONS) or 1
    ask.streams = bool(
        read_value("stream", fields.get("stream"), _decode_flag, "must be a boolean")
    )
    find_likelihoods(ask)
    return ask


def find_likelihoods(ask: Ask) -> bool:
    """
    Return whether the client wants to know how likely each token of the answer was.

    Raises:
        InvalidRequest: it says something else than that.
        NotOffered: it wants that of the prompt, too.
    """
    name = "return_likelihoods"
    wanted = read_value(name, ask.fields.get(name), _decode_text, _LIKELIHOODS)
    if wanted not in (None, "NONE", "GENERATION", "ALL"):
        raise InvalidRequest(f"'{name}' {_LIKELIHOODS}.", param=name)
    if wanted == "ALL":
        raise NotOffered("How likely a prompt is cannot be told.", param=name)
    return wanted == "GENERATION"


def read_generate(ask: Ask) -> ChatRequest:
    """
    Return what is asked, as a chat.

    Raises:
        NotOffered: it has something that no chat has; `param` says which.
        InvalidRequest: a field has a shape that cannot be read; `param` says which.

    Source: docs/dialects.md; tests/wire/test_generate_request.py.
    """
    fields = ask.fields
    if read_value("preset", fields.get("preset"), _decode_text, "must be a string"):
        raise NotOffered("A preset is known to Cohere's old API alone.", param="preset")
    raw_prompting = fields.get("raw_prompting")
    if read_value("raw_prompting", raw_prompting, _decode_flag, "must be a boolean"):
        raise NotOffered("A prompt is sent as a chat's message.", param="raw_prompting")
    prompt = read_value("prompt", fields["prompt"], _decode_text, _PROMPT) or ""
    stops = [
        stop for name in ("stop_sequences", "end_sequences") for stop in _read_stops(fields, name)
    ]
    return ChatRequest(
        messages=(Message("user", (Text(prompt),)),),
        max_tokens=read_count("max_tokens", fields.get("max_tokens"), MAX_TOKENS),
        temperature=_read_number(fields, "temperature"),
        top_p=_read_number(fields, "p"),
        # 0 was the way to say that there is no such bound.
        top_k=_read_integer(fields, "k") or None,
        stop=tuple(dict.fromkeys(stops)),
        choices=ask.choices,
        seed=_read_integer(fields, "seed"),
        presence_penalty=_read_number(fields, "presence_penalty"),
        frequency_penalty=_read_number(fields, "frequency_penalty"),
        log_probs=0 if find_likelihoods(ask) else None,
        streams=ask.streams,
        # Among them `logit_bias`: its tokens have the numbers that Cohere gave them.
        extra={
            name: raw
            for name, raw in fields.items()
            if name not in _READ and bytes(raw) not in (_NULL, b'"NONE"')
        },
    )


def _read_stops(fields: Mapping[str, Raw], name: str) -> list[str]:
    return _STOPS.read(name, fields.get(name)) or []


def _read_number(fields: Mapping[str, Raw], name: str) -> float | None:
    return read_value(name, fields.get(name), _decode_number, "must be a number")


def _read_integer(fields: Mapping[str, Raw], name: str) -> int | None:
    return read_value(name, fields.get(name), _decode_integer, "must be an integer")
