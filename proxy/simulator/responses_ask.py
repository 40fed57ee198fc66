"""
Reads requests to OpenAI's Responses API as the simulator understands them, and refuses bad ones.

As strict as the real one where strictness shows mistakes: unknown fields, results without their
call and calls without their result, thoughts that were altered, ids that nobody has given out.
What is asked is planned as a chat request (`ask.py`).
"""

from typing import Any, NoReturn

import msgspec

from proxy.domain.errors import InvalidRequest
from proxy.domain.service_errors import ResponseNotFound
from proxy.simulator.ask import (
    ChatAsk,
    CountAsk,
    Function,
    ImageUrl,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    Tool,
    parse_ask,
)
from proxy.simulator.response_memory import Item, ResponseMemory
from proxy.simulator.responses_format import ResponsesFormat
from proxy.simulator.responses_shapes import (
    CountAsked,
    Format,
    OfferedFunction,
    ResponseAsked,
    SaidItem,
    SaidPart,
)
from proxy.simulator.sealed_thought import is_sealed

_BUILT_IN = frozenset(
    (
        *("web_search", "web_search_preview", "file_search", "code_interpreter", "mcp"),
        *("image_generation", "computer_use_preview", "computer", "local_shell", "shell"),
        *("custom", "apply_patch", "tool_search", "namespace"),
    )
)
_TEXTS = frozenset(("input_text", "output_text", "text", "summary_text", "reasoning_text"))


class ResponseAsk(ChatAsk, kw_only=True):
    """A response as a chat that is asked for, with how it is to be written."""

    answers: ResponsesFormat


def read_response(body: bytes, memory: ResponseMemory) -> ResponseAsk:
    """Return what `POST /v1/responses` asks; InvalidRequest says which field is wrong."""
    asked = parse_ask(body, ResponseAsked)
    if asked.background:
        raise InvalidRequest(
            "The simulator makes no responses in the background.", param="background"
        )
    if asked.conversation is not None and asked.previous_response_id is not None:
        raise InvalidRequest(
            "Mutually exclusive with 'conversation'.", param="previous_response_id"
        )
    if asked.input is None and asked.previous_response_id is None and asked.prompt is None:
        raise InvalidRequest("One of 'input', 'previous_response_id' or 'prompt' is needed.")
    items = _list_items(asked, memory)
    keeps = memory if asked.store is not False else None
    return ResponseAsk(
        model=asked.model,
        metadata=asked.metadata,
        messages=_read_messages(asked.instructions, items, memory),
        max_completion_tokens=asked.max_output_tokens,
        stream=asked.stream,
        tools=_read_tools(asked.tools),
        tool_choice=_read_choice(asked.tool_choice),
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=_read_format(asked.text.format if asked.text else None),
        temperature=asked.temperature,
        answers=ResponsesFormat(asked, items, keeps),
    )


def read_input_count(body: bytes, memory: ResponseMemory) -> CountAsk:
    """Return what `POST /v1/responses/input_tokens` asks."""
    asked = parse_ask(body, CountAsked)
    messages = _read_messages(asked.instructions, _list_items(asked, memory), memory)
    texts = [message.text for message in messages]
    texts += [msgspec.json.encode(tool).decode() for tool in asked.tools or ()]
    return CountAsk(model=asked.model, metadata=asked.metadata, texts=texts)


def _list_items(asked: ResponseAsked | CountAsked, memory: ResponseMemory) -> list[Item]:
    """Return all items, those of earlier responses first, each with an id."""
    items: list[Item] = []
    if asked.previous_response_id is not None:
        try:
            items += memory.find(asked.previous_response_id).history
        except ResponseNotFound:
            raise InvalidRequest(
                f"Previous response with id '{asked.previous_response_id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            ) from None
    said = asked.input
    if isinstance(said, str):
        content = [{"type": "input_text", "text": said}]
        said = [{"type": "message", "role": "user", "content": content}]
    for item in said or ():
        items.append({**_resolve(item, memory), "id": item.get("id") or f"item_{len(items)}"})
    return items


def _resolve(item: Item, memory: ResponseMemory) -> Item:
    is_reference = item.get("type") == "item_reference"
    if not is_reference and (item.get("type") is not None or "role" in item):
        return item
    found = memory.find_item(str(item.get("id")))
    if found is None:
        raise ResponseNotFound(f"Item with id '{item.get('id')}' not found.", param="input")
    return found


def _read_messages(
    instructions: str | None, items: list[Item], memory: ResponseMemory
) -> list[Message]:
    messages = [Message("system", instructions)] if instructions else []
    waiting: set[str] = set()
    called: set[str] = set()
    for raw in items:
        try:
            item = msgspec.convert(raw, SaidItem)
        except msgspec.ValidationError as error:
            _refuse(f"{error}.")
        match item.type or "message":
            case "message":
                messages.append(_read_message(item))
            case "function_call":
                if not (item.call_id and item.name) or item.arguments is None:
                    _refuse("a 'function_call' needs 'call_id', 'name' and 'arguments'.")
                waiting.add(item.call_id)
                called.add(item.call_id)
                messages.append(Message("assistant"))
            case "function_call_output":
                if item.call_id not in called:
                    _refuse(f"No tool call found for function call output {item.call_id}.")
                waiting.discard(item.call_id or "")
                messages.append(Message("tool", _read_content(item.output)))
            case "reasoning":
                _check_thought(item, memory)
            case _:
                _refuse(f"'{(item.type or '')[:40]}' is no type of an item that is known here.")
    if waiting:
        _refuse(f"No tool output found for function call {min(waiting)}.")
    if not messages:
        _refuse("there is nothing to answer.")
    return messages


def _read_message(item: SaidItem) -> Message:
    if item.role not in ("user", "assistant", "system", "developer"):
        _refuse("a message needs a 'role'.")
    if item.content is None:
        _refuse("a message needs 'content'.")
    role = "system" if item.role == "developer" else item.role
    return Message(role, _read_content(item.content))


def _read_content(content: str | list[SaidPart] | None) -> str | list[Part]:
    if content is None or isinstance(content, str):
        return content or ""
    return [_read_part(part) for part in content]


def _read_part(part: SaidPart) -> Part:
    if part.type in _TEXTS:
        if part.text is None:
            _refuse(f"a '{part.type}' needs 'text'.")
        return Part("text", part.text)
    if part.type == "refusal":
        return Part("text", part.refusal or "")
    url = part.image_url or part.file_url or part.file_data or part.file_id
    if part.type not in ("input_image", "input_file") or url is None:
        _refuse(f"'{part.type[:40]}' is no part that is known here, or it lacks its content.")
    return Part("image_url", image_url=ImageUrl(url))


def _check_thought(item: SaidItem, memory: ResponseMemory) -> None:
    if item.encrypted_content is not None:
        if not is_sealed(item.encrypted_content):
            raise InvalidRequest(
                "The encrypted content could not be verified.",
                param="input",
                code="invalid_encrypted_content",
            )
    elif memory.find_item(item.id or "") is None:
        raise ResponseNotFound(
            f"Item with id '{item.id}' not found. Items are not persisted when `store` is set to "
            "false.",
            param="input",
        )


def _read_tools(tools: list[dict[str, Any]] | None) -> list[Tool] | None:
    if tools is None:
        return None
    offered = []
    for raw in tools:
        tool = msgspec.convert(raw, OfferedFunction)
        if tool.type == "function":
            if not tool.name:
                raise InvalidRequest("Missing required parameter: 'tools[0].name'.", param="tools")
            offered.append(Tool("function", Function(tool.name, tool.parameters)))
        elif tool.type not in _BUILT_IN:
            raise InvalidRequest(f"Invalid value: '{tool.type[:40]}'.", param="tools")
    return offered


def _read_choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if choice is None or isinstance(choice, str):
        return choice
    if choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if choice.get("type") == "allowed_tools":
        tools = [
            {"type": "function", "function": {"name": each.get("name")}}
            for each in choice.get("tools", ())
        ]
        return {"allowed_tools": {"mode": choice.get("mode"), "tools": tools}}
    return "auto"


def _read_format(wanted: Format | None) -> ResponseFormat | None:
    if wanted is None:
        return None
    if wanted.type == "json_schema":
        if not wanted.name or wanted.schema is None:
            raise InvalidRequest("A format needs 'name' and 'schema'.", param="text.format")
        return ResponseFormat("json_schema", JsonSchema(wanted.name, wanted.schema))
    return ResponseFormat(wanted.type)


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(f"input: {message}", param="input")
