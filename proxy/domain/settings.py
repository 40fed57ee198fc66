"""Settings that a running server works by, already validated; `config/` makes them."""

from msgspec import Struct


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
    api_key_header: str = "X-API-Key"
    cors_origins: tuple[str, ...] = ()
    metrics_auth: bool = True
    app_name: str = "LLM Proxy API"
    app_version: str = ""


class InstallSettings(Struct, frozen=True):
    """What needs a restart to change."""

    listen: tuple[tuple[str, int], ...] = (("127.0.0.1", 8000),)
    workers: int = 1
    state_dir: str = ".state"
    log_level: str = "INFO"
    log_file: str | None = None
    max_connections: int | None = None
    database_url: str | None = None
    redis_url: str | None = None
    debug: bool = False
