"""
What `config.yaml` may say: every key with its type, its default and its meaning.

`validate.py` holds a file to it, `json_schema.py` publishes it for editors, and
docs/configuration.md prints it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from proxy.config.discovery_schema import DiscoveryEntry
from proxy.config.health_schema import HealthWorkerEntry
from proxy.config.key_schema import ApiKey
from proxy.config.provider_schema import NOT_IN_FORCE, SECRET, ProviderEntry, Section
from proxy.config.response_schema import ResponseStoreEntry
from proxy.config.value_types import (
    Bytes,
    ClientKey,
    Count,
    Host,
    HttpUrl,
    KeyHeaderName,
    Listen,
    ModelId,
    Name,
    Network,
    Origin,
    Rank,
    RedisUrl,
    Seconds,
    UpperCase,
    WaitSeconds,
    Weight,
)

LATER: dict[str, Any] = {NOT_IN_FORCE: True}


class ClocksEntry(Section):
    """How long to wait for what, in seconds; each provider may have its own."""

    connect_s: Seconds = Field(default=3.0, description="Seconds for a connection to open.")
    tls_s: Seconds = Field(default=5.0, description="Seconds for a TLS handshake.")
    headers_s: Seconds = Field(
        default=30.0, description="Streams: seconds from the request to the head of the answer."
    )
    first_token_s: Seconds = Field(
        default=60.0,
        description=(
            "Streams: seconds from the request to the first content. Local servers "
            "(`lm_studio`, `llama_cpp`, `ollama`, `vllm`) get 600 here and for `headers_s` "
            "unless set."
        ),
    )
    idle_s: Seconds = Field(
        default=60.0,
        description="Streams: seconds of silence between two events; comments do not count.",
    )
    total_s: Seconds = Field(default=1800.0, description="Streams: seconds for the whole answer.")
    answer_s: Seconds | None = Field(
        default=None,
        description=(
            "Answers that are not streamed: seconds for the whole answer; null stands for "
            "`request_timeout`."
        ),
    )
    commit_delay_s: Seconds = Field(
        default=10.0,
        description="Seconds of silence after which a stream's headers go out to the client.",
    )
    keep_alive_s: Seconds = Field(
        default=10.0, description="Seconds between keep-alive comments while a stream is silent."
    )
    request_head_s: Seconds = Field(
        default=10.0,
        description="Seconds a client may take for the first line and headers of a request.",
    )
    request_body_s: Seconds = Field(
        default=30.0,
        description=(
            "Seconds of silence within a request's body; a body that takes longer than that "
            "must come at `limits.min_body_bytes_per_s`, and within `request_timeout`."
        ),
    )
    write_stall_s: Seconds = Field(
        default=30.0,
        description="Seconds a client may leave what was written to it untouched.",
    )


class LimitsEntry(Section):
    """Bounds that protect this server."""

    max_event_bytes: Bytes = Field(
        default=16 * 1024 * 1024, description="The largest single event of a provider's stream."
    )
    max_answer_bytes: Bytes = Field(
        default=64 * 1024 * 1024, description="The largest answer that is not streamed."
    )
    max_stream_bytes: Bytes = Field(
        default=256 * 1024 * 1024, description="The largest streamed answer, over all its events."
    )
    max_upload_bytes: Bytes = Field(
        default=512 * 1024 * 1024,
        description="The largest form of audio, images or a file, which passes without being held.",
    )
    max_passed_answer_bytes: Bytes = Field(
        default=512 * 1024 * 1024,
        description="The largest answer that passes as it comes, such as speech or a file.",
    )
    max_form_start_bytes: Bytes = Field(
        default=26 * 1024 * 1024,
        description="How far into a form `model` may stand: so much of a file before it is held.",
    )
    min_body_bytes_per_s: Count = Field(
        default=1024,
        description="The least average speed of a request's body, after `clocks.request_body_s`.",
    )
    max_in_flight: Count = Field(
        default=2000, description="Requests at the same time per worker; more get 503."
    )
    max_key_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="The part of `max_in_flight` that one key may have under way, from 0 to 1.",
    )
    max_loop_lag_s: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None,
        description=(
            "Once the event loop of a worker stays later than this many seconds, such as 0.02, "
            "requests beyond what it can answer get 503; null: they do not."
        ),
    )
    max_client_connections: Count = Field(
        default=8192, description="Client connections per worker; more are reset."
    )
    max_connections_per_address: Count = Field(
        default=256,
        description=(
            "Connections from one client address per worker; loopback and `trusted_proxies` "
            "are not counted."
        ),
    )
    trusted_proxies: list[Network] = Field(
        default=[],
        description=(
            "Addresses or networks of reverse proxies in front of this server: many clients "
            "stand behind each, so their connections are not counted by address."
        ),
    )


class CondensationEntry(Section):
    """What is done with a request that is too long for its model."""

    max_tokens_default: Count = Field(
        default=512, description="Tokens that the condensed part may have.", json_schema_extra=LATER
    )
    error_keywords: list[str] = Field(
        default=["context_length_exceeded", "maximum context length"],
        description="Words of a provider's error that mean the request is too long.",
        json_schema_extra=LATER,
    )
    adaptive_factor: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="The share of the request that is kept.", json_schema_extra=LATER
    )
    cache_ttl: WaitSeconds = Field(
        default=300.0, description="Seconds a condensed text is kept.", json_schema_extra=LATER
    )


class TargetEntry(Section):
    """One model at one provider that a route may use."""

    provider: Name = Field(description="The provider's name.")
    model: ModelId = Field(description="The model, as that provider lists it.")
    weight: Weight = Field(
        default=1,
        description=(
            "Among equal priorities the target with the higher weight is first; with `weighted`, "
            "its share."
        ),
    )
    priority: Rank = Field(default=1, description="Targets with a lower number are tried first.")


class RouteEntry(Section):
    """A name that clients may ask for, and what stands behind it."""

    alias: ModelId = Field(description="The name that clients send as `model`.")
    targets: Annotated[list[TargetEntry], Field(min_length=1)] = Field(
        description="The deployments behind the name, at least one."
    )
    strategy: Literal["priority", "weighted", "least_latency", "least_cost"] = Field(
        default="priority",
        description="How targets of the same priority are ordered: docs/routing.md.",
    )
    fallbacks: list[ModelId] = Field(
        default=[],
        description="Names to try, in this order, when no target of this one is left.",
    )
    stream_failure: Literal["terminate", "buffered"] = Field(
        default="terminate",
        description=(
            "What becomes of a stream that breaks: it ends with an error. `buffered` holds it back "
            "until it is whole, so that another target can take over unseen."
        ),
    )


class ConfigFile(Section):
    """The configuration of LLM Proxy API: config.yaml."""

    app_name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        default="LLM Proxy API", description="The name this installation goes by."
    )
    app_version: Annotated[str, Field(max_length=100)] = Field(
        default="", description="The version `/health` reports; the program's own if empty."
    )
    debug: bool = Field(
        default=False, description="true logs at level DEBUG unless `log_level` is set."
    )
    host: Host = Field(default="127.0.0.1", description="The address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8000, description="The port to listen on; 0 takes a free one."
    )
    listen: Annotated[list[Listen], Field(min_length=1)] | None = Field(
        default=None,
        description=(
            "Addresses to listen on, as `host:port`, at each of them the same; goes before "
            "`host` and `port`."
        ),
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default=1,
        description=(
            "Worker processes. What `limits` and `max_connections` allow holds for each of them; "
            "rates of keys are divided by their number."
        ),
    )
    drain_timeout: Seconds = Field(
        default=600.0,
        description="Seconds that open requests may go on after the server was told to stop.",
    )
    drain_delay: WaitSeconds = Field(
        default=0.0,
        description=(
            "Seconds that connections are accepted after that, while `/health/readiness` says 503: "
            "time for a load balancer to notice."
        ),
    )
    api_keys: list[ApiKey] = Field(
        default=[],
        repr=False,
        description=(
            "The keys clients authenticate with, each a text or a section. With none, every "
            "request is refused."
        ),
        json_schema_extra=SECRET,
    )
    admin_keys: list[ClientKey] = Field(
        default=[],
        repr=False,
        description="Keys that may do everything, of at least 22 random characters.",
        json_schema_extra=SECRET,
    )
    api_key_header: KeyHeaderName = Field(
        default="X-API-Key", description="The header that is read beside `Authorization: Bearer`."
    )
    cors_origins: list[Origin] = Field(
        default=[],
        description='Web origins whose pages may call this API; `"*"` is any.',
    )
    metrics_auth: bool = Field(
        default=True, description="false lets loopback read `/metrics` without a key."
    )
    web_ui: bool = Field(
        default=False, description="true serves the web interface.", json_schema_extra=LATER
    )
    rate_limit_rpm: Count | None = Field(
        default=None,
        description="Requests per minute of a key without a limit of its own; null is none.",
    )
    rate_limit_window: Count = Field(
        default=60,
        description=(
            "Seconds over which `rate_limit_rpm` is averaged: 2000 and 120 are 4000 requests at "
            "once, which come back evenly."
        ),
    )
    request_timeout: Seconds = Field(
        default=300.0,
        description=(
            "Seconds for a request over all attempts; a stream is bound by it until its "
            "first content."
        ),
    )
    unsupported_params: Literal["drop", "error"] = Field(
        default="drop",
        description=(
            "What is done with a request's field that the chosen provider does not know: it is "
            "left out and named in `x-llm-proxy-dropped-params`, or the request is refused."
        ),
    )
    max_body_bytes: Bytes = Field(
        default=32 * 1024 * 1024, description="The largest request body that is accepted."
    )
    max_connections: Count | None = Field(
        default=None,
        description="Connections of one worker to all providers together; null is no limit.",
    )
    max_keepalive_connections: Count | None = Field(
        default=None,
        description="`max_keepalive_connections` of every provider that does not set its own.",
    )
    clocks: ClocksEntry = Field(default=ClocksEntry(), description="How long to wait for what.")
    limits: LimitsEntry = Field(
        default=LimitsEntry(), description="Bounds that protect this server."
    )
    circuit_breaker_threshold: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5,
        description="Failures in a row after which a deployment is left alone.",
    )
    circuit_breaker_timeout: Seconds = Field(
        default=60.0,
        description=(
            "Seconds a deployment is left alone the first time; twice as long each time it fails "
            "again, up to 300."
        ),
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], UpperCase] = (
        Field(default="INFO", description="The least level that is logged.")
    )
    log_file: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="The file the log is appended to; null is standard output."
    )
    health_check_interval: Seconds = Field(
        default=60.0,
        description=(
            "Seconds between two checks of a provider; servers of one's own are checked each 10, "
            "and while it is not clear how one stands, each 2."
        ),
    )
    health_check_cache_ttl: WaitSeconds = Field(
        default=30.0,
        description="Seconds after which what `/status` says of a provider is marked as old.",
    )
    health_check_timeout: Seconds = Field(
        default=5.0, description="Seconds a check of a provider may take."
    )
    health_worker: HealthWorkerEntry = Field(
        default=HealthWorkerEntry(), description="The process that checks providers."
    )
    provider_discovery_interval: Seconds = Field(
        default=300.0, description="Seconds between two searches for providers."
    )
    provider_registry_url: HttpUrl | None = Field(
        default=None,
        description="The URL of a JSON list of providers, which are added; null is none.",
    )
    discovery: DiscoveryEntry = Field(
        default=DiscoveryEntry(),
        description="Where providers are searched for besides, and what is allowed of them.",
    )
    condensation: CondensationEntry = Field(
        default=CondensationEntry(),
        description="What is done with a request that is too long for its model.",
        json_schema_extra=LATER,
    )
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="The database; null is a SQLite file in the state directory.",
        json_schema_extra={**LATER, **SECRET},
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        repr=False,
        description=(
            "The Redis in which workers and machines share their circuit breakers: `redis://`, "
            "`rediss://` (TLS) or `unix://`; null keeps them in the memory of each worker."
        ),
        json_schema_extra=SECRET,
    )
    response_store: ResponseStoreEntry = Field(
        default=ResponseStoreEntry(),
        description="What is kept of answers to `/v1/responses`.",
    )
    providers: list[ProviderEntry] = Field(
        default=[], description="The endpoints that requests can be sent to."
    )
    routes: list[RouteEntry] = Field(
        default=[], description="Names of your own for models, with their targets."
    )
    end_of_config: Literal[True] | None = Field(
        default=None,
        description="true as the file's last line: a file that was cut off is then noticed.",
    )
