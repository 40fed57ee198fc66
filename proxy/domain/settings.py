"""Settings that a running server works by, already validated; `config/` makes them."""

from msgspec import Struct

from proxy.domain.breaker import BreakerRules
from proxy.domain.discovery import DiscoverySettings
from proxy.domain.health import HealthSettings


class Clocks(Struct, frozen=True):
    """
    How long to wait for what, in seconds.

    Streams: `headers_s` to the response head, `first_token_s` to the first content,
    `idle_s` between two events (comments do not count), `total_s` over all.
    Non-streams have one clock, `answer_s`.
    """

    connect_s: float = 3.0
    tls_s: float = 5.0
    headers_s: float = 30.0
    first_token_s: float = 60.0
    idle_s: float = 60.0
    total_s: float = 1800.0
    answer_s: float = 300.0

    def to_content_s(self, streams: bool) -> float:
        """Return how long an attempt may take by these until it has something to show."""
        return max(self.headers_s, self.first_token_s) if streams else self.answer_s


class ClientClocks(Struct, frozen=True):
    """
    How long a client may take, in seconds.

    `head_s` from the first byte of a request (of a new connection: from its opening) to the
    end of the request's head. `body_s` is the longest silence within a body; a body must
    also come at `Settings.min_body_bytes_per_s` once it has taken longer than that, and
    within `request_timeout_s`. `write_stall_s` is how long a client may leave what we have
    written to it untouched.
    """

    head_s: float = 10.0
    body_s: float = 30.0
    write_stall_s: float = 30.0


class RateLimit(Struct, frozen=True):
    """At most `requests` at once, which come back evenly over `window_s` seconds."""

    requests: int
    window_s: float


class PoolLimits(Struct, frozen=True):
    """Connections to one provider; None is no limit."""

    max_connections: int | None = None
    max_keepalive_connections: int | None = None
    keepalive_s: float = 15.0


class Settings(Struct, frozen=True):
    """What may change while the server runs; a snapshot carries it."""

    request_timeout_s: float = 300.0
    commit_delay_s: float = 10.0
    keep_alive_s: float = 10.0
    max_body_bytes: int = 32 * 1024 * 1024
    max_event_bytes: int = 16 * 1024 * 1024
    max_answer_bytes: int = 64 * 1024 * 1024
    max_stream_bytes: int = 256 * 1024 * 1024
    max_upload_bytes: int = 512 * 1024 * 1024
    max_passed_answer_bytes: int = 512 * 1024 * 1024
    max_form_start_bytes: int = 26 * 1024 * 1024
    """How far into a form its field `model` is looked for."""
    client_clocks: ClientClocks = ClientClocks()
    min_body_bytes_per_s: int = 1024
    max_in_flight: int = 2000
    max_client_connections: int = 8192
    max_connections_per_address: int = 256
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose addresses are not counted: many clients stand behind each."""
    rate_limit: RateLimit | None = None
    """Of every key that has none of its own; None is no limit."""
    api_key_header: str = "X-API-Key"
    cors_origins: tuple[str, ...] = ()
    metrics_auth: bool = True
    app_name: str = "LLM Proxy API"
    app_version: str = ""
    breaker: BreakerRules = BreakerRules()
    health: HealthSettings = HealthSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    max_key_share: float = 1.0
    """The part of `max_in_flight` that one key may have under way."""
    max_loop_lag_s: float | None = None
    """Requests beyond a ceiling are refused while the event loop stays later; None: none are."""
    refuses_unsupported: bool = False
    """A field that the provider does not know is an error; else it is left out and named."""


class InstallSettings(Struct, frozen=True):
    """What needs a restart to change."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 8000),)
    workers: int = 1
    state_dir: str = ".state"
    log_level: str = "INFO"
    log_file: str | None = None
    max_connections: int | None = None
    """Connections of one worker to all providers together; None is no limit."""
    database_url: str | None = None
    redis_url: str | None = None
    debug: bool = False
    drain_timeout_s: float = 600.0
    """How long open requests may go on once the server has been told to stop."""
    drain_delay_s: float = 0.0
    """How long connections are still accepted after that, while readiness says 503."""
    health_worker: bool = True
    """Without Redis, start one as a part of this service."""
    health_listen: tuple[str, int] | None = ("127.0.0.1", 8001)
    """Where the health worker serves its own API; None: nowhere."""
    response_ttl_s: float = 3600.0
    """How long answers of the Responses API are kept."""
    max_response_bytes: int = 64 * 1024 * 1024
    """How much of them one worker keeps in its memory."""
