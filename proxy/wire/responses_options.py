"""What a Responses request says beside its items: tools, reasoning, form, sampling."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest, Effort, Format, Message, Reasoning
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_fields import read_value
from proxy.wire.responses_tools import read_tool_choice, read_tools
from proxy.wire.shape_fault import build_shape_fault

_T = TypeVar("_T")
_NOT_ASKED = frozenset(
    (
        *("model", "input", "instructions", "previous_response_id", "store", "stream_options"),
        # Said of the kept response, of servers' own tools, or no more than is the case anyway.
        *("metadata", "include", "max_tool_calls", "background", "conversation"),
    )
)
"""Read elsewhere, or of no matter to who writes the request anew."""
_NUMBER = "must be a number"
_INTEGER = "must be an integer"
_TEXT = "must be a string"
_FLAG = "must be a boolean"
_FORMAT = "must be of the type text, json_object or json_schema"
_LOG_PROBS = "message.output_text.logprobs"


class _Format(Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = NO_VALUE
    strict: bool | None = None


class _TextConfig(Struct):
    format: _Format | None = None
    verbosity: Raw = NO_VALUE


class _Reasoning(Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_config = msgspec.json.Decoder(_TextConfig).decode
_decode_reasoning = msgspec.json.Decoder(_Reasoning).decode


def read_options(fields: Mapping[str, Raw], messages: tuple[Message, ...]) -> ChatRequest:
    """
    Return a request with these messages and all else that its fields say.

    `truncation: auto` is in `extra`, so that it is named as dropped: nobody else leaves out the
    beginning of what is too long.

    Args:
        fields: all top-level fields; they have passed the checks of `responses_request.py`.
        messages: as they have been read from them.

    Raises:
        InvalidRequest: a field has a shape that cannot be read; `param` says which.
        NotOffered: a tool, a prompt or a form of the answer that only OpenAI has.

    Source: wire-formats §2.7; tests/wire/test_responses_options.py.
    """
    # Null means "not said", everywhere.
    left = {
        name: raw
        for name, raw in fields.items()
        if name not in _NOT_ASKED and bytes(raw) != b"null"
    }

    def take(name: str, decode: Callable[[Any], _T], wanted: str) -> _T | None:
        return read_value(name, left.pop(name, None), decode, wanted)

    if "prompt" in left:
        raise NotOffered("The provider does not have prompts of OpenAI's.", param="prompt")
    if take("truncation", _decode_text, _TEXT) == "auto":
        left["truncation"] = fields["truncation"]
    config = _read_object(left.pop("text", None), _decode_config, "text") or _TextConfig()
    if bytes(config.verbosity) not in (b"", b"null"):
        left["verbosity"] = config.verbosity
    safety_id = take("safety_identifier", _decode_text, _TEXT)
    return ChatRequest(
        messages=messages,
        tools=read_tools(left.pop("tools", None)),
        tool_choice=read_tool_choice(left.pop("tool_choice", None)),
        is_parallel=take("parallel_tool_calls", _decode_flag, _FLAG),
        max_tokens=take("max_output_tokens", _decode_integer, _INTEGER),
        temperature=take("temperature", _decode_number, _NUMBER),
        top_p=take("top_p", _decode_number, _NUMBER),
        log_probs=_find_log_probs(fields, take("top_logprobs", _decode_integer, _INTEGER)),
        format=_read_format(config.format),
        reasoning=_read_reasoning(left),
        user=take("user", _decode_text, _TEXT) or safety_id,
        service_tier=take("service_tier", _decode_text, _TEXT),
        streams=bool(take("stream", _decode_flag, _FLAG)),
        extra=left,
    )


def shows_thoughts(fields: Mapping[str, Raw]) -> bool:
    """
    Return whether a client wants to read what was thought: it asks for a summary.

    Args:
        fields: of its request, which may be of any shape.
    """
    try:
        reasoning = _decode_reasoning(fields.get("reasoning", b"{}"))
    except (ValueError, RecursionError):
        return False
    return _wants_summary(reasoning)


def _wants_summary(reasoning: _Reasoning) -> bool:
    return (reasoning.summary or reasoning.generate_summary or "none") != "none"


def _read_object(raw: Raw | None, decode: Callable[[Raw], _T], name: str) -> _T | None:
    if raw is None:
        return None
    try:
        return decode(raw)
    except (ValueError, RecursionError) as error:
        raise build_shape_fault(error, name) from None


def _find_log_probs(fields: Mapping[str, Raw], alternatives: int | None) -> int | None:
    included = read_value(
        "include", fields.get("include"), _decode_texts, "must be a list of strings"
    )
    if _LOG_PROBS in (included or ()):
        return alternatives or 0
    return alternatives or None


def _read_format(found: _Format | None) -> Format | None:
    if found is None or found.type == "text":
        return None
    if found.type == "json_object":
        return Format()
    if found.type != "json_schema":
        raise NotOffered(f"A format {_FORMAT}.", param="text.format.type")
    raw = found.schema
    if bytes(raw) in (b"", b"null"):
        raise InvalidRequest("'text.format.schema' is missing.", param="text.format.schema")
    if not bytes(raw).startswith(b"{"):
        raise InvalidRequest("'text.format.schema' must be an object.", param="text.format.schema")
    return Format(raw, found.name, found.description, found.strict)


def _read_reasoning(left: dict[str, Raw]) -> Reasoning | None:
    raw = left.pop("reasoning", None)
    found = _read_object(raw, _decode_reasoning, "reasoning")
    if found is None or raw is None:
        return None
    shows, effort = _wants_summary(found), found.effort
    if effort is not None and effort not in get_args(Effort):
        # A word that is not known is named, like any such field.
        left["reasoning"] = raw
        effort = None
    if effort is None:
        # A summary of thoughts is wanted; how much is thought is left to the model.
        return Reasoning(is_adaptive=True) if shows else None
    return Reasoning(cast(Effort, effort), shows=shows)
