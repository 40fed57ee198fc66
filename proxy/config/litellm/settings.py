"""LiteLLM's settings of the whole proxy -> our own of the top level."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.values import find_reference, is_plain, read_number
from proxy.config.schema import ConfigFile

SHORTEST_ADMIN_KEY = 22
_ROUTES = frozenset(
    (
        *("routing_strategy", "model_group_alias", "num_retries", "fallbacks"),
        *("default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks"),
    )
)
"""What `routes.py` and `targets.py` read."""
_READ = frozenset(
    (
        *("timeout", "request_timeout", "allowed_fails", "cooldown_time", "drop_params"),
        *("set_verbose", "debug_level", "redis_url", "redis_host", "redis_port"),
        *("redis_password", "redis_ssl", "redis_username", "redis_db"),
    )
)
_READ_GENERAL = frozenset(
    (
        *("master_key", "health_check_interval", "global_max_parallel_requests"),
        *("max_request_size_mb", "litellm_key_header_name"),
    )
)
_ALWAYS = frozenset(
    (
        *("json_logs", "turn_off_message_logging", "redact_user_api_key_info", "telemetry"),
        *("background_health_checks", "enable_pre_call_checks", "disable_error_logs"),
    )
)
"""What is so here anyway, whatever is set."""
_CALLBACKS = "there are no callbacks: docs/logs.md and docs/metrics.md have what is told"
_CACHE = "answers are not kept"
_DATABASE = "keys, teams, budgets and spend are not imported: make keys in api_keys"
_WHY: Mapping[str, str] = {
    **dict.fromkeys(("callbacks", "success_callback", "failure_callback"), _CALLBACKS),
    **dict.fromkeys(("service_callback", "alerting", "alerting_threshold"), _CALLBACKS),
    **dict.fromkeys(("cache", "cache_params", "cache_responses"), _CACHE),
    **dict.fromkeys(("database_url", "store_model_in_db"), _DATABASE),
    **dict.fromkeys(("max_budget", "budget_duration", "provider_budget_config"), "no budgets"),
    "ssl_verify": "certificates are always verified: name an authority of your own in ca_file",
    "stream_timeout": "set timeout of the providers",
    "retry_after": "set retry_delay of the providers",
    "retry_policy": "what is retried goes by the kind of the failure (docs/routing.md)",
    "allowed_fails_policy": "what counts goes by the kind of the failure (docs/routing.md)",
    "disable_cooldowns": "`llm-proxy breakers close` switches single circuit breakers off",
    "max_parallel_requests": "set limits.max_in_flight",
    "pass_through_endpoints": "no paths of one's own are passed through",
}


def join_settings(router: Mapping[str, Any], litellm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both sections; those of the router go before."""
    return {**litellm, **{name: value for name, value in router.items() if value is not None}}


def build_settings(
    router: Mapping[str, Any],
    litellm: Mapping[str, Any],
    general: Mapping[str, Any],
    notes: Notes,
) -> dict[str, Any]:
    """
    Return our settings of the top level, all of them valid; what has no counterpart is noted.

    Args:
        router: `router_settings`.
        litellm: `litellm_settings`.
        general: `general_settings`.
        notes: gets what has no counterpart.
    """
    joined = join_settings(router, litellm)
    built = {
        "admin_keys": _read_master_key(general.get("master_key"), notes),
        "api_key_header": general.get("litellm_key_header_name"),
        "request_timeout": _read_float(joined.get("timeout") or joined.get("request_timeout")),
        "unsupported_params": _read_drop(joined.get("drop_params")),
        "debug": True if joined.get("set_verbose") is True else None,
        "circuit_breaker_threshold": _read_int(joined.get("allowed_fails"), add=1),
        "circuit_breaker_timeout": _read_float(joined.get("cooldown_time")),
        "health_check_interval": _read_float(general.get("health_check_interval")),
        "max_body_bytes": _read_int(general.get("max_request_size_mb"), times=1024 * 1024),
        "redis_url": _read_redis(joined, notes),
    }
    in_flight = _read_int(general.get("global_max_parallel_requests"))
    if in_flight is not None:
        built["limits"] = {"max_in_flight": in_flight}
    known = _ROUTES | _READ | _ALWAYS
    notes.add_rest("router_settings", router, known, _WHY)
    notes.add_rest("litellm_settings", litellm, known, _WHY)
    notes.add_rest("general_settings", general, _READ_GENERAL | _ALWAYS, _WHY)
    return {
        name: value
        for name, value in built.items()
        if value is not None and _is_valid(name, value, notes)
    }


def _is_valid(name: str, value: object, notes: Notes) -> bool:
    try:
        ConfigFile.model_validate({name: value})
        is_valid = is_plain(value)
    except ValidationError:
        is_valid = False
    if not is_valid:
        notes.add(name, "what was set is not valid here, and was left out")
    return is_valid


def _read_master_key(key: object, notes: Notes) -> list[str] | None:
    place = "general_settings.master_key"
    variable = find_reference(key)
    if variable is not None:
        if variable != "LITELLM_MASTER_KEY":
            notes.add(place, f"set PROXY_API_ADMIN_KEYS to what {variable} holds")
        return None
    if not isinstance(key, str) or not key.strip():
        notes.add(place, "without api_keys or admin_keys every request is refused: make some")
        return None
    if len(key.strip()) < SHORTEST_ADMIN_KEY:
        notes.add(place, "is too short for an admin key: make one with `openssl rand -hex 32`")
        return None
    return [key.strip()]


def _read_redis(joined: Mapping[str, Any], notes: Notes) -> str | None:
    """Return the URL where all of it is known; else an operator must put it together."""
    url, host = joined.get("redis_url"), joined.get("redis_host")
    if url is None and host is None:
        return None
    notes.add("redis", "with redis_url the health worker is a service of its own: docs/health.md")
    secret = [joined.get(name) for name in ("redis_password", "redis_username")]
    if isinstance(url, str) and find_reference(url) is None:
        return url
    port = joined.get("redis_port")
    is_plain = isinstance(host, str) and find_reference(host) is None and secret == [None, None]
    if is_plain and find_reference(port) is None and not joined.get("redis_ssl"):
        return f"redis://{host}:{port or 6379}"
    notes.add("redis", "set PROXY_API_REDIS_URL, such as redis://:password@host:6379")
    return None


def _read_drop(value: object) -> str | None:
    return {True: "drop", False: "error"}[value] if isinstance(value, bool) else None


def _read_float(value: object) -> float | None:
    number = read_number(value)
    return None if number is None else float(number)


def _read_int(value: object, *, add: int = 0, times: int = 1) -> int | None:
    number = read_number(value)
    return None if number is None else int(number * times) + add
