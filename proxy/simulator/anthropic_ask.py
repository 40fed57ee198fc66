"""
Reads requests in Anthropic's format as the simulator understands them, and refuses bad ones.

As strict as the real one where strictness shows mistakes: unknown fields, results without their
call, thoughts that have been altered. What is asked is planned as a chat request (`ask.py`).
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from proxy.domain.errors import InvalidRequest
from proxy.simulator.anthropic_shapes import (
    Block,
    CountAsked,
    MessagesAsked,
    OfferedTool,
    Prompt,
    ToolChoice,
    Turn,
)
from proxy.simulator.ask import (
    ChatAsk,
    CountAsk,
    Function,
    ImageUrl,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    StreamOptions,
    Tool,
    parse_ask,
    read_base64,
)
from proxy.simulator.knobs import parse_model_name
from proxy.simulator.signature import is_signed

_IMAGE_TYPES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_SAMPLING = ("temperature", "top_p", "top_k")
_NEWER_VERSION = "2026-10-21"
VERSIONS = frozenset(("2023-06-01", _NEWER_VERSION))
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def read_messages(body: bytes, headers: Mapping[str, str]) -> ChatAsk:
    """Return what `POST /v1/messages` asks; InvalidRequest says which field is wrong."""
    version = _check_version(headers)
    ask = parse_ask(body, MessagesAsked)
    if version == _NEWER_VERSION:
        for name in _SAMPLING:
            if getattr(ask, name) is not None:
                raise InvalidRequest(f"{name} is not supported in version {version}.", param=name)
    messages = _read_prompt(ask)
    choice = ask.tool_choice or ToolChoice("auto")
    wanted = None
    if ask.output_config is not None and ask.output_config.format is not None:
        schema = JsonSchema("answer", ask.output_config.format.schema)
        wanted = ResponseFormat("json_schema", schema)
    return ChatAsk(
        model=ask.model,
        metadata=ask.metadata,
        messages=messages,
        max_tokens=ask.max_tokens,
        stop=ask.stop_sequences,
        stream=ask.stream,
        stream_options=StreamOptions(include_usage=True),
        tools=_read_tools(ask.tools),
        tool_choice=_read_choice(ask, choice),
        parallel_tool_calls=not choice.disable_parallel_tool_use,
        response_format=wanted,
    )


def read_count(body: bytes, headers: Mapping[str, str]) -> CountAsk:
    """Return what `POST /v1/messages/count_tokens` asks."""
    _check_version(headers)
    ask = parse_ask(body, CountAsked)
    texts = [message.text for message in _read_prompt(ask)]
    texts += [msgspec.json.encode(tool).decode() for tool in ask.tools or ()]
    return CountAsk(model=ask.model, metadata=ask.metadata, texts=texts)


def _check_version(headers: Mapping[str, str]) -> str:
    version = headers.get("anthropic-version")
    if version is None:
        raise InvalidRequest("anthropic-version: header is required")
    if version not in VERSIONS:
        raise InvalidRequest(f"anthropic-version: '{version[:40]}' is not a valid version")
    return version


def _read_prompt(ask: Prompt) -> list[Message]:
    """Return the conversation, the system's words first and results in messages of their own."""
    messages: list[Message] = []
    if ask.system is not None:
        blocks = Turn("system", ask.system).blocks
        messages.append(Message("system", "\n".join([_need_text(block) for block in blocks])))
    must_think = _must_think(ask)
    waiting: set[str] = set()
    for turn in ask.messages:
        if turn.role == "user":
            messages += _read_user(turn, waiting)
            waiting = set()
        elif turn.role in ("assistant", "system"):
            if waiting:
                _refuse("`tool_use` ids were found without `tool_result` blocks after them.")
            # Older turns are history: wanted are the thoughts of the one that is gone on with.
            is_under_way = turn is ask.messages[-2:][0]
            text, waiting = _read_assistant(turn, must_think=must_think and is_under_way)
            messages.append(Message(turn.role, text))
        else:
            _refuse(f"Unexpected role '{turn.role[:40]}'.")
    if waiting:
        _refuse("`tool_use` ids were found without `tool_result` blocks after them.")
    return messages


def _must_think(ask: Prompt) -> bool:
    """True if the model thinks, and so wants its thoughts back with its calls."""
    _, knobs = parse_model_name(ask.model)
    return bool(knobs.thoughts) and (ask.thinking or {}).get("type") in ("enabled", "adaptive")


def _read_user(turn: Turn, waiting: set[str]) -> list[Message]:
    results: list[Message] = []
    parts: list[Part] = []
    for block in turn.blocks:
        if block.type == "tool_result":
            if parts:
                _refuse("`tool_result` blocks must come before all other content.")
            if block.tool_use_id not in waiting:
                _refuse("unexpected `tool_use_id` in a `tool_result` block.")
            waiting.discard(block.tool_use_id or "")
            inner = Turn("user", block.content or []).blocks
            results.append(Message("tool", [_read_part(part) for part in inner]))
        else:
            parts.append(_read_part(block))
    if waiting:
        _refuse("`tool_use` ids were found without `tool_result` blocks after them.")
    if not parts and not results:
        _refuse("user messages must have non-empty content.")
    return [*results, Message("user", parts)] if parts else results


def _read_assistant(turn: Turn, *, must_think: bool) -> tuple[str, set[str]]:
    calls: set[str] = set()
    texts = []
    blocks = turn.blocks
    for block in blocks:
        if block.type == "tool_use":
            if not (block.id and block.name) or block.input is None:
                _refuse("a `tool_use` block needs `id`, `name` and `input`.")
            calls.add(block.id or "")
        elif block.type == "thinking":
            if not is_signed(block.thinking or "", block.signature or ""):
                _refuse("Invalid `signature` in `thinking` block.")
        elif block.type == "redacted_thinking":
            if not block.data:
                _refuse("a `redacted_thinking` block needs `data`.")
        elif block.type == "text":
            texts.append(_need_text(block))
        else:
            _refuse(f"Input tag '{block.type[:40]}' does not match any of the expected tags.")
    if must_think and calls and blocks[0].type not in ("thinking", "redacted_thinking"):
        _refuse("Expected `thinking` or `redacted_thinking`, but found another block first.")
    return "\n".join(texts), calls


def _read_part(block: Block) -> Part:
    if block.type == "text":
        return Part("text", _need_text(block))
    source = block.source
    if block.type not in ("image", "document") or source is None:
        _refuse(f"Input tag '{block.type[:40]}' does not match any of the expected tags.")
    if source.type == "url" and source.url:
        return Part("image_url", image_url=ImageUrl(source.url))
    if source.type == "file" and source.file_id:
        return Part("image_url", image_url=ImageUrl("file:" + source.file_id))
    if source.type == "text" and block.type == "document":
        return Part("text", source.data)
    if source.type != "base64" or source.data is None or source.media_type is None:
        _refuse("a `source` needs a `url`, a `file_id`, or `media_type` and `data`.")
    if (block.type == "image") != (source.media_type in _IMAGE_TYPES):
        _refuse(f"'{source.media_type[:40]}' is no media type of a block `{block.type}`.")
    read_base64(source.data, "messages")
    url = f"data:{source.media_type};base64,{source.data}"
    return Part("image_url", image_url=ImageUrl(url))


def _read_tools(tools: list[OfferedTool] | None) -> list[Tool] | None:
    if tools is None:
        return None
    offered = []
    for tool in tools:
        if tool.type in (None, "custom"):
            if tool.input_schema is None or tool.input_schema.get("type") != "object":
                raise InvalidRequest(
                    "tools: `input_schema` must be of type 'object'.", param="tools"
                )
            offered.append(Tool("function", Function(tool.name, tool.input_schema)))
    return offered


def _read_choice(ask: Prompt, choice: ToolChoice) -> str | dict[str, Any] | None:
    if ask.tool_choice is None:
        return None
    if not ask.tools:
        raise InvalidRequest("tool_choice may only be sent with tools.", param="tool_choice")
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    if choice.type not in _CHOICES:
        raise InvalidRequest("tool_choice has an unknown type.", param="tool_choice")
    return _CHOICES[choice.type]


def _need_text(block: Block) -> str:
    if block.type != "text" or not block.text:
        _refuse("text content blocks must be non-empty.")
    return block.text


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(f"messages: {message}", param="messages")
