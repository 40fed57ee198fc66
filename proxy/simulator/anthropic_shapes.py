"""The shapes of requests in Anthropic's format; what they mean is read by `anthropic_ask.py`."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from proxy.simulator.ask import Ask


class Source(Struct):
    """Where a picture or a document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class Block(Struct):
    """One block of a message's content; `type` says which fields it needs."""

    type: str
    text: str | None = None
    source: Source | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: "str | list[Block] | None" = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class Turn(Struct):
    """One message of a conversation."""

    role: str
    content: str | list[Block]

    @property
    def blocks(self) -> list[Block]:
        """The content as blocks, whichever way it was written."""
        if isinstance(self.content, str):
            return [Block("text", text=self.content)]
        return self.content


class OfferedTool(Struct):
    """A tool on offer; one with another `type` than `custom` runs at the provider."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    type: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(Struct):
    """Which tools may or must be called."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False


class OutputFormat(Struct):
    """What the answer's text must be."""

    type: str
    schema: dict[str, Any]


class OutputConfig(Struct):
    """How hard to work, and what the answer's text must be."""

    effort: str | None = None
    format: OutputFormat | None = None


class Prompt(Ask, forbid_unknown_fields=True, kw_only=True):
    """What an answer, or a count, is to be made of."""

    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[Block] | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: dict[str, Any] | None = None
    output_config: OutputConfig | None = None
    cache_control: dict[str, Any] | None = None


class CountAsked(Prompt, kw_only=True):
    """What is asked of `/v1/messages/count_tokens`."""


class MessagesAsked(Prompt, kw_only=True):
    """What is asked of `/v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=1)]
    stop_sequences: list[Annotated[str, Meta(min_length=1)]] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: float | None = None
    top_k: int | None = None
    service_tier: str | None = None
    speed: str | None = None
    container: Any = None
    inference_geo: Any = None
    diagnostics: Any = None
    context_management: Any = None
    mcp_servers: Any = None
