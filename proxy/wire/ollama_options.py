"""What a request of Ollama's says beside its messages, dialects aside."""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Effort, Format, Message, Reasoning
from proxy.domain.errors import InvalidRequest
from proxy.wire.ollama_chat_writer import read_options_object
from proxy.wire.openai_fields import MAX_TOKENS, read_value
from proxy.wire.openai_tools import read_tools

_READ = frozenset(
    (
        *("model", "messages", "stream", "options", "format", "think", "tools"),
        *("logprobs", "top_logprobs"),
        # How a server goes about it, which no answer is another for.
        *("keep_alive", "truncate", "shift", "raw", "template", "context"),
        *("prompt", "suffix", "system", "images"),
    )
)
_OF_THE_MACHINE = frozenset(
    (
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "numa", "num_keep"),
        *("use_mmap", "use_mlock", "num_thread", "vocab_only", "logits_all", "embedding_only"),
    )
)
"""Options that say how a model is loaded: they are of no matter to who loads none."""
_NAMES = {"repeat_penalty": "repetition_penalty"}
_EFFORTS: Mapping[str, Effort] = {each: each for each in get_args(Effort)}
_NUMBER = "must be a number"
_INTEGER = "must be an integer"
_STOP = "must be a string or a list of strings"
_FLAG = "must be a boolean"
_THINK = "must be a boolean, or one of low, medium, high and max"

_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_stop = msgspec.json.Decoder(str | list[str]).decode
_decode_think = msgspec.json.Decoder(bool | str).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_ollama_options(
    fields: Mapping[str, Raw], messages: tuple[Message, ...], *, streams: bool
) -> ChatRequest:
    """
    Return a request with these messages and all else that its fields say.

    Args:
        fields: all top-level fields; they have passed the checks of `ollama_request.py`.
        messages: as they have been read.
        streams: the answer is to be a stream.

    Raises:
        InvalidRequest: a field has a shape that cannot be read; `param` says which.
        NotOffered: a tool whose input is no JSON.

    Source: wire-formats §3.4; tests/wire/test_ollama_options.py.
    """
    options = {
        name: raw
        for name, raw in read_options_object(fields.get("options")).items()
        if bytes(raw) != b"null" and name not in _OF_THE_MACHINE
    }
    limit = read_answer_limit(options)
    options.pop("num_predict", None)
    stop = _take(options, "stop", _decode_stop, _STOP)
    request = ChatRequest(
        messages=messages,
        tools=read_tools(fields.get("tools"), None),
        max_tokens=limit,
        temperature=_take(options, "temperature", _decode_number, _NUMBER),
        top_p=_take(options, "top_p", _decode_number, _NUMBER),
        top_k=_take(options, "top_k", _decode_integer, _INTEGER),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=_take(options, "seed", _decode_integer, _INTEGER),
        presence_penalty=_take(options, "presence_penalty", _decode_number, _NUMBER),
        frequency_penalty=_take(options, "frequency_penalty", _decode_number, _NUMBER),
        log_probs=_read_log_probs(fields),
        format=_read_format(fields.get("format")),
        reasoning=_read_reasoning(fields.get("think")),
        streams=streams,
    )
    others = {_NAMES.get(name, name): raw for name, raw in options.items()}
    others.update(
        (name, raw) for name, raw in fields.items() if name not in _READ and bytes(raw) != b"null"
    )
    return msgspec.structs.replace(request, extra=others)


def read_answer_limit(options: Mapping[str, Raw]) -> int | None:
    """
    Return the most tokens that an answer may have, None where that is not bounded.

    Raises:
        InvalidRequest: `num_predict` is no integer, or beyond MAX_TOKENS of `openai_fields.py`.
    """
    name = "options.num_predict"
    limit = read_value(name, options.get("num_predict"), _decode_integer, _INTEGER)
    if limit is not None and limit > MAX_TOKENS:
        raise InvalidRequest(f"'{name}' must be at most {MAX_TOKENS}.", param=name)
    # Below 1 it stands for no end, or for as much as there is room for: that is usual anyway.
    return limit if limit is not None and limit > 0 else None


def _take(options: dict[str, Raw], name: str, decode: Any, wanted: str) -> Any:
    return read_value(f"options.{name}", options.pop(name, None), decode, wanted)


def _read_log_probs(fields: Mapping[str, Raw]) -> int | None:
    is_wanted = read_value("logprobs", fields.get("logprobs"), _decode_flag, _FLAG)
    raw = fields.get("top_logprobs")
    alternatives = read_value("top_logprobs", raw, _decode_integer, _INTEGER)
    return max(alternatives or 0, 0) if is_wanted else None


def _read_format(raw: Raw | None) -> Format | None:
    if raw is None or bytes(raw) in (b"null", b'""'):
        return None
    if bytes(raw).startswith(b"{"):
        return Format(raw)
    word = read_value("format", raw, _decode_text, "must be 'json' or an object")
    if word != "json":
        raise InvalidRequest("'format' must be 'json' or a JSON schema.", param="format")
    return Format()


def _read_reasoning(raw: Raw | None) -> Reasoning | None:
    found = read_value("think", raw, _decode_think, _THINK)
    if found is None or found == "":
        return None
    if isinstance(found, bool):
        return Reasoning(is_adaptive=True) if found else Reasoning("none", shows=False)
    effort = _EFFORTS.get(found.lower())
    if effort is None:
        raise InvalidRequest(f"'think' {_THINK}.", param="think")
    return Reasoning(effort)
