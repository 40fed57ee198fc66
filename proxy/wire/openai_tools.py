"""Tools and their choice in OpenAI's format, in the new form and in the deprecated one."""

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import Tool, ToolChoice
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.openai_error import NO_VALUE
from proxy.wire.openai_fields import read_value

_TOOLS = "must be a list of objects such as {'type': 'function', 'function': {'name': 'f'}}"
_FUNCTIONS = "must be a list of objects, each with a string 'name'"
_CHOICE = "must be none, auto, required, or an object that names a function"
_CALL = "must be none, auto, or an object that names a function"


class _Function(Struct):
    name: str
    description: str | None = None
    parameters: Raw = NO_VALUE
    strict: bool | None = None
    cache_control: Raw = NO_VALUE


class _Tool(Struct):
    type: str = "function"
    function: _Function | None = None
    cache_control: Raw = NO_VALUE


class _Named(Struct):
    name: str


class _Allowed(Struct):
    mode: str = "auto"
    tools: list[_Tool] = []


class _Choice(Struct):
    type: str = "function"
    function: _Named | None = None
    allowed_tools: _Allowed | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_functions = msgspec.json.Decoder(list[_Function]).decode
_decode_choice = msgspec.json.Decoder(str | _Choice).decode
_decode_call = msgspec.json.Decoder(str | _Named).decode

_MODES = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    # Mistral's word.
    "any": ToolChoice("required"),
}


def read_tools(tools: Raw | None, functions: Raw | None) -> tuple[Tool, ...]:
    """
    Return the tools of a request.

    Args:
        tools: the field of that name.
        functions: its deprecated form, which is read where there is no other.

    Raises:
        InvalidRequest: a tool has a shape that cannot be read.
        NotOffered: a tool whose input is no JSON.

    Source: wire-formats §2.2; tests/wire/test_openai_tools.py.
    """
    found = read_value("tools", tools, _decode_tools, _TOOLS)
    if found is None:
        old = read_value("functions", functions, _decode_functions, _FUNCTIONS)
        return tuple(_read_function(function, "functions", NO_VALUE) for function in old or ())
    return tuple(_read_tool(tool, f"tools[{place}]") for place, tool in enumerate(found))


def read_tool_choice(choice: Raw | None, call: Raw | None) -> ToolChoice | None:
    """
    Return which tools may or must be called, None where nothing is said of it.

    Args:
        choice: `tool_choice`.
        call: `function_call`, its deprecated form, which is read where there is no other.

    Raises:
        InvalidRequest: it cannot be read.
        NotOffered: it is about a tool whose input is no JSON, or of a provider's own.

    Source: wire-formats §2.2; tests/wire/test_openai_tools.py.
    """
    found = read_value("tool_choice", choice, _decode_choice, _CHOICE)
    if found is None:
        old = read_value("function_call", call, _decode_call, _CALL)
        if isinstance(old, _Named):
            return ToolChoice("required", (old.name,))
        return None if old is None else _read_mode(old, "function_call", _CALL)
    if isinstance(found, str):
        return _read_mode(found, "tool_choice", _CHOICE)
    if found.allowed_tools is not None:
        mode = _read_mode(found.allowed_tools.mode, "tool_choice.allowed_tools.mode", _CHOICE)
        names = tuple(tool.function.name for tool in found.allowed_tools.tools if tool.function)
        if len(names) < len(found.allowed_tools.tools):
            raise _not_offered("tool_choice.allowed_tools.tools")
        return ToolChoice(mode.mode, names)
    if found.type != "function":
        raise _not_offered("tool_choice.type")
    if found.function is None:
        raise InvalidRequest(f"'tool_choice' {_CHOICE}.", param="tool_choice.function")
    return ToolChoice("required", (found.function.name,))


def _read_mode(word: str, name: str, wanted: str) -> ToolChoice:
    mode = _MODES.get(word)
    if mode is None:
        raise InvalidRequest(f"'{name}' {wanted}.", param=name)
    return mode


def _read_tool(tool: _Tool, place: str) -> Tool:
    if tool.type != "function":
        raise _not_offered(f"{place}.type")
    if tool.function is None:
        raise InvalidRequest(f"'tools' {_TOOLS}.", param=f"{place}.function")
    return _read_function(tool.function, f"{place}.function", tool.cache_control)


def _read_function(function: _Function, place: str, cache_control: Raw) -> Tool:
    parameters = find_raw(function.parameters)
    if parameters is not None and not bytes(parameters).startswith(b"{"):
        name = f"{place}.parameters"
        raise InvalidRequest(f"'{name}' must be an object.", param=name)
    return Tool(
        function.name,
        function.description,
        parameters,
        function.strict,
        find_raw(function.cache_control) or find_raw(cache_control),
    )


def find_raw(raw: Raw) -> Raw | None:
    """Return a value that came; null means that it did not."""
    return None if bytes(raw) in (b"", b"null") else raw


def _not_offered(param: str) -> NotOffered:
    return NotOffered("The provider knows no other tools than functions.", param=param)
