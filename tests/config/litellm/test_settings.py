"""Settings of the whole proxy."""

from typing import Any

import pytest

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.settings import build_settings, join_settings

GOOD_KEY = "sk-a-master-key-of-more-than-22"


def build(
    router: dict[str, Any], general: dict[str, Any], **litellm: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return our settings and the notes."""
    notes = Notes()
    general = {"master_key": GOOD_KEY, **general}
    built = build_settings(router, litellm, general, notes)
    if built.get("admin_keys") == [GOOD_KEY]:
        del built["admin_keys"]
    return built, notes.lines


def test_the_routers_settings_go_before() -> None:
    """Of a setting that stands in both sections the router's counts, unless it is null."""
    assert join_settings({"a": 1, "b": None}, {"a": 2, "b": 3}) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("router", "general", "litellm", "ours"),
    [
        ({"timeout": 30}, {}, {"request_timeout": 60}, {"request_timeout": 30.0}),
        ({}, {}, {"request_timeout": 60}, {"request_timeout": 60.0}),
        ({}, {}, {"drop_params": False}, {"unsupported_params": "error"}),
        ({}, {}, {"set_verbose": True, "json_logs": True}, {"debug": True}),
        ({"allowed_fails": 3}, {}, {}, {"circuit_breaker_threshold": 4}),
        ({"cooldown_time": 5}, {}, {}, {"circuit_breaker_timeout": 5.0}),
        ({}, {"max_request_size_mb": 2}, {}, {"max_body_bytes": 2097152}),
        ({}, {"global_max_parallel_requests": 9}, {}, {"limits": {"max_in_flight": 9}}),
        ({"num_retries": 3}, {"litellm_key_header_name": "X-K"}, {}, {"api_key_header": "X-K"}),
    ],
)
def test_what_has_a_counterpart(
    router: dict[str, Any], general: dict[str, Any], litellm: dict[str, Any], ours: dict[str, Any]
) -> None:
    """Each becomes a setting of ours, and needs no note."""
    assert build(router, general, **litellm) == (ours, ())


@pytest.mark.parametrize(
    ("key", "keys", "word"),
    [
        (GOOD_KEY, [GOOD_KEY], ""),
        ("sk-1234", None, "too short"),
        ("os.environ/LITELLM_MASTER_KEY", None, ""),
        ("os.environ/MY_KEY", None, "set PROXY_API_ADMIN_KEYS to what MY_KEY holds"),
        (None, None, "without api_keys or admin_keys"),
    ],
)
def test_the_master_key(key: str | None, keys: list[str] | None, word: str) -> None:
    """A good one is an admin key; one in a variable stays there; else an operator is told."""
    notes = Notes()
    assert build_settings({}, {}, {"master_key": key}, notes).get("admin_keys") == keys
    assert word in "".join(notes.lines)
    assert bool(notes.lines) == bool(word)
    assert key is None or key.startswith("os.") or key not in "".join(notes.lines)


@pytest.mark.parametrize(
    ("router", "url"),
    [
        ({"redis_url": "redis://r:6379"}, "redis://r:6379"),
        ({"redis_host": "r", "redis_port": 7}, "redis://r:7"),
        ({"redis_host": "r", "redis_password": "os.environ/P"}, None),
        ({"redis_url": "os.environ/REDIS_URL"}, None),
        ({"redis_url": "http://r"}, None),
    ],
)
def test_redis(router: dict[str, Any], url: str | None) -> None:
    """A whole URL is taken; with a secret in a variable an operator puts it together."""
    built, notes = build(router, {})
    assert built.get("redis_url") == url
    assert "docs/health.md" in notes[0]


def test_what_is_not_valid_here_is_left_out() -> None:
    """A value that the schema refuses is noted without its value."""
    built, notes = build({"timeout": 1e9}, {"max_request_size_mb": 1e9})
    assert built == {}
    assert notes == (
        "request_timeout: what was set is not valid here, and was left out",
        "max_body_bytes: what was set is not valid here, and was left out",
    )


def test_everything_else_is_noted_with_its_reason() -> None:
    """Callbacks, caches, budgets and databases are named; what is so anyway is not."""
    _, notes = build({"retry_after": 3}, {"database_url": "x"}, cache=True, telemetry=False)
    assert [line.split(":")[0] for line in notes] == [
        *("router_settings.retry_after", "litellm_settings.cache", "general_settings.database_url"),
    ]
