"""
Reads a client's request body as the simulator understands it, and refuses bad ones.

One type per operation; fields that are not here are ignored, as real providers ignore
what they do not know. No answer is made here.
"""

import base64
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.knobs import Knobs

MAX_CHOICES = 128
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")

_Text = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]
_Limit = Annotated[int, Meta(ge=1)]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_Stop = str | Annotated[list[str], Meta(max_length=4)]
_Inputs = str | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=2048)]


class ImageUrl(Struct):
    """A picture: by its address, or all of it in a `data:` URL."""

    url: str


class Part(Struct):
    """One part of a message's content; of pictures it is only said what they are."""

    type: str
    text: str | None = None
    image_url: ImageUrl | None = None

    @property
    def seen(self) -> str:
        """What a picture is, without showing it; "" for other parts."""
        if self.image_url is None:
            return ""
        head, comma, data = self.image_url.url.partition(",")
        if not (comma and head.startswith("data:")):
            return self.image_url.url
        media_type = head.removeprefix("data:").partition(";")[0]
        return f"{media_type} of {len(read_base64(data, 'messages'))} bytes"


class Message(Struct):
    """One message of a conversation."""

    role: _Text
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """All text of the message; parts that are no text leave nothing."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join([part.text for part in self.content if part.text])


class StreamOptions(Struct):
    """What a stream is to carry besides the answer."""

    include_usage: bool | None = None


class Function(Struct):
    """A function that the model may call."""

    name: _Text
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    """A tool on offer; `function` is None for tools that are no functions."""

    type: str
    function: Function | None = None


class JsonSchema(Struct):
    """The schema that an answer must fit."""

    name: str
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    """How the answer is to be written: `text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class Ask(Struct):
    """What requests of every operation have."""

    model: _Text
    metadata: dict[str, Any] | None = None


class TextAsk(Ask):
    """What chat and legacy completions share."""

    n: _Count | None = None
    max_tokens: _Limit | None = None
    stop: _Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: _Temperature | None = None

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer, none of them empty."""
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        return tuple(text for text in stop if text)

    @property
    def wants_usage(self) -> bool:
        """The client wants the usage chunk at the end of the stream."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatAsk(TextAsk, kw_only=True):
    """A request to `/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: _Limit | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None

    @property
    def limit_tokens(self) -> int | None:
        """The most tokens that one choice may have; the newer field wins."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def last_user_text(self) -> str:
        """The text of the last message of the user, "" if there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    @property
    def seen(self) -> list[str]:
        """What the pictures of all messages are, in their order."""
        parts = [
            part
            for message in self.messages
            if message.content is not None and not isinstance(message.content, str)
            for part in message.content
        ]
        return [part.seen for part in parts if part.seen]


class CountAsk(Ask, kw_only=True):
    """A request to count the tokens of a prompt."""

    texts: list[str]


class CompletionAsk(TextAsk, kw_only=True):
    """A request to `/completions`."""

    prompt: _Inputs
    echo: bool | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        """Each prompt as text; token ids are written as `<id>`."""
        return read_inputs(self.prompt, "prompt")


class EmbeddingAsk(Ask, kw_only=True):
    """A request to `/embeddings`."""

    input: _Inputs
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None
    encoding_format: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Each input as text; token ids are written as `<id>`."""
        return read_inputs(self.input, "input")


A = TypeVar("A", bound=Ask)


def parse_ask(body: bytes, kind: type[A]) -> A:
    """Return the request in `body`; InvalidRequest says which field is wrong."""
    try:
        ask = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _refuse(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    if isinstance(ask, TextAsk) and ask.stream_options is not None and not ask.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    return ask


def parse_request_knobs(ask: Ask) -> Knobs:
    """Return the knobs of the request's `metadata.sim`."""
    try:
        return msgspec.convert((ask.metadata or {}).get("sim") or {}, Knobs)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"'metadata.sim': {error}.", param="metadata.sim") from None


def read_inputs(value: str | list[str | int | list[int]], param: str) -> tuple[str, ...]:
    """Return what `prompt` and `input` may be (text, texts, token ids, lists of them) as texts."""
    if isinstance(value, str):
        return (value,)
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) == len(value):
        return tuple(texts)
    ids = [item for item in value if isinstance(item, int)]
    if len(ids) == len(value):
        return (_write_ids(ids),)
    lists = [item for item in value if isinstance(item, list)]
    if len(lists) == len(value):
        return tuple([_write_ids(item) for item in lists])
    raise InvalidRequest(
        f"'{param}' mixes texts, token ids and lists; send one kind only.", param=param
    )


def read_base64(text: str, param: str) -> bytes:
    """Return the bytes that `text` stands for."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequest(f"'{param}' holds bytes that are no Base64.", param=param) from None


def _write_ids(ids: list[int]) -> str:
    return " ".join([f"<{number}>" for number in ids])


def _refuse(text: str) -> InvalidRequest:
    path = _PATH.search(text)
    missing = _MISSING.search(text)
    names = [path[1]] if path is not None and path[1] else []
    if missing is not None:
        names.append(missing[1])
    param = ".".join(names) or None
    where = f" at '{param}'" if param else ""
    return InvalidRequest(f"Invalid request{where}: {_PATH.sub('', text)}.", param=param)
