"""Tools of a Responses request and their choice: functions, which are flat in this dialect."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.model_name import is_plain_name
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_fields import read_value
from proxy.wire.shape_fault import build_shape_fault

_CHOICE = "must be none, auto, required, or an object that names a function"
_MODES = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
}


class _Tool(Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = NO_VALUE
    strict: bool | None = None


class _Choice(Struct):
    type: str
    name: str | None = None
    mode: str = "auto"
    tools: list[_Tool] = []


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_choice = msgspec.json.Decoder(str | _Choice).decode


def read_tools(raw: Raw | None) -> tuple[Tool, ...]:
    """
    Return the functions that a model may call.

    OpenAI makes a schema strict where `strict` is not said, if it can be; what is not said stays
    unsaid here, since a schema that cannot be made strict would be refused.

    Args:
        raw: the field `tools`, None where it did not come.

    Raises:
        InvalidRequest: a tool has a shape that cannot be read.
        NotOffered: a tool that OpenAI runs itself, or one whose input is no JSON: what the model
            says to it may be bound to a grammar, which no call of a function keeps to.

    Source: wire-formats §2.7; tests/wire/test_responses_tools.py.
    """
    if raw is None:
        return ()
    try:
        found = _decode_tools(raw)
    except (ValueError, RecursionError) as error:
        raise build_shape_fault(error, "tools") from None
    return tuple(_read_tool(tool, f"tools[{position}]") for position, tool in enumerate(found))


def read_tool_choice(raw: Raw | None) -> ToolChoice | None:
    """
    Return which tools may or must be called, None where nothing is said of it.

    Raises:
        InvalidRequest: it cannot be read.
        NotOffered: it is about another tool than a function.
    """
    found = read_value("tool_choice", raw, _decode_choice, _CHOICE)
    if found is None:
        return None
    if isinstance(found, str):
        return _read_mode(found, "tool_choice")
    if found.type == "allowed_tools":
        names = tuple(
            _read_name(tool, f"tool_choice.tools[{position}]")
            for position, tool in enumerate(found.tools)
        )
        return ToolChoice(_read_mode(found.mode, "tool_choice.mode").mode, names)
    if found.type != "function":
        raise _not_offered(found.type, "tool_choice")
    if not found.name:
        raise InvalidRequest("'tool_choice.name' is missing.", param="tool_choice.name")
    return ToolChoice("required", (found.name,))


def _read_mode(word: str, name: str) -> ToolChoice:
    mode = _MODES.get(word)
    if mode is None:
        raise InvalidRequest(f"'{name}' {_CHOICE}.", param=name)
    return mode


def _read_tool(tool: _Tool, place: str) -> Tool:
    name = _read_name(tool, place)
    parameters = None if bytes(tool.parameters) in (b"", b"null") else tool.parameters
    if parameters is not None and not bytes(parameters).startswith(b"{"):
        where = f"{place}.parameters"
        raise InvalidRequest(f"'{where}' must be an object.", param=where)
    return Tool(name, tool.description, parameters, tool.strict)


def _read_name(tool: _Tool, place: str) -> str:
    if tool.type != "function":
        raise _not_offered(tool.type, "tool_choice" if place.startswith("tool_choice") else "tools")
    if not tool.name:
        raise InvalidRequest(f"'{place}.name' is missing.", param=f"{place}.name")
    return tool.name


def _not_offered(kind: str, param: str) -> NotOffered:
    shown = f" '{kind}'" if is_plain_name(kind) else ""
    return NotOffered(
        f"The provider does not have the tool{shown}; functions can be called.", param=param
    )
