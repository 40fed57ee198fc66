"""The shapes of requests in Gemini's format; what they mean is read by `gemini_ask.py`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.simulator.ask import MAX_CHOICES


class Strict(Struct, forbid_unknown_fields=True, rename="camel"):
    """An object whose names are all known."""


class Blob(Strict):
    """Bytes in Base64, and what they are."""

    mime_type: str
    data: str
    display_name: str | None = None


class FileData(Strict):
    """The address of a file."""

    file_uri: str
    mime_type: str | None = None


class FunctionCall(Strict):
    """A call that the model has made."""

    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class FunctionResponse(Strict):
    """What a function has answered."""

    name: str
    response: dict[str, Any]
    id: str | None = None
    parts: list["TurnPart"] | None = None


class TurnPart(Strict):
    """A part of a turn; one of its members says what it is."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Content(Strict):
    """A turn, or the system's words."""

    parts: Annotated[list[TurnPart], Meta(min_length=1)]
    role: str | None = None


class Declaration(Strict):
    """A function on offer."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None
    behavior: str | None = None
    response: dict[str, Any] | None = None


class ToolSet(Struct, rename="camel"):
    """What is on offer; only functions are read."""

    function_declarations: list[Declaration] | None = None


class CallingConfig(Strict):
    """Which functions may or must be called."""

    mode: str = "AUTO"
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    """How tools are used; only functions are read."""

    function_calling_config: CallingConfig | None = None


class ThinkingConfig(Strict):
    """How much is thought."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(Strict):
    """How the answer is to be."""

    candidate_count: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=5)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None
    media_resolution: str | None = None
    speech_config: Any = None
    image_config: Any = None


class GenerateAsked(Strict):
    """What is asked of `generateContent`."""

    contents: Annotated[list[Content], Meta(min_length=1)]
    system_instruction: Content | None = None
    generation_config: GenerationConfig = msgspec.field(default_factory=GenerationConfig)
    tools: list[ToolSet] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[dict[str, Any]] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None
    model: str | None = None


class CountAsked(Strict):
    """What is asked of `countTokens`."""

    contents: list[Content] | None = None
    generate_content_request: GenerateAsked | None = None


class Embedded(Strict):
    """One text to be made a vector of."""

    model: str
    content: Content
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: Annotated[int, Meta(ge=1, le=4096)] | None = None


class EmbedAsked(Strict):
    """What is asked of `batchEmbedContents`."""

    requests: Annotated[list[Embedded], Meta(min_length=1, max_length=2048)]
