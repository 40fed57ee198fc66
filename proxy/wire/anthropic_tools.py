"""Tools of a chat request, and which of them must be called -> Anthropic's."""

import msgspec
from msgspec import Raw

from proxy.domain.chat import Call, ChatRequest, Tool
from proxy.wire.anthropic_blocks import Json
from proxy.wire.anthropic_schema import write_strict_schema
from proxy.wire.claude_models import ClaudeModel
from proxy.wire.json_text import encode

_SCHEMA_TOOL = "answer_in_json"
_NO_PARAMETERS = {"type": "object", "properties": {}}
_MODES = {"auto": "auto", "required": "any", "none": "none"}
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def name_schema_tool(chat: ChatRequest) -> str | None:
    """
    Return the name of the tool that stands for the schema of an answer; None: it has no schema.

    Whoever writes the request and whoever reads its answer find the same name, which is none of
    the client's own.
    """
    if chat.format is None or chat.format.schema is None:
        return None
    name = _SCHEMA_TOOL
    taken = {tool.name for tool in chat.tools}
    while name in taken:
        name += "_"
    return name


def build_tools(chat: ChatRequest, claude: ClaudeModel, dropped: list[str]) -> list[Json]:
    """
    Return the tools that a request may have called, without one for a schema.

    Where it has none and its history calls some, those are named: a history with calls of tools
    that nobody knows is refused. Then `build_choice` lets none of them be called.

    Args:
        chat: what is asked.
        claude: what the model takes.
        dropped: gets `strict`, where a model cannot be held to a tool's schema.
    """
    choice = chat.tool_choice
    names = choice.names if choice is not None else ()
    chosen = [tool for tool in chat.tools if not names or tool.name in names]
    if not claude.takes_schemas and any(tool.is_strict for tool in chosen):
        dropped.append("strict")
    if chosen:
        return [_build_tool(tool, claude) for tool in chosen]
    called = {
        part.name: None
        for message in chat.messages
        for part in message.parts
        if isinstance(part, Call)
    }
    return [{"name": name, "input_schema": {"type": "object"}} for name in called]


def build_schema_tool(chat: ChatRequest, name: str) -> Json:
    """Return the tool whose arguments are the answer that a schema describes."""
    wanted = chat.format
    description = "Give the answer by calling this, and in no other way."
    if wanted is not None and wanted.description:
        description += f" {wanted.description}"
    schema = None if wanted is None else wanted.schema
    return {"name": name, "description": description, "input_schema": _read_schema(schema)}


def build_choice(chat: ChatRequest, schema_tool: str | None, *, may_force: bool) -> Json | None:
    """
    Return which tool must be called; None: nothing has to be said of it.

    Args:
        chat: what is asked; it has tools, or its history calls some.
        schema_tool: the tool whose call is the answer, unless another tool is called.
        may_force: the model may be told that it must call something.
    """
    choice = chat.tool_choice
    mode = "none" if not chat.tools else "auto" if choice is None else choice.mode
    names = choice.names if choice is not None else ()
    if schema_tool is not None:
        found: Json = {"type": "auto"}
        if may_force:
            found = {"type": "tool", "name": schema_tool} if mode == "none" else {"type": "any"}
    elif mode == "required" and len(names) == 1:
        found = {"type": "tool", "name": names[0]}
    else:
        found = {"type": _MODES[mode]}
    if found["type"] == "none":
        return found
    if chat.is_parallel is False:
        return found | {"disable_parallel_tool_use": True}
    return None if choice is None and found["type"] == "auto" else found


def _build_tool(tool: Tool, claude: ClaudeModel) -> Json:
    found: Json = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    found["input_schema"] = _read_schema(tool.parameters)
    if tool.is_strict and claude.takes_schemas:
        found["strict"] = True
        found["input_schema"] = write_strict_schema(Raw(encode(found["input_schema"])))
    if tool.cache_control is not None:
        found["cache_control"] = tool.cache_control
    return found


def _read_schema(schema: Raw | None) -> Raw | Json:
    """Return a schema with the type that it must have, as it came if it says so itself."""
    if schema is None:
        return _NO_PARAMETERS
    try:
        fields = _decode_object(schema)
    except (ValueError, RecursionError):
        # Its own words say best what is wrong with it.
        return schema
    return schema if "type" in fields else {"type": "object", **fields}
