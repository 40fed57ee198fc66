"""
Reads requests in Ollama's format as the simulator understands them, and refuses bad ones.

As the real one it takes fields that it does not know, and no content but text; and it forgets the
beginning of what does not fit into `num_ctx`, unless `truncate` is false. What is asked is planned
as a chat request (`ask.py`).
"""

from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import (
    ChatAsk,
    EmbeddingAsk,
    ImageUrl,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    StreamOptions,
    Tool,
    read_base64,
)
from proxy.simulator.tokens import count_tokens

USUAL_WINDOW = 4096
"""Tokens of context of who has not said how many."""
_LEVELS = ("low", "medium", "high", "max")
_PICTURES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}
S = TypeVar("S", bound=Struct)


class Options(Struct, frozen=True):
    """How an answer is made."""

    num_ctx: int | None = None
    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: list[str] | None = None


class Called(Struct):
    """What was called in an earlier turn; its arguments are an object."""

    name: str
    arguments: dict[str, Any]


class ToolCall(Struct):
    """A call of an earlier turn."""

    function: Called
    id: str | None = None


class Turn(Struct):
    """One message."""

    role: str
    content: str = ""
    images: list[str] | None = None
    thinking: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Asked(Struct):
    """What both endpoints of text have."""

    model: str
    stream: bool = True
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    options: Options = Options()
    truncate: bool = True
    shift: bool = True


class ChatAsked(Asked, kw_only=True):
    """A request to `/api/chat`."""

    messages: list[Turn]
    tools: list[Tool] | None = None


class GenerateAsked(Asked, kw_only=True):
    """A request to `/api/generate`."""

    prompt: str
    system: str = ""
    images: list[str] | None = None


class EmbedAsked(Struct):
    """A request to `/api/embed`."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    truncate: bool = True


class NamedModel(Struct):
    """A request to `/api/show`."""

    model: str


def read_chat(body: bytes) -> ChatAsk:
    """Return what `/api/chat` asks."""
    asked = _decode(body, ChatAsked)
    return _plan(asked, [_read_turn(turn) for turn in asked.messages], asked.tools)


def read_generate(body: bytes) -> ChatAsk:
    """Return what `/api/generate` asks, as a chat of one message."""
    asked = _decode(body, GenerateAsked)
    messages = [Message("system", asked.system)] if asked.system else []
    messages.append(_read_turn(Turn("user", asked.prompt, asked.images)))
    return _plan(asked, messages, None)


def read_embed(body: bytes) -> EmbeddingAsk:
    """Return what `/api/embed` asks."""
    asked = _decode(body, EmbedAsked)
    inputs: str | list[str | int | list[int]] = (
        asked.input if isinstance(asked.input, str) else [*asked.input]
    )
    return EmbeddingAsk(model=asked.model, input=inputs, dimensions=asked.dimensions)


def read_name(body: bytes) -> str:
    """Return the model that `/api/show` asks for."""
    return _decode(body, NamedModel).model


def _decode(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"json: cannot unmarshal: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("invalid character in the request's JSON") from None


def _plan(asked: Asked, messages: list[Message], tools: list[Tool] | None) -> ChatAsk:
    if isinstance(asked.think, str) and asked.think not in _LEVELS:
        _refuse(f"invalid think value: {asked.think[:40]!r}")
    limit = asked.options.num_predict
    return ChatAsk(
        model=asked.model,
        messages=_fit(messages, asked),
        max_tokens=limit if limit is not None and limit > 0 else None,
        stop=asked.options.stop,
        stream=asked.stream,
        stream_options=StreamOptions(include_usage=True),
        tools=tools,
        response_format=_read_format(asked.format),
    )


def _fit(messages: list[Message], asked: Asked) -> list[Message]:
    """Return what fits into the window: all of it, or what is left of it without a word."""
    window = asked.options.num_ctx or USUAL_WINDOW
    sizes = [count_tokens(message.text) for message in messages]
    if sum(sizes) <= window:
        return messages
    if not asked.truncate:
        raise InvalidRequest(
            "the input length exceeds the context length", code="context_length_exceeded"
        )
    kept, left = [messages[-1]], window - sizes[-1]
    for message, size in zip(messages[-2::-1], sizes[-2::-1], strict=True):
        left -= size
        if left < 0:
            break
        kept.insert(0, message)
    return kept


def _read_turn(turn: Turn) -> Message:
    if not turn.images:
        return Message(turn.role, turn.content)
    parts = [Part("text", turn.content), *[_read_picture(data) for data in turn.images]]
    return Message(turn.role, parts)


def _read_picture(data: str) -> Part:
    read_base64(data, "images")
    kind = next((kind for start, kind in _PICTURES.items() if data.startswith(start)), None)
    if kind is None:
        _refuse("Failed to create new sequence: failed to process inputs: unknown image format")
    return Part("image_url", image_url=ImageUrl(f"data:image/{kind};base64,{data}"))


def _read_format(wanted: str | dict[str, Any] | None) -> ResponseFormat | None:
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, dict):
        return ResponseFormat("json_schema", JsonSchema("answer", wanted))
    if wanted != "json":
        _refuse(f'invalid format: {wanted[:40]!r}; expected "json" or a valid JSON Schema object')
    return ResponseFormat("json_object")


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message)
