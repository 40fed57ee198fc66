"""The shapes of a request to OpenAI's Responses API; what is not here is refused, as there."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from proxy.simulator.ask import Ask

_Limit = Annotated[int, Meta(ge=1)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Temperature = Annotated[float, Meta(ge=0, le=2)]


class SaidPart(Struct):
    """One part of what somebody has said."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class SaidItem(Struct):
    """One item of the input."""

    type: str | None = None
    role: str | None = None
    content: str | list[SaidPart] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[SaidPart] | None = None
    summary: list[SaidPart] | None = None
    encrypted_content: str | None = None


class OfferedFunction(Struct):
    """A tool on offer; of tools that are no functions only the type is looked at."""

    type: str
    name: str | None = None
    parameters: dict[str, Any] | None = None


class Format(Struct):
    """How the answer is to be written; a schema stands in it, not below it."""

    type: str = "text"
    name: str | None = None
    schema: dict[str, Any] | None = None


class TextOptions(Struct):
    """What `text` says."""

    format: Format | None = None
    verbosity: str | None = None


class ReasoningOptions(Struct):
    """What `reasoning` says."""

    effort: str | None = None
    summary: str | None = None


class CountAsked(Ask, kw_only=True, forbid_unknown_fields=True):
    """A request to `/responses/input_tokens`."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    conversation: Any = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    truncation: str | None = None


class ResponseAsked(Ask, kw_only=True, forbid_unknown_fields=True):
    """A request to `/responses`."""

    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    background: bool | None = None
    context_management: Any = None
    conversation: Any = None
    include: list[str] | None = None
    max_output_tokens: _Limit | None = None
    max_tool_calls: int | None = None
    moderation: Any = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning: ReasoningOptions | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: Any = None
    temperature: _Temperature | None = None
    text: TextOptions | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: _Share | None = None
    truncation: str | None = None
    user: str | None = None
