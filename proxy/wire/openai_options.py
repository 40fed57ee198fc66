"""All that a request in OpenAI's format says beside its messages, dialects aside."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest, Effort, Format, Message, Reasoning
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_fields import read_value
from proxy.wire.openai_tools import read_tool_choice, read_tools

_EFFORTS: Mapping[str, Effort] = {each: each for each in get_args(Effort)}
_NOT_ASKED = frozenset(("model", "messages", "stream_options"))
"""Read elsewhere, or of no matter to who writes the request anew."""
_NUMBER = "must be a number"
_INTEGER = "must be an integer"
_TEXT = "must be a string"
_FLAG = "must be a boolean"
_FORMAT = "must be an object with a 'type' of text, json_object or json_schema"
_REASONING = "must be an object such as {'effort': 'low'}"
_STOP = "must be a string or a list of strings"
_T = TypeVar("_T")


class _Schema(Struct):
    name: str | None = None
    description: str | None = None
    schema: Raw = NO_VALUE
    strict: bool | None = None


class _Format(Struct):
    type: str
    json_schema: _Schema | None = None


class _Reasoning(Struct):
    """OpenRouter's object."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None


_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_stop = msgspec.json.Decoder(str | list[str]).decode
_decode_format = msgspec.json.Decoder(_Format).decode
_decode_reasoning = msgspec.json.Decoder(_Reasoning).decode


class _Fields:
    """The fields of a request, each taken once; what is left is nobody's."""

    def __init__(self, fields: Mapping[str, Raw]) -> None:
        # Null means "not said", everywhere.
        self._left = {
            name: raw
            for name, raw in fields.items()
            if name not in _NOT_ASKED and bytes(raw) != b"null"
        }

    def take(self, name: str, decode: Callable[[Any], _T], wanted: str) -> _T | None:
        return read_value(name, self._left.pop(name, None), decode, wanted)

    def take_raw(self, name: str) -> Raw | None:
        return self._left.pop(name, None)

    def give_back(self, name: str, raw: Raw) -> None:
        self._left[name] = raw

    def take_rest(self) -> dict[str, Raw]:
        return self._left


def read_options(fields: Mapping[str, Raw], messages: tuple[Message, ...]) -> ChatRequest:
    """
    Return a request with these messages and all else that its fields say.

    Args:
        fields: all top-level fields; they have passed the checks of `openai_fields.py`.
        messages: as they have been read.

    Raises:
        InvalidRequest: a field has a shape that cannot be read; `param` says which.
        NotOffered: a tool, or a choice or a format of the answer, that only OpenAI knows.

    Source: wire-formats §2.2; tests/wire/test_openai_options.py.
    """
    taken = _Fields(fields)
    tools = read_tools(taken.take_raw("tools"), taken.take_raw("functions"))
    most = taken.take("max_tokens", _decode_integer, _INTEGER)
    limit = taken.take("max_completion_tokens", _decode_integer, _INTEGER)
    stop = taken.take("stop", _decode_stop, _STOP)
    safety_id = taken.take("safety_identifier", _decode_text, _TEXT)
    return ChatRequest(
        messages=messages,
        tools=tools,
        tool_choice=read_tool_choice(
            taken.take_raw("tool_choice"), taken.take_raw("function_call")
        ),
        is_parallel=taken.take("parallel_tool_calls", _decode_flag, _FLAG),
        max_tokens=most if limit is None else limit,
        temperature=taken.take("temperature", _decode_number, _NUMBER),
        top_p=taken.take("top_p", _decode_number, _NUMBER),
        top_k=taken.take("top_k", _decode_integer, _INTEGER),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        choices=taken.take("n", _decode_integer, _INTEGER) or 1,
        seed=taken.take("seed", _decode_integer, _INTEGER),
        presence_penalty=taken.take("presence_penalty", _decode_number, _NUMBER),
        frequency_penalty=taken.take("frequency_penalty", _decode_number, _NUMBER),
        logit_bias=taken.take_raw("logit_bias"),
        log_probs=_read_log_probs(taken),
        format=_read_format(taken),
        reasoning=_read_reasoning(taken),
        user=taken.take("user", _decode_text, _TEXT) or safety_id,
        service_tier=taken.take("service_tier", _decode_text, _TEXT),
        streams=bool(taken.take("stream", _decode_flag, _FLAG)),
        extra=taken.take_rest(),
    )


def _read_log_probs(taken: _Fields) -> int | None:
    is_wanted = taken.take("logprobs", _decode_flag, _FLAG)
    alternatives = taken.take("top_logprobs", _decode_integer, _INTEGER)
    return max(alternatives or 0, 0) if is_wanted else None


def _read_format(taken: _Fields) -> Format | None:
    found = taken.take("response_format", _decode_format, _FORMAT)
    if found is None or found.type == "text":
        return None
    if found.type == "json_object":
        return Format()
    if found.type != "json_schema":
        raise NotOffered(
            "The provider knows text, json_object and json_schema as formats only.",
            param="response_format.type",
        )
    schema = found.json_schema
    if schema is None:
        raise InvalidRequest(
            "'response_format.json_schema' is missing.", param="response_format.json_schema"
        )
    raw = schema.schema
    if bytes(raw) in (b"", b"null"):
        return Format(None, schema.name, schema.description, schema.strict)
    if not bytes(raw).startswith(b"{"):
        name = "response_format.json_schema.schema"
        raise InvalidRequest(f"'{name}' must be an object.", param=name)
    return Format(raw, schema.name, schema.description, schema.strict)


def _read_reasoning(taken: _Fields) -> Reasoning | None:
    raw = taken.take_raw("reasoning_effort")
    effort = read_value("reasoning_effort", raw, _decode_text, _TEXT)
    raw_object = taken.take_raw("reasoning")
    found = read_value("reasoning", raw_object, _decode_reasoning, _REASONING)
    if effort is not None and effort not in _EFFORTS and raw is not None:
        # A word that is not known, such as a provider's `default`: named, like any such field.
        taken.give_back("reasoning_effort", raw)
        effort = None
    if found is None:
        return None if effort is None else Reasoning(_EFFORTS[effort])
    said = effort or found.effort or ("none" if found.enabled is False else None)
    if said is not None and said not in _EFFORTS and raw_object is not None:
        taken.give_back("reasoning", raw_object)
        said = None
    budget = found.max_tokens if said is None else None
    return Reasoning(
        None if said is None else _EFFORTS[said],
        budget,
        is_adaptive=said is None and budget is None,
        shows=not found.exclude,
    )
