"""
Reads requests in Cohere's format as the simulator's own, and refuses what Cohere would.

Source: Cohere's API, version 2; the shapes are in `cohere_shapes.py`.
"""

from typing import NoReturn, TypeVar

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import (
    ChatAsk,
    EmbeddingAsk,
    Function,
    ImageUrl,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    StreamOptions,
    Tool,
    read_base64,
)
from proxy.simulator.cohere_shapes import Block, ChatAsked, CohereMessage, EmbedAsked

S = TypeVar("S", bound=Struct)


def read_chat(body: bytes) -> ChatAsk:
    """Return what `/v2/chat` asks."""
    asked = _decode(body, ChatAsked)
    if asked.response_format is not None and (asked.tools or asked.documents):
        _refuse("response_format is not supported with RAG or tools")
    if asked.tool_choice is not None and not asked.tools:
        _refuse("tool_choice requires tools")
    for tool in asked.tools or () if asked.strict_tools else ():
        if not tool.function.parameters.get("required"):
            _refuse("strict_tools requires at least one required parameter in each tool")
    offered = [
        Tool("function", Function(tool.function.name, tool.function.parameters))
        for tool in asked.tools or ()
    ]
    return ChatAsk(
        model=asked.model,
        messages=_read_messages(asked.messages),
        max_tokens=asked.max_tokens,
        stop=asked.stop_sequences,
        stream=asked.stream,
        stream_options=StreamOptions(include_usage=True),
        tools=offered or None,
        tool_choice=asked.tool_choice.lower() if asked.tool_choice is not None else None,
        response_format=_read_format(asked),
    )


def read_embed(body: bytes) -> EmbeddingAsk:
    """Return what `/v2/embed` asks; the simulator knows vectors of numbers only."""
    asked = _decode(body, EmbedAsked)
    return EmbeddingAsk(model=asked.model, input=[*asked.texts], dimensions=asked.output_dimension)


def _decode(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"invalid request: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("invalid json syntax") from None


def _read_messages(messages: list[CohereMessage]) -> list[Message]:
    waiting: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                _refuse("tool_call_id must be that of a call in the message before")
            waiting.discard(message.tool_call_id or "")
        elif waiting:
            _refuse("each tool call must be answered by a tool message")
        if message.tool_calls:
            if message.role != "assistant":
                _refuse("tool calls are an assistant's")
            waiting = {call.id for call in message.tool_calls}
        elif message.content is None:
            _refuse("content is missing")
    if waiting:
        _refuse("each tool call must be answered by a tool message")
    return [_read_message(message) for message in messages]


def _read_message(message: CohereMessage) -> Message:
    if message.content is None or isinstance(message.content, str):
        return Message(message.role, message.content)
    return Message(message.role, [_read_block(message, block) for block in message.content])


def _read_block(message: CohereMessage, block: Block) -> Part:
    if block.image_url is not None and message.role == "user":
        head, comma, data = block.image_url.url.partition(";base64,")
        if head.startswith("data:") and comma:
            read_base64(data, "messages")
        return Part("image_url", image_url=ImageUrl(block.image_url.url))
    if block.type == "text" and block.text is not None:
        return Part("text", block.text)
    if block.type == "thinking" and message.role == "assistant":
        return Part("thinking")
    if block.document is not None and message.role == "tool":
        return Part("text", msgspec.json.encode(block.document.data).decode())
    _refuse(f"content of type {block.type} is not supported here")


def _read_format(asked: ChatAsked) -> ResponseFormat | None:
    wanted = asked.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.json_schema is None:
        return ResponseFormat("json_object")
    return ResponseFormat("json_schema", JsonSchema("answer", wanted.json_schema))


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message)
