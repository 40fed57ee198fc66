"""What one entry of `providers:` may say, with its defaults."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from proxy.config.value_types import (
    ApiVersion,
    BaseUrl,
    CaFile,
    Count,
    HeaderValue,
    ModelId,
    Name,
    Network,
    Price,
    ProbePath,
    Rank,
    Seconds,
    SentHeaderName,
    Tokens,
    TypeName,
    UnquotedOff,
    VariableName,
    WaitSeconds,
    Weight,
)

NOT_IN_FORCE = "x-not-yet-in-force"
"""Marks a setting that is read and checked, but whose feature is not built yet."""
SECRET: dict[str, Any] = {"writeOnly": True}
"""Marks a setting that is shown to nobody; such a field has `repr=False` as well."""


class Section(BaseModel):
    """What all parts of the configuration have in common: strict types, no unknown key."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class ProviderClocksEntry(Section):
    """The clocks of one provider; what is not set here is as in the global `clocks`."""

    connect_s: Seconds | None = Field(
        default=None, description="Seconds for the connection to open."
    )
    tls_s: Seconds | None = Field(default=None, description="Seconds for the TLS handshake.")
    headers_s: Seconds | None = Field(
        default=None, description="Streams: seconds from the request to the head of the answer."
    )
    first_token_s: Seconds | None = Field(
        default=None, description="Streams: seconds from the request to the first content."
    )
    idle_s: Seconds | None = Field(
        default=None, description="Streams: seconds of silence between two events."
    )
    total_s: Seconds | None = Field(
        default=None, description="Streams: seconds for the whole answer."
    )
    answer_s: Seconds | None = Field(
        default=None, description="Answers that are not streamed: seconds for the whole answer."
    )


class ModelInfoEntry(Section):
    """What is known of one model at one provider."""

    max_input_tokens: Tokens | None = Field(
        default=None, description="Tokens that a prompt may have there."
    )
    input_usd_per_million_tokens: Price | None = Field(
        default=None,
        description="Price of a million tokens of prompts, in US dollars with up to six decimals.",
    )
    output_usd_per_million_tokens: Price | None = Field(
        default=None, description="Price of a million tokens of answers."
    )


class ProviderEntry(Section):
    """One company's or server's endpoint."""

    name: Name = Field(description="What this provider is called in routes, logs and metrics.")
    type: TypeName = Field(
        description=(
            "What kind of provider it is; docs/providers.md lists the types, and packages may "
            "bring others."
        )
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description=(
            "Where it is. The type's own address if not set; `/v1` is added to an address "
            "without a path where the type needs it."
        ),
    )
    private_networks: list[Network] = Field(
        default=[],
        description=(
            "Networks that are not public but that the host name in `base_url` may lead to, "
            "such as `10.0.0.0/8`. Not needed for `localhost` or an address in `base_url`."
        ),
    )
    api_key: str | None = Field(
        default=None,
        repr=False,
        description=(
            "The provider's key, or `${VARIABLE}` to read it from the environment. "
            "`api_key_env` keeps keys out of the file."
        ),
        json_schema_extra=SECRET,
    )
    api_key_env: VariableName | None = Field(
        default=None,
        description=(
            "The environment variable that holds the provider's key. Without it the "
            "variables of the type are tried, such as PROXY_API_OPENAI_API_KEY, then "
            "OPENAI_API_KEY."
        ),
    )
    api_version: ApiVersion | None = Field(
        default=None,
        description=(
            "The version of its API, such as `2024-10-21`, for the types that have several: "
            "`anthropic`, `gemini` and `azure`."
        ),
    )
    auth: Literal["header", "bearer"] | None = Field(
        default=None,
        description=(
            "How the key is sent by the types that know two ways, `anthropic`, `gemini` and "
            "`azure`: in a header of their own, or as `Authorization: Bearer`."
        ),
    )
    min_context_tokens: Tokens = Field(
        default=8192,
        description=(
            "The window of context that `ollama` is asked for at least, in tokens; it is doubled "
            "until a request and its answer fit."
        ),
    )
    max_context_tokens: Tokens = Field(
        default=131_072,
        description=(
            "The window that `ollama` is asked for at most, whatever a request holds or asks for; "
            "`max_input_tokens` of the model's `model_info` goes before it where it is lower."
        ),
    )
    models: list[ModelId] = Field(
        default=[],
        description='The models it serves; `"*"` stands for any model.',
    )
    model_info: dict[ModelId, ModelInfoEntry] = Field(
        default={},
        description="What is known of its models, by model: for `least_cost` and for fallbacks.",
    )
    enabled: bool = Field(default=True, description="false takes the provider out of service.")
    priority: Rank = Field(
        default=1, description="Providers with a lower number are tried first for a model."
    )
    weight: Weight = Field(
        default=1,
        description="Among equal priorities the provider with the higher weight is first.",
    )
    timeout: Seconds | None = Field(
        default=None,
        description=(
            "Seconds to the head of a stream, to its first content and between its events: "
            "sets the three clocks at once."
        ),
    )
    clocks: ProviderClocksEntry = Field(
        default=ProviderClocksEntry(),
        description="Single clocks of this provider, which go before `timeout`.",
    )
    max_retries: Annotated[int, Field(ge=0, le=20)] = Field(
        default=3,
        description=(
            "How often a failed request is repeated at the same deployment, where no other is left."
        ),
    )
    retry_delay: WaitSeconds = Field(
        default=1.0,
        description=(
            "The longest wait before the first repetition, in seconds; twice as long before each "
            "later one. A provider's own `Retry-After` goes before it."
        ),
    )
    max_connections: Count | None = Field(
        default=None, description="Connections to this provider at the same time; null is no limit."
    )
    max_keepalive_connections: Count | None = Field(
        default=None,
        description="Idle connections that are kept open; null is no limit of its own.",
    )
    keepalive_timeout: Seconds | None = Field(
        default=None,
        description="Seconds an idle connection is kept, at most 15; null stands for 15.",
    )
    keepalive_expiry: Seconds | None = Field(
        default=None, description="Another name of `keepalive_timeout`."
    )
    headers: dict[SentHeaderName, HeaderValue] = Field(
        default={},
        repr=False,
        description="Headers that are added to each request to this provider.",
        json_schema_extra=SECRET,
    )
    files_organization: Name | None = Field(
        default=None,
        description=(
            "The organization whose keys may use the files and batches in its account; null: those "
            "of any, as long as all keys are of one organization."
        ),
    )
    transport: Literal["httptools", "aiohttp"] = Field(
        default="httptools",
        description=(
            "The implementation that carries the bytes: our own, or aiohttp's, which needs more "
            "CPU."
        ),
    )
    ca_file: CaFile | None = Field(
        default=None,
        description=(
            "A PEM file with certificates to trust besides the system's, for a provider behind an "
            "authority of your own, by its absolute path. New connections go by what it holds then."
        ),
    )
    proxy: str | None = Field(
        default=None,
        repr=False,
        description=(
            "The proxy that it is asked through, as `http://user:password@host:port`, or "
            "`${VARIABLE}` to read it from the environment; needs `transport: aiohttp`."
        ),
        json_schema_extra=SECRET,
    )
    probe: Annotated[Literal["free", "completion", "off"], UnquotedOff] = Field(
        default="free",
        description=(
            "How the health worker checks it: by what costs no tokens, by a completion of one "
            "token (needs `probe_max_usd_per_day`), or not at all."
        ),
    )
    probe_path: ProbePath | None = Field(
        default=None,
        description="The path behind `base_url` that is asked instead of its type's own.",
    )
    probe_max_usd_per_day: Price | None = Field(
        default=None,
        description=(
            "What checks by `probe: completion` may cost in 24 hours, in US dollars, at the prices "
            "of `model_info`."
        ),
    )
