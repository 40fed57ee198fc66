"""
Every metric there is: name, kind, labels and meaning, as `docs/metrics.md` prints them.

Nothing is counted here; `metrics.py` does that. A test holds the document to this table.
"""

from typing import Literal

from msgspec import Struct

NONE = "none"
"""Label of a request that never reached a provider."""
OTHER = "other"
"""Label of a value that is in none of the known sets: it keeps their number bounded."""

DURATION_BUCKETS_S = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip


class Metric(Struct, frozen=True):
    """One family of numbers. A gauge is merged over the workers by `merge`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    merge: Literal["livesum", "livemax", "livemin"] = "livesum"

    @property
    def family(self) -> str:
        """The name without a counter's `_total`, as the exposition format calls the family."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


REQUESTS = Metric(
    "llm_proxy_requests_total",
    "counter",
    ("provider", "endpoint", "status"),
    "Requests, by the provider that was tried last and the status that the client saw.",
)
ERRORS = Metric(
    "llm_proxy_errors_total",
    "counter",
    ("provider", "error_type"),
    "Attempts at a provider that failed, by the public code of the error.",
)
TOKENS = Metric(
    "llm_proxy_tokens_total",
    "counter",
    ("provider", "operation"),
    "Tokens as reported by the provider, else estimated: prompt, completion, cached or reasoning.",
)
REQUEST_DURATION = Metric(
    "llm_proxy_request_duration_seconds",
    "histogram",
    ("provider", "endpoint"),
    "Time from a request's head to the end of its answer, as the client saw it.",
)
RESPONSE_TIME = Metric(
    "llm_proxy_response_time_seconds",
    "histogram",
    ("provider",),
    "Time from dispatching an attempt to its response head, or to its failure without one.",
)
ACTIVE_CONNECTIONS = Metric(
    "llm_proxy_active_connections",
    "gauge",
    ("provider",),
    "Attempts that are under way at a provider now.",
)
BREAKER_STATE = Metric(
    "llm_proxy_circuit_breaker_state",
    "gauge",
    ("provider",),
    "Worst circuit breaker of a provider: 0 closed, 1 open, 2 half-open.",
    merge="livemax",
)
BREAKER_CHANGES = Metric(
    "llm_proxy_breaker_changes_total",
    "counter",
    ("provider", "state"),
    "Circuit breakers of a provider that went into a state; workers that share them all count.",
)
REDIS_UP = Metric(
    "llm_proxy_redis_up",
    "gauge",
    (),
    "1 while every worker uses Redis, 0 while one does without; absent where none is configured.",
    merge="livemin",
)
REDIS_ERRORS = Metric(
    "llm_proxy_redis_errors_total",
    "counter",
    (),
    "Connections to Redis and calls of it that failed or took too long.",
)
EGRESS_DOWN = Metric(
    "llm_proxy_egress_down",
    "gauge",
    (),
    "1 while this machine itself looks cut off: no provider can be reached, and none is blamed.",
    merge="livemax",
)
HEALTH_CACHE_SIZE = Metric(
    "llm_proxy_health_check_cache_size",
    "gauge",
    (),
    "Health verdicts held in memory.",
    merge="livemax",
)
PROVIDER_HEALTH = Metric(
    "llm_proxy_provider_health",
    "gauge",
    ("provider",),
    "What the health worker says of a provider: 0 healthy, 1 unknown, 2 degraded, 3 rate_limited, "
    "4 warming, 5 key_rejected, 6 unhealthy; absent until it has said something.",
    merge="livemax",
)
HEALTH_CHANGES = Metric(
    "llm_proxy_health_changes_total",
    "counter",
    ("provider", "state"),
    "Verdicts of the health worker on a provider that went into a state; all workers count.",
)
ATTEMPTS = Metric(
    "llm_proxy_attempts_total",
    "counter",
    ("provider", "outcome"),
    "Attempts at a provider, by outcome: ok, client_closed or the public code of the error.",
)
FAILOVERS = Metric(
    "llm_proxy_failovers_total",
    "counter",
    ("from", "to", "reason"),
    "Attempts that went elsewhere than to the deployment before, by why that one did not do.",
)
RETRIES = Metric(
    "llm_proxy_retries_total",
    "counter",
    ("provider",),
    "Attempts that asked the deployment once more that had just failed.",
)
TIME_TO_FIRST_TOKEN = Metric(
    "llm_proxy_time_to_first_token_seconds",
    "histogram",
    ("provider", "model"),
    "Time from a request's head to the first content of its streamed answer.",
)
MODEL_DURATION = Metric(
    "llm_proxy_model_duration_seconds",
    "histogram",
    ("provider", "model"),
    "Time of a successful attempt, from dispatch to the end of the answer.",
)
LOG_LINES_DROPPED = Metric(
    "llm_proxy_log_lines_dropped_total",
    "counter",
    (),
    "Log lines that were lost: their target was blocked or failed, or they could not be made.",
)
ANOMALIES = Metric(
    "llm_proxy_anomalies_total",
    "counter",
    ("provider", "kind"),
    "Odd answers that were mended or set aside: utf8_replaced, usage_anomaly.",
)
CONNECTION_FAULTS = Metric(
    "llm_proxy_connection_faults_total",
    "counter",
    ("kind",),
    "Client connections that were refused or closed by us: connection_rejected, "
    "write_stall, head_timeout, invalid_http.",
)
CONNECTIONS_HANDED_OVER = Metric(
    "llm_proxy_connections_handed_over_total",
    "counter",
    ("reason",),
    "Client connections that left the fast path for good: route, head, pipelined.",
)
LOOP_BLOCKED = Metric(
    "llm_proxy_loop_blocked_total",
    "counter",
    (),
    "How often a worker's event loop did not turn for more than a second: a fault of ours.",
)
LOOP_LAG = Metric(
    "llm_proxy_loop_lag_seconds",
    "histogram",
    (),
    "By how much the event loops of the workers were late, measured 40 times a second in each.",
)
REQUESTS_SHED = Metric(
    "llm_proxy_requests_shed_total",
    "counter",
    ("reason",),
    "Requests refused with 503 for want of a place: full, key_share, late.",
)
TASKS = Metric(
    "llm_proxy_tasks",
    "gauge",
    (),
    "Tasks of the workers' event loops, counted every 5 s; it goes back to where it was at rest.",
)
CONFIG_GENERATION = Metric(
    "llm_proxy_config_generation",
    "gauge",
    (),
    "Number of the configuration that is served; it grows with each that is accepted.",
    merge="livemax",
)
CONFIG_RELOADS = Metric(
    "llm_proxy_config_reloads_total",
    "counter",
    ("result",),
    "Times the configuration was read anew: applied, unchanged, rejected or guarded.",
)
WORKERS_READY = Metric(
    "llm_proxy_workers_ready",
    "gauge",
    (),
    "Workers that take new requests.",
    merge="livemax",
)
WORKER_RESTARTS = Metric(
    "llm_proxy_worker_restarts_total",
    "counter",
    ("reason",),
    "Workers that were replaced: died, unresponsive or asked.",
)
BUILD_INFO = Metric(
    "llm_proxy_build_info",
    "gauge",
    ("version",),
    "Always 1; the label tells the version that is running.",
    merge="livemax",
)

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    ERRORS,
    TOKENS,
    REQUEST_DURATION,
    RESPONSE_TIME,
    ACTIVE_CONNECTIONS,
    BREAKER_STATE,
    BREAKER_CHANGES,
    REDIS_UP,
    REDIS_ERRORS,
    EGRESS_DOWN,
    HEALTH_CACHE_SIZE,
    PROVIDER_HEALTH,
    HEALTH_CHANGES,
    ATTEMPTS,
    FAILOVERS,
    RETRIES,
    TIME_TO_FIRST_TOKEN,
    MODEL_DURATION,
    LOG_LINES_DROPPED,
    ANOMALIES,
    CONNECTION_FAULTS,
    CONNECTIONS_HANDED_OVER,
    LOOP_BLOCKED,
    LOOP_LAG,
    REQUESTS_SHED,
    TASKS,
    CONFIG_GENERATION,
    CONFIG_RELOADS,
    WORKERS_READY,
    WORKER_RESTARTS,
    BUILD_INFO,
)
