"""What an Anthropic client's request says beside its messages: tools, thinking, form, sampling."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast, get_args

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest, Effort, Format, Message, Reasoning, Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.model_name import is_plain_name
from proxy.wire.anthropic_content import decode_member, find_raw, require
from proxy.wire.openai_error import NO_VALUE

_T = TypeVar("_T")
_KNOWN = frozenset(
    (
        *("model", "messages", "system", "max_tokens", "stop_sequences", "stream"),
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "thinking"),
        *("output_config", "output_format", "metadata", "service_tier"),
    )
)
"""What has a place in a ChatRequest; all else is kept as it came."""
_TIERS = {"standard_only": "default"}
"""OpenAI's name for what Anthropic calls otherwise."""
_CHOICES = "must be {'type': 'auto'}, 'any', 'none', or 'tool' with a 'name'"


class _Tool(Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Raw = NO_VALUE
    strict: bool | None = None
    cache_control: Raw = NO_VALUE


class _ToolChoice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(Struct):
    type: str
    schema: Raw = NO_VALUE


class _OutputConfig(Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(Struct):
    user_id: str | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_choice = msgspec.json.Decoder(_ToolChoice).decode
_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_config = msgspec.json.Decoder(_OutputConfig).decode
_decode_format = msgspec.json.Decoder(_Format).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_stops = msgspec.json.Decoder(list[str]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_integer = msgspec.json.Decoder(int).decode
_decode_number = msgspec.json.Decoder(float).decode
_decode_flag = msgspec.json.Decoder(bool).decode


def read_options(fields: Mapping[str, Raw], messages: tuple[Message, ...]) -> ChatRequest:
    """
    Return what is asked, with these messages.

    Args:
        fields: of the request, by name.
        messages: as they have been read from it.

    Raises:
        InvalidRequest: a field has a shape that cannot be read; `param` says which.
        NotOffered: a tool that only Anthropic has, or nothing but a place in its cache.

    Source: wire-formats §2.8 and §3.1; tests/wire/test_anthropic_options.py.
    """
    config = _read(fields, "output_config", _decode_config) or _OutputConfig()
    tool_choice, is_parallel = _read_choice(fields)
    metadata = _read(fields, "metadata", _decode_metadata)
    tier = _read(fields, "service_tier", _decode_text)
    max_tokens = _read(fields, "max_tokens", _decode_integer)
    if max_tokens == 0:
        raise NotOffered("The provider cannot answer with no token.", param="max_tokens")
    return ChatRequest(
        messages=messages,
        tools=_read_tools(fields),
        tool_choice=tool_choice,
        is_parallel=is_parallel,
        max_tokens=max_tokens,
        temperature=_read(fields, "temperature", _decode_number),
        top_p=_read(fields, "top_p", _decode_number),
        top_k=_read(fields, "top_k", _decode_integer),
        stop=tuple(_read(fields, "stop_sequences", _decode_stops) or ()),
        format=_read_format(fields, config),
        reasoning=_read_reasoning(fields, config),
        user=None if metadata is None else metadata.user_id,
        service_tier=None if tier is None else _TIERS.get(tier, tier),
        streams=bool(_read(fields, "stream", _decode_flag)),
        extra={
            name: raw
            for name, raw in fields.items()
            if name not in _KNOWN and find_raw(raw) is not None
        },
    )


def _read(fields: Mapping[str, Raw], name: str, decode: Callable[[Raw], _T]) -> _T | None:
    raw = fields.get(name)
    if raw is None or find_raw(raw) is None:
        return None
    return decode_member(decode, raw, name)


def _read_tools(fields: Mapping[str, Raw]) -> tuple[Tool, ...]:
    tools = _read(fields, "tools", _decode_tools) or ()
    return tuple(_read_tool(tool, f"tools[{position}]") for position, tool in enumerate(tools))


def _read_tool(tool: _Tool, place: str) -> Tool:
    if tool.type not in (None, "custom"):
        shown = f" '{tool.type}'" if is_plain_name(tool.type) else ""
        raise NotOffered(f"The tool{shown} is Anthropic's own.", param=f"{place}.type")
    return Tool(
        require(tool.name, place, "name"),
        tool.description,
        find_raw(tool.input_schema),
        tool.strict,
        find_raw(tool.cache_control),
    )


def _read_choice(fields: Mapping[str, Raw]) -> tuple[ToolChoice | None, bool | None]:
    """Return which tools may be called, and False if only one at a time."""
    choice = _read(fields, "tool_choice", _decode_choice)
    if choice is None:
        return None, None
    is_parallel = False if choice.disable_parallel_tool_use else None
    if choice.type == "auto":
        return ToolChoice("auto"), is_parallel
    if choice.type == "any":
        return ToolChoice("required"), is_parallel
    if choice.type == "tool":
        name = require(choice.name, "tool_choice", "name")
        return ToolChoice("required", (name,)), is_parallel
    if choice.type == "none":
        return ToolChoice("none"), None
    raise InvalidRequest(f"'tool_choice' {_CHOICES}.", param="tool_choice.type")


def _read_reasoning(fields: Mapping[str, Raw], config: _OutputConfig) -> Reasoning | None:
    thinking = _read(fields, "thinking", _decode_thinking)
    effort = _read_effort(config)
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort, shows=False)
    if thinking.type == "disabled":
        return Reasoning(effort="none", shows=False)
    shows = thinking.display != "omitted"
    if thinking.type == "enabled":
        return Reasoning(effort=effort, budget_tokens=thinking.budget_tokens, shows=shows)
    # What comes besides leaves it to the model, too, when it thinks.
    return Reasoning(effort=effort, is_adaptive=True, shows=shows)


def _read_effort(config: _OutputConfig) -> Effort | None:
    if config.effort is None:
        return None
    if config.effort not in get_args(Effort):
        param = "output_config.effort"
        raise InvalidRequest(f"'{param}' must be low, medium, high, xhigh or max.", param=param)
    return cast(Effort, config.effort)


def _read_format(fields: Mapping[str, Raw], config: _OutputConfig) -> Format | None:
    found, place = config.format, "output_config.format"
    if found is None:
        # As it was called before `output_config`.
        found, place = _read(fields, "output_format", _decode_format), "output_format"
    if found is None:
        return None
    schema = find_raw(found.schema)
    if found.type != "json_schema" or schema is None:
        raise InvalidRequest(
            f"'{place}' must be of the type 'json_schema' and have a 'schema'.", param=place
        )
    return Format(schema=schema)
