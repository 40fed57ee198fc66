"""The shapes of requests in Cohere's format; what they mean is read by `cohere_ask.py`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class Strict(Struct, forbid_unknown_fields=True):
    """An object whose names are all known."""


class ImageUrl(Strict):
    """A picture by its address, or all of it in a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Document(Strict):
    """A document that the model may cite."""

    data: dict[str, Any] | str
    id: str | None = None


class Block(Strict):
    """A part of a message; its type says which of the others it has."""

    type: Literal["text", "image_url", "thinking", "document"]
    text: str | None = None
    image_url: ImageUrl | None = None
    thinking: str | None = None
    document: Document | None = None


class CalledFunction(Strict):
    """What was called, its arguments as text."""

    name: str
    arguments: str


class Called(Strict):
    """A call that the model has made."""

    id: Annotated[str, Meta(min_length=1)]
    type: Literal["function"]
    function: CalledFunction


class CohereMessage(Strict):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system", "tool"]
    content: str | list[Block] | None = None
    tool_plan: str | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None
    citations: list[dict[str, Any]] | None = None


class Declared(Strict):
    """A function on offer; without a schema it is none."""

    name: Annotated[str, Meta(min_length=1)]
    parameters: dict[str, Any]
    description: str | None = None


class ToolOffer(Strict):
    """A tool on offer."""

    type: Literal["function"]
    function: Declared


class ResponseFormat(Strict):
    """What the answer must be."""

    type: Literal["text", "json_object"]
    json_schema: dict[str, Any] | None = None


class Thinking(Strict):
    """Whether and how much is thought."""

    type: Literal["enabled", "disabled"]
    token_budget: Annotated[int, Meta(ge=1)] | None = None


class CitationOptions(Strict):
    """How sources are told."""

    mode: Literal["ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF"] | None = None


_Penalty = Annotated[float, Meta(ge=0, le=1)]


class ChatAsked(Strict):
    """What is asked of `/v2/chat`."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[CohereMessage], Meta(min_length=1)]
    stream: bool = False
    tools: list[ToolOffer] | None = None
    strict_tools: bool | None = None
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    documents: list[Document | str] | None = None
    citation_options: CitationOptions | None = None
    response_format: ResponseFormat | None = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    k: Annotated[int, Meta(ge=0, le=500)] | None = None
    p: Annotated[float, Meta(ge=0.01, le=0.99)] | None = None
    logprobs: bool | None = None
    thinking: Thinking | None = None
    priority: int | None = None


class EmbedAsked(Strict):
    """What is asked of `/v2/embed`."""

    model: Annotated[str, Meta(min_length=1)]
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    texts: Annotated[list[str], Meta(min_length=1, max_length=96)]
    embedding_types: Annotated[list[Literal["float"]], Meta(min_length=1, max_length=1)]
    output_dimension: Annotated[int, Meta(ge=1, le=4096)] | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    max_tokens: int | None = None
    priority: int | None = None
