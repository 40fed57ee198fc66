"""
One chat request as no client and no provider writes it: what every translation goes through.

A client's dialect is read into it, a provider's is written from it, so that N and M of them need
N + M translations. Where both ends speak the same dialect nothing of this is made. JSON that means
the same everywhere (a schema, the arguments of a call) stays the bytes that came.

Source: wire-formats §1.2, §2.2, §3.1 and §3.2; tests/wire/contract_dialect.py.
"""

from typing import Literal

from msgspec import Raw, Struct, field

Role = Literal["system", "user", "assistant", "tool"]
"""`developer` is `system`; results of calls stand in messages of their own, as `tool`."""
Maker = Literal["anthropic", "gemini", "openai"]
"""Whose format a thought has, and so who can take it back."""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
NO_ARGUMENTS = "{}"
"""What a call without arguments has for its arguments, whoever wrote it how."""


class Text(Struct, frozen=True):
    """Words."""

    text: str
    cache_control: Raw | None = None
    """A mark of Anthropic's that what comes before may be cached; others pass it over."""
    citations: tuple["Citation", ...] = ()


class Image(Struct, frozen=True):
    """A picture: by its address, or its bytes in Base64 with their media type."""

    url: str | None = None
    media_type: str | None = None
    data: str | None = None
    detail: str | None = None
    cache_control: Raw | None = None


class File(Struct, frozen=True):
    """A document: by its address, the provider's id for it, its text, or its bytes in Base64."""

    url: str | None = None
    file_id: str | None = None
    text: str | None = None
    media_type: str | None = None
    data: str | None = None
    name: str | None = None
    cache_control: Raw | None = None


class Audio(Struct, frozen=True):
    """Sound, in Base64; `format` is such as `wav` or `mp3`."""

    data: str
    format: str


class Call(Struct, frozen=True):
    """
    One call of a tool that a model has asked for.

    `arguments` is the text of a JSON object, never empty. `signature` is what Gemini wants back
    with a call of its own.
    """

    id: str
    name: str
    arguments: str = NO_ARGUMENTS
    signature: str | None = None
    cache_control: Raw | None = None


class Result(Struct, frozen=True):
    """What a tool has answered to the call of that id."""

    call_id: str
    parts: tuple["Text | Image | File", ...]
    is_error: bool = False
    cache_control: Raw | None = None


class Thought(Struct, frozen=True):
    """
    What a model has thought before it spoke.

    `signature` proves to its maker that the text is its own. A redacted one has no text: all of
    it is in `signature`. `extra` is what the maker has said beside it, as its own JSON.
    """

    text: str
    maker: Maker
    signature: str | None = None
    is_redacted: bool = False
    extra: Raw | None = None


class Refusal(Struct, frozen=True):
    """Words by which a model has declined to answer."""

    text: str


Part = Text | Image | File | Audio | Call | Result | Thought | Refusal


class Citation(Struct, frozen=True):
    """Where words of an answer come from; positions are characters of the answer's text."""

    url: str | None = None
    title: str | None = None
    quoted: str | None = None
    start: int | None = None
    end: int | None = None
    raw: Raw | None = None
    """As the provider wrote it, for clients that speak its dialect."""
    maker: Maker | None = None
    """Who wrote `raw`."""


class Message(Struct, frozen=True):
    """One turn; adjacent messages of one role are possible, and are not merged."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(Struct, frozen=True):
    """A function that the model may call; `parameters` is a JSON schema, None: it takes none."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    is_strict: bool | None = None
    cache_control: Raw | None = None


class ToolChoice(Struct, frozen=True):
    """Which tools may or must be called; `names` bounds `auto` and `required` to some."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


class Format(Struct, frozen=True):
    """What the answer's text must be: any JSON object, or one that a schema describes."""

    schema: Raw | None = None
    name: str | None = None
    description: str | None = None
    is_strict: bool | None = None


class Reasoning(Struct, frozen=True):
    """
    How much is to be thought.

    Where a client has said `effort`, that; where it has said how many tokens, `budget_tokens`.
    `is_adaptive`: the model is to see for itself. `shows`: the thoughts are wanted, too.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    is_adaptive: bool = False
    shows: bool = True


class ChatRequest(Struct, frozen=True):
    """
    What is asked of a model, but for the model's name.

    None, an empty tuple and False all mean that the client has not said it. `extra` holds the
    top-level fields that its dialect does not know, byte-identical: a provider takes what is its
    own, by the provider's name for it, and names the rest as dropped.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    is_parallel: bool | None = None
    """Several calls in one turn are wanted."""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Raw | None = None
    log_probs: int | None = None
    """How many alternatives of each token are wanted with their log probabilities; 0: none
    beside the one that was chosen."""
    format: Format | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    service_tier: str | None = None
    streams: bool = False
    extra: dict[str, Raw] = field(default_factory=dict)
